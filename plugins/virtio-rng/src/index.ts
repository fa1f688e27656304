// @godwit/virtio-rng: the virtio entropy device.
export type * from "./backend.ts";
export { type VirtioRngModel, type VirtioRngOptions, virtioRng } from "./model.ts";
export type { RateLimit } from "./rate.ts";
export { virtioRngClass } from "./section.ts";

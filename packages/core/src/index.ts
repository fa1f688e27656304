// @godwit/core: the kernel. No input or output, no runtime's name.

export { allocate, type Meter } from "./bounds.ts";
export * from "./contract.ts";
export { Cursor } from "./cursor.ts";
export * from "./errors.ts";
export { stateless, unmigratable } from "./kernel/absence.ts";
export { type VirtualClock, virtualClock } from "./kernel/clock.ts";
export {
  createKernel,
  type Kernel,
  type KernelEvents,
  type KernelOptions,
  type StreamSource,
} from "./kernel/kernel.ts";
export * from "./vmstate/index.ts";
export { Writer } from "./writer.ts";

// @godwit/virtio-testkit: the guest's side of a virtio device, for tests.
export * from "./ccw-machine.ts";
export * from "./conformance.ts";
export * from "./found-ring.ts";
export * from "./guest.ts";
export * from "./packed-driver.ts";
export * from "./pci-machine.ts";
export * from "./qemu-ccw-machine.ts";
export * from "./qemu-guest.ts";
export * from "./qemu-machine.ts";
export * from "./real-section.ts";
export { carriedElement } from "./virtio-states.ts";

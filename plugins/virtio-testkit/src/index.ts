// @godwit/virtio-testkit: the guest's side of a virtio device, for tests.
export * from "./guest.ts";
export * from "./pci-machine.ts";
export * from "./qemu-guest.ts";

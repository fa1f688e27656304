// Save order by priority. Names are QEMU's and stable; its numbers changed between releases and never travel.
import type { Priority } from "../vmstate/types.ts";

/** From the first to be saved to the last. Source: wire reference 3.4. */
export const saveOrder: readonly Priority[] = [
  "gicv3",
  "gicv3-its",
  "apic",
  "virtio-mem",
  "pci-bus",
  "iommu",
  "default",
  "low",
];

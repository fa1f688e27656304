// Any PCI device's common part on the wire (wire reference 14.1; QEMU: vmstate_pci_device).
import { array, atMost, buffer, checked, i32, since, u32, vmstate } from "@godwit/core";
import type { ConfigBytes } from "./registers.ts";

/** Levels of the pins INTA to INTD. */
const irqState = checked(array(u32, 4), (levels) => levels.every((level) => level <= 1), "0 or 1 each");

/** `config` is configuration space as it stands; nothing on the wire says how long it is. */
export function pciDevice(configBytes: ConfigBytes) {
  return vmstate({
    name: "PCIDevice",
    version: 2,
    minimumVersion: 1,
    fields: {
      version_id: atMost(i32, 2),
      config: buffer(configBytes),
      irq_state: since(2, irqState, { absent: new Uint32Array(4) }),
    },
  });
}

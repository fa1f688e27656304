// What PCI adds to a virtio section: the PCI device, MSI-X, vectors, and the registers of the modern interface.
import {
  array,
  atMost,
  buffer,
  checked,
  type Description,
  i32,
  type StateOf,
  since,
  struct,
  subsection,
  u8,
  u16,
  u32,
  unused,
  vmstate,
  when,
} from "@godwit/core";
import { maxQueues, noVector, type VirtioTransportDescriptions } from "@godwit/virtio-core";
import { msixEntryBytes } from "./registers.ts";
import type { VirtioPciParameters } from "./types.ts";

/** Levels of the pins INTA to INTD. */
const irqState = checked(array(u32, 4), (levels) => levels.every((level) => level <= 1), "0 or 1 each");

/**
 * Any PCI device's common part (wire reference 14.1; QEMU: vmstate_pci_device). `config` is configuration space as it
 * stands, 256 bytes or 4,096; nothing on the wire says which.
 */
export function pciDevice(configBytes: 256 | 4096) {
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
export type PciDeviceState = StateOf<ReturnType<typeof pciDevice>>;

/** Config, MSI-X, and the vector that announces changes of device configuration. */
function configDescription({ configBytes, msixVectors }: VirtioPciParameters) {
  return vmstate({
    name: "(virtio-pci config)",
    version: 1,
    fields: {
      pci_dev: struct(pciDevice(configBytes)),
      msix_table: buffer(msixEntryBytes * msixVectors),
      msix_pba: buffer(Math.ceil(msixVectors / 8)),
      config_vector: when(() => msixVectors > 0, u16, { absent: noVector }),
    },
  });
}
export type VirtioPciConfigState = StateOf<ReturnType<typeof configDescription>>;

function queueDescription({ msixVectors }: VirtioPciParameters) {
  return vmstate({
    name: "(virtio-pci queue)",
    version: 1,
    fields: { vector: when(() => msixVectors > 0, u16, { absent: noVector }) },
  });
}
export type VirtioPciQueueState = StateOf<ReturnType<typeof queueDescription>>;

const modernQueue = vmstate({
  name: "(virtio-pci modern queue)",
  version: 1,
  fields: {
    num: u16,
    _unused: unused(1),
    enabled: u8,
    desc_low: u32,
    desc_high: u32,
    avail_low: u32,
    avail_high: u32,
    used_low: u32,
    used_high: u32,
  },
});
/** A queue's registers as the driver wrote them. The live addresses are the virtio core's. */
export type ModernQueueState = StateOf<typeof modernQueue>;

export const unusedModernQueue: Readonly<ModernQueueState> = Object.freeze({
  num: 0,
  enabled: 0,
  desc_low: 0,
  desc_high: 0,
  avail_low: 0,
  avail_high: 0,
  used_low: 0,
  used_high: 0,
});

function extraStateDescription({ modern, hostFeatures, dialect }: VirtioPciParameters) {
  return vmstate({
    name: "virtio_pci",
    version: 1,
    fields: {},
    subsections: {
      modern_state: subsection({
        name: "virtio_pci/modern_state",
        version: 1,
        fields: {
          dfselect: u32,
          gfselect: u32,
          guest_features: array(u32, 2),
          vqs: array(struct(modernQueue), maxQueues),
        },
        subsections: {
          features128: subsection({
            name: "virtio_pci/modern_state/features128",
            version: 1,
            fields: { guest_features: array(u32, 2) },
            needed: () => dialect !== "7.2" && hostFeatures >> 64n !== 0n,
            absent: { guest_features: new Uint32Array(2) },
          }),
        },
        needed: () => modern,
        absent: () => noModernState,
      }),
    },
  });
}

/** Of a function without modern registers, or as after a reset. */
export const noModernState = {
  dfselect: 0,
  gfselect: 0,
  guest_features: new Uint32Array(2) as Uint32Array,
  vqs: new Array<ModernQueueState>(maxQueues).fill(unusedModernQueue),
  features128: { guest_features: new Uint32Array(2) as Uint32Array },
};
export type VirtioPciExtraState = StateOf<ReturnType<typeof extraStateDescription>>;

/** The PCI transport's descriptions (wire reference 13.3). */
export function virtioPciTransport(
  parameters: VirtioPciParameters,
): VirtioTransportDescriptions<VirtioPciConfigState, VirtioPciQueueState, VirtioPciExtraState> {
  const extra: Description<VirtioPciExtraState> = extraStateDescription(parameters);
  return {
    config: configDescription(parameters),
    queue: queueDescription(parameters),
    extraState: {
      description: extra,
      needed: parameters.migrateExtra ?? true,
      absent: { modern_state: noModernState },
    },
  };
}

// What a virtio section shows of the device that wrote it, in the terms of QEMU's options.
import type { WireRecord } from "@godwit/core";
import { capabilitiesOf, capabilityId, extendedCapabilitiesOf } from "./config-space.ts";
import type { DecodedSection } from "./decoded.ts";

export interface VirtioFacts {
  /** QEMU's name of the device: `virtio-net-pci`. */
  readonly device: string;
  readonly kind: string;
  /** Where it is: `addr=02.0`, `devno=fe.0.0001`; undefined behind a bridge, whose name the stream does not hold. */
  readonly place: readonly [property: string, value: string] | undefined;
  /** PCI configuration space. */
  readonly pciConfig: Uint8Array | undefined;
  /** Negotiated. */
  readonly features: bigint;
  /** Image of the device's own configuration. */
  readonly config: Uint8Array;
  /** As they are after a reset, as far as the guest did not change them for good. Entries. */
  readonly ringSizes: readonly number[];
}

const pciFunction = /^(?:0000:00|pci@[0-9a-f]+):([0-9a-f]{2}\.[0-7])((?::[0-9a-f]{2}\.[0-7])*)\/virtio-([a-z]+)$/;
const channelDevice = /^\/([0-9a-f]+\.[0-3]\.[0-9a-f]{4})\/virtio-([a-z]+)$/;

/** Sections whose name is not the device's. */
const deviceNames: Readonly<Record<string, string>> = { console: "serial" };

/** Undefined where it is no virtio device, or no description of ours fits. */
export function virtioFacts(section: DecodedSection): VirtioFacts | undefined {
  const pci = pciFunction.exec(section.head.idstr);
  const channel = channelDevice.exec(section.head.idstr);
  const kind = pci?.[3] ?? channel?.[2];
  if (kind === undefined) return undefined;
  const { record } = section.fields();
  if (record === undefined) return undefined;
  const { guest_features: low, config, vqs, transport, virtio } = record as unknown as VirtioRecord;
  if (!(config instanceof Uint8Array) || vqs === undefined) return undefined;
  const name = `virtio-${deviceNames[kind] ?? kind}-${pci ? "pci" : "ccw"}`;
  const slot = pci?.[2] === "" ? pci[1] : undefined;
  const devno = channel?.[1];
  return {
    device: name,
    kind,
    place: slot !== undefined ? ["addr", slot] : devno !== undefined ? ["devno", devno] : undefined,
    pciConfig: transport?.pci_dev?.config,
    features: virtio?.features64?.guest_features ?? BigInt(low),
    config,
    ringSizes: vqs.map(({ num }, i) => virtio?.ringsize?.num_default[i] ?? num),
  };
}

/** Of a record that a virtio description of ours decoded. */
interface VirtioRecord extends WireRecord {
  readonly guest_features: number;
  readonly config: Uint8Array;
  readonly vqs: readonly { readonly num: number }[];
  readonly transport?: { readonly pci_dev?: { readonly config: Uint8Array } };
  readonly virtio?: {
    readonly features64?: { readonly guest_features: bigint };
    readonly ringsize?: { readonly num_default: ArrayLike<number> };
  };
}

const virtioDevice = { base: 0x1040, cfgNotify: 2 };

export interface PciTransport {
  readonly legacy: boolean;
  readonly modern: boolean;
  /** 0: no MSI-X. */
  readonly vectors: number;
  readonly pagePerQueue: boolean;
  readonly portNotify: boolean;
  readonly ats: boolean;
  readonly express: boolean;
}

const extendedAts = 0x000f;
const pageBytes = 4096;

/** What a function's configuration space says. */
export function pciTransport(config: Uint8Array): PciTransport {
  const view = new DataView(config.buffer, config.byteOffset, config.length);
  const list = capabilitiesOf(config);
  const msix = list.find(({ id }) => id === capabilityId.msix);
  const notify = list.filter(({ id, at }) => id === capabilityId.vendor && config[at + 3] === virtioDevice.cfgNotify);
  return {
    legacy: view.getUint16(2, true) < virtioDevice.base,
    modern: notify.length > 0,
    vectors: msix === undefined ? 0 : (view.getUint16(msix.at + 2, true) & 0x7ff) + 1,
    // The multiplier of the notification capability: bytes of the window that each queue has.
    pagePerQueue: notify.some(({ at }) => view.getUint32(at + 16, true) === pageBytes),
    portNotify: notify.length > 1,
    ats: extendedCapabilitiesOf(config).some(({ id }) => id === extendedAts),
    express: list.some(({ id }) => id === capabilityId.express),
  };
}

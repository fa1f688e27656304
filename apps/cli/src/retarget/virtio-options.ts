// The options that make a virtio device of QEMU as the stream shows it.

import type { DecodedSection } from "./decoded.ts";
import type { MachineType } from "./machine.ts";
import { machineDefault } from "./machine-defaults.ts";
import { optionText } from "./option-text.ts";
import type { DestinationOption, OptionProperty } from "./types.ts";
import { pciTransport, type VirtioFacts, virtioFacts } from "./virtio.ts";

interface FeatureProperty {
  readonly bit: number;
  readonly property: string;
  /** As QEMU 7.2 has it, where no row of the machine's defaults says otherwise. */
  readonly isOn: boolean;
}

/**
 * Feature bits that a property switches; found by switching it in QEMU 7.2 and asking which features the device offers.
 * Properties that follow the network back end (checksums, segmentation) are not here.
 */
const featureProperties: Readonly<Record<string, readonly FeatureProperty[]>> = {
  any: [
    { bit: 28, property: "indirect_desc", isOn: true },
    { bit: 29, property: "event_idx", isOn: true },
    { bit: 33, property: "iommu_platform", isOn: false },
    { bit: 34, property: "packed", isOn: false },
    { bit: 40, property: "queue_reset", isOn: true },
  ],
  net: [
    { bit: 2, property: "ctrl_guest_offloads", isOn: true },
    { bit: 15, property: "mrg_rxbuf", isOn: true },
    { bit: 16, property: "status", isOn: true },
    { bit: 17, property: "ctrl_vq", isOn: true },
    { bit: 18, property: "ctrl_rx", isOn: true },
    { bit: 19, property: "ctrl_vlan", isOn: true },
    { bit: 20, property: "ctrl_rx_extra", isOn: true },
    { bit: 21, property: "guest_announce", isOn: true },
    { bit: 22, property: "mq", isOn: false },
    { bit: 23, property: "ctrl_mac_addr", isOn: true },
    { bit: 60, property: "rss", isOn: false },
    { bit: 62, property: "failover", isOn: false },
  ],
  blk: [
    { bit: 11, property: "config-wce", isOn: true },
    { bit: 13, property: "discard", isOn: true },
    { bit: 14, property: "write-zeroes", isOn: true },
  ],
  balloon: [
    { bit: 2, property: "deflate-on-oom", isOn: false },
    { bit: 3, property: "free-page-hint", isOn: false },
    { bit: 4, property: "page-poison", isOn: true },
    { bit: 5, property: "free-page-reporting", isOn: false },
  ],
  console: [{ bit: 2, property: "emergency-write", isOn: true }],
  scsi: [
    { bit: 1, property: "hotplug", isOn: true },
    { bit: 2, property: "param_change", isOn: true },
    { bit: 3, property: "t10_pi", isOn: false },
  ],
};

/** Undefined where the section is not of a virtio device that a description of ours reads. */
export function virtioOption(section: DecodedSection, destination: MachineType): DestinationOption | undefined {
  const facts = virtioFacts(section);
  if (facts === undefined) return undefined;
  const { device, place, pciConfig } = facts;
  const properties: OptionProperty[] = [];
  const add = (name: string, value: string | number): void => {
    const known = machineDefault(destination, device, name);
    // What cannot be set is no option; where it differs, the layout is refused.
    if (known?.fixed === true) return;
    const instead = known !== undefined && known.value !== String(value) ? known.value : undefined;
    properties.push({ name, value: String(value), instead });
  };
  if (place !== undefined) add(...place);
  if (pciConfig !== undefined) addTransport(pciConfig, destination, device, add);
  for (const [name, value] of queueProperties(facts)) add(name, value);
  for (const { bit, property, isOn } of [
    ...(featureProperties["any"] ?? []),
    ...(featureProperties[facts.kind] ?? []),
  ]) {
    if (((facts.features >> BigInt(bit)) & 1n) === 0n) continue;
    const without = machineDefault(destination, device, property)?.value ?? (isOn ? "on" : "off");
    if (without !== "on") properties.push({ name: property, value: "on", instead: without });
  }
  return { section: section.key, device, properties, text: optionText(device, properties) };
}

type Add = (name: string, value: string | number) => void;

const onOff = (isOn: boolean): string => (isOn ? "on" : "off");

function addTransport(config: Uint8Array, destination: MachineType, device: string, add: Add): void {
  const { legacy, modern, vectors, pagePerQueue, portNotify, ats } = pciTransport(config);
  add("disable-legacy", onOff(!legacy));
  add("disable-modern", onOff(!modern));
  add("vectors", vectors);
  const unusual = (name: string, isOn: boolean): void => {
    if (isOn || machineDefault(destination, device, name)?.value === "on") add(name, onOff(isOn));
  };
  if (modern) unusual("page-per-vq", pagePerQueue);
  unusual("modern-pio-notify", portNotify);
  unusual("ats", ats);
}

const twoDigits = (byte: number): string => byte.toString(16).padStart(2, "0");

/** Sizes and numbers of queues, and what else the image of the device's configuration says of its options. */
function* queueProperties({ kind, config, ringSizes }: VirtioFacts): Generator<readonly [string, string | number]> {
  const view = new DataView(config.buffer, config.byteOffset, config.length);
  const [first = 0, second = 0, third = 0] = ringSizes;
  switch (kind) {
    case "net": {
      const mac = config.subarray(0, 6);
      // A device that was plugged in and not yet reset has none there.
      if (mac.some((byte) => byte !== 0)) yield ["mac", [...mac].map(twoDigits).join(":")];
      yield ["rx_queue_size", first];
      yield ["tx_queue_size", second];
      break;
    }
    case "blk":
      if (config.length >= 36) yield ["num-queues", Math.max(1, view.getUint16(34, true))];
      yield ["queue-size", first];
      break;
    case "scsi":
      if (config.length >= 4) yield ["num_queues", view.getUint32(0, true)];
      yield ["virtqueue_size", third];
      break;
    case "console":
      if (config.length >= 8) yield ["max_ports", view.getUint32(4, true)];
      break;
  }
}

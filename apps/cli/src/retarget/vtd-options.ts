// The options that make an intel-iommu of QEMU as the stream shows it: its capability registers.
import { decodeState, isMigrationError } from "@godwit/core";
import { type CapabilityChoice, optionsFor, type VtdState } from "@godwit/iommu-vtd";
import type { MachineType } from "./machine.ts";
import { machineDefault } from "./machine-defaults.ts";
import { optionText } from "./option-text.ts";
import type { DestinationOption, OptionProperty, RetargetSection } from "./types.ts";

const device = "intel-iommu";
export const vtdIdstr = "iommu-intel";

const onOff = (isOn: boolean): string => (isOn ? "on" : "off");

/** Names and values that every QEMU since 7.2 has; of the experimental ones only those that are on. */
function propertiesOf(choice: CapabilityChoice): readonly (readonly [string, string])[] {
  return [
    ["aw-bits", String(choice.addressWidth)],
    ["caching-mode", onOff(choice.cachingMode)],
    ["device-iotlb", onOff(choice.deviceTlb)],
    ["dma-drain", onOff(choice.dmaDrain)],
    ["intremap", onOff(choice.intremap)],
    ["eim", onOff(choice.eim)],
    ["pt", onOff(choice.passThrough)],
    ["snoop-control", onOff(choice.snoopControl)],
    ...(choice.scalableMode ? ([["x-scalable-mode", "on"]] as const) : []),
    ...(choice.pasid ? ([["x-pasid-mode", "on"]] as const) : []),
  ];
}

export interface VtdOption {
  readonly option: DestinationOption | undefined;
  /** Why there is none. */
  readonly note: string | undefined;
}

/** Of the section `iommu-intel`, where our description fits it. */
export function vtdOption(section: RetargetSection, destination: MachineType): VtdOption {
  const { described, body, key, head } = section;
  if (described === undefined || isMigrationError(described) || body === undefined) {
    return { option: undefined, note: `${key}: its capability registers could not be read` };
  }
  let choice: CapabilityChoice;
  try {
    choice = optionsFor(decodeState(described.description, body, { version: head.version }) as VtdState);
  } catch (error) {
    if (!isMigrationError(error)) throw error;
    return { option: undefined, note: `${key}: ${error.message}` };
  }
  const properties = propertiesOf(choice).map(([name, value]): OptionProperty => {
    const known = machineDefault(destination, device, name)?.value;
    return { name, value, instead: known === value ? undefined : known };
  });
  return { option: { section: key, device, properties, text: optionText(device, properties) }, note: undefined };
}

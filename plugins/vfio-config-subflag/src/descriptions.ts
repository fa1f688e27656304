// The descriptions: a VFIO PCI device's body, and the non-iterable record that it travels in.
import {
  buffer,
  type CustomItem,
  customField,
  type Description,
  type Field,
  type StateOf,
  struct,
  u32,
  u64,
  vmstate,
} from "@godwit/core";
import { vfioError } from "./codes.ts";
import {
  checkedMarker,
  checkedSubFlag,
  dialectVersion,
  expectedMarkers,
  type MarkerName,
  markerWord,
  subFlag,
  type VfioDialect,
} from "./markers.ts";
import type { VfioPciParameters } from "./parameters.ts";
import { pciDevice } from "./pci-core.ts";

const msixEntryBytes = 16;

/** QEMU's body `VFIOPCIDevice` v1 (wire reference 15.3): the PCI device, then MSI-X where the function has it. */
export function vfioPciDevice({ configBytes, msixVectors, display }: VfioPciParameters) {
  return vmstate({
    name: "VFIOPCIDevice",
    version: 1,
    fields: {
      pci_dev: struct(pciDevice(configBytes)),
      msix_table: buffer(msixEntryBytes * msixVectors),
      msix_pba: buffer(Math.ceil(msixVectors / 8)),
    },
    subsections: (display === undefined ? {} : { display }) as Record<never, never>,
  });
}
export type VfioPciDeviceState = StateOf<ReturnType<typeof vfioPciDevice>>;

/** What the non-iterable record says. */
export interface VfioRecordState {
  /** Bits of `subFlag`. The merged form has none on its wire, and means both. */
  readonly sub_flag: number;
  /** Null where the record only enables interrupts. */
  readonly device: VfioPciDeviceState | null;
}

const both = subFlag.config | subFlag.enableInterrupts;

/**
 * The FULL section: DEV_CONFIG_STATE, in version 2 the sub-flag, the body where there is one, END_OF_STATE. A machine of
 * the proposal reads version 1 as well. `VFIO_MARKER`, `VFIO_SUB_FLAG`; `VFIO_MULTIFD` for the bare markers that QEMU
 * sends where the device's state went over multifd channels.
 */
export function vfioRecord(
  dialect: VfioDialect,
  parameters: VfioPciParameters,
): Description<{ state: VfioRecordState }> {
  const fields = { state: recordField(struct(vfioPciDevice(parameters))) };
  return vmstate({ name: "vfio", version: dialectVersion[dialect], minimumVersion: 1, fields });
}

interface Steps {
  readonly version: number;
  at: "marker" | "subFlag" | "device" | "end" | "done";
  subFlag: number;
  device: unknown;
}

function recordField(device: Field<VfioPciDeviceState>): Field<VfioRecordState> {
  const fields = { marker: u64, subFlag: u32, device, end: u64, done: undefined } as const;
  const segments = { marker: "marker", subFlag: "sub_flag", device: "device", end: "end", done: undefined } as const;
  const item = (at: Exclude<Steps["at"], "done">, value: unknown): CustomItem => ({
    field: fields[at] as Field,
    value,
    segment: segments[at],
  });
  return customField<VfioRecordState, Steps>({
    kind: "vfio record",
    begin: ({ version }) => ({ version, at: "marker", subFlag: both, device: null }),
    next: ({ at }) => fields[at] as Field | undefined,
    segment: ({ at }) => segments[at],
    take: (steps, value) => {
      switch (steps.at) {
        case "marker":
          refuseMultifd(checkedMarker(value as bigint, expectedMarkers("full", steps.version, undefined)));
          steps.at = steps.version === dialectVersion.merged ? "device" : "subFlag";
          return;
        case "subFlag":
          steps.subFlag = checkedSubFlag(value as number, "full");
          steps.at = (steps.subFlag & subFlag.config) === 0 ? "end" : "device";
          return;
        case "device":
          steps.device = value;
          steps.at = "end";
          return;
        default:
          checkedMarker(value as bigint, ["END_OF_STATE"]);
          steps.at = "done";
      }
    },
    end: (steps) => ({ sub_flag: steps.subFlag, device: steps.device as VfioPciDeviceState | null }),
    fork: (steps) => ({ ...steps }),
    sample: (choose, { version }) => {
      const bare = version !== dialectVersion.merged && choose.integer(0, 1) === 0;
      return { sub_flag: bare ? subFlag.enableInterrupts : both, device: bare ? null : choose.of(device) };
    },
    encode: function* (value, { version }) {
      yield item("marker", markerWord("DEV_CONFIG_STATE"));
      if (version !== dialectVersion.merged) yield item("subFlag", value.sub_flag);
      if ((value.sub_flag & subFlag.config) !== 0) yield item("device", value.device);
      yield item("end", markerWord("END_OF_STATE"));
    },
    map: (value, each) => ({
      sub_flag: value.sub_flag,
      device: value.device === null ? null : (each(device, value.device) as VfioPciDeviceState),
    }),
  });
}

function refuseMultifd(name: MarkerName): void {
  if (name === "DEV_CONFIG_STATE") return;
  throw vfioError("VFIO_MULTIFD", "the device's state went over multifd channels, which are not read here", {
    expected: "DEV_CONFIG_STATE",
    found: name,
  });
}

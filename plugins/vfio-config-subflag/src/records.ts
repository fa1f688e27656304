// What VFIO sections are made of as plain data with names, and their bytes again.
import { encodeRecord, type WireRecord, Writer } from "@godwit/core";
import { vfioPciDevice } from "./descriptions.ts";
import { dialectVersion, type MarkerName, markerWord, type VfioPhase } from "./markers.ts";
import type { VfioPciParameters } from "./parameters.ts";

export type VfioRecord =
  | { readonly marker: Exclude<MarkerName, "DEV_DATA_STATE" | "DEV_CONFIG_STATE"> }
  /** The vendor driver's own bytes. */
  | { readonly marker: "DEV_DATA_STATE"; readonly data: Uint8Array }
  | VfioConfigRecord;

export interface VfioConfigRecord {
  readonly marker: "DEV_CONFIG_STATE";
  /** Undefined in the merged form, which has none. */
  readonly subFlag: number | undefined;
  /** The body's fields, and what they depend on; undefined where the sub-flag says that none follows. */
  readonly device: WireRecord | undefined;
  readonly parameters: VfioPciParameters | undefined;
}

/** One section's data. */
export interface VfioSection {
  readonly phase: VfioPhase;
  readonly version: number;
  readonly records: readonly VfioRecord[];
  /** Of this and the sections of the handler before it. */
  readonly counts: VfioCounts;
}

export interface VfioCounts {
  readonly initDataSent: number;
  /** In START, PART and END. */
  readonly configs: number;
}

/** The bytes that the section was decoded from. */
export function encodeVfioSection({ records, version }: Pick<VfioSection, "records" | "version">): Uint8Array {
  const out = new Writer();
  for (const record of records) writeRecord(out, record, version);
  return out.flush();
}

function writeRecord(out: Writer, record: VfioRecord, version: number): void {
  if (record.marker === "DEV_DATA_STATE") writeData(out, record.data);
  else if (record.marker === "DEV_CONFIG_STATE") {
    const { subFlag, device, parameters } = record;
    out.u64(markerWord(record.marker));
    if (version !== dialectVersion.merged) out.u32(subFlag as number);
    if (device !== undefined) {
      out.raw(encodeRecord(vfioPciDevice(parameters as VfioPciParameters), device, 1));
    }
  } else writeMarker(out, record.marker);
}

export function writeMarker(out: Writer, name: MarkerName): void {
  out.u64(markerWord(name));
}

export function writeData(out: Writer, data: Uint8Array): void {
  writeMarker(out, "DEV_DATA_STATE");
  out.u64(BigInt(data.length));
  out.raw(data);
}

// The be64 markers that a VFIO section is made of, and which may stand where. Source: wire reference 15.2 and 15.3.

import type { MigrationError } from "@godwit/core";
import { vfioError } from "./codes.ts";

export type VfioPhase = "start" | "part" | "end" | "full";

/** The version of a section tells its dialect. */
export const dialectVersion = { merged: 1, proposal: 2 } as const;
/** `merged` is QEMU's form; `proposal` has a sub-flag behind DEV_CONFIG_STATE. */
export type VfioDialect = keyof typeof dialectVersion;

/** The low words; the high word is all ones. */
export const marker = {
  END_OF_STATE: 0xef10_0001,
  DEV_CONFIG_STATE: 0xef10_0002,
  DEV_SETUP_STATE: 0xef10_0003,
  DEV_DATA_STATE: 0xef10_0004,
  DEV_INIT_DATA_SENT: 0xef10_0005,
  DEV_CONFIG_LOAD_READY: 0xef10_0006,
} as const;
export type MarkerName = keyof typeof marker;

export const markerBytes = 8;

/** The proposal's be32 behind DEV_CONFIG_STATE. */
export const subFlag = { config: 1, enableInterrupts: 2 } as const;

const names = new Map<bigint, MarkerName>(
  Object.entries(marker).map(([name, low]) => [markerValue(low), name as MarkerName]),
);

function markerValue(low: number): bigint {
  return 0xffff_ffff_0000_0000n | BigInt(low);
}

/** The marker as it stands on the wire. */
export function markerWord(name: MarkerName): bigint {
  return markerValue(marker[name]);
}

export function markerName(word: bigint): MarkerName | undefined {
  return names.get(word);
}

/** What may come next in a section; nothing: it is at its end. */
export function expectedMarkers(
  phase: VfioPhase,
  version: number,
  previous: MarkerName | undefined,
): readonly MarkerName[] {
  switch (previous) {
    case "END_OF_STATE":
    case "DEV_INIT_DATA_SENT":
    case "DEV_CONFIG_LOAD_READY":
      return [];
    case undefined:
      return first[phase](version);
    default:
      return phase === "part" || phase === "end" ? first[phase](version) : ["END_OF_STATE"];
  }
}

const first: Readonly<Record<VfioPhase, (version: number) => readonly MarkerName[]>> = {
  start: () => ["DEV_SETUP_STATE"],
  part: (version) => [...first.end(version), "DEV_INIT_DATA_SENT"],
  end: (version) =>
    version === dialectVersion.merged
      ? ["DEV_DATA_STATE", "END_OF_STATE"]
      : ["DEV_DATA_STATE", "DEV_CONFIG_STATE", "END_OF_STATE"],
  // With multifd transfer the record is one marker without a body.
  full: (version) =>
    version === dialectVersion.merged
      ? ["DEV_CONFIG_STATE", "END_OF_STATE", "DEV_CONFIG_LOAD_READY"]
      : ["DEV_CONFIG_STATE"],
};

/** The name of a marker that may stand here; else `VFIO_MARKER`. */
export function checkedMarker(word: bigint, expected: readonly MarkerName[]): MarkerName {
  const name = markerName(word);
  if (name !== undefined && expected.includes(name)) return name;
  throw wrongMarker(word, expected);
}

function wrongMarker(word: bigint, expected: readonly MarkerName[]): MigrationError {
  const name = markerName(word);
  return vfioError("VFIO_MARKER", name === undefined ? "an unknown marker" : "a marker stands where it may not", {
    expected: expected.join(" or "),
    found: name ?? `0x${word.toString(16).padStart(16, "0")}`,
  });
}

/**
 * A sub-flag that may stand here, else `VFIO_SUB_FLAG`. While the device is iterated, and ahead of its data, config comes
 * and nothing is enabled: the interrupt controller is not there yet. The record enables in any case.
 */
export function checkedSubFlag(bits: number, phase: VfioPhase): number {
  const { config, enableInterrupts } = subFlag;
  const allowed = phase === "full" ? [enableInterrupts, config | enableInterrupts] : [config];
  if (allowed.includes(bits)) return bits;
  const unknown = (bits & ~(config | enableInterrupts)) !== 0;
  throw vfioError("VFIO_SUB_FLAG", unknown ? "unknown bits" : "a sub-flag that may not stand here", {
    expected: allowed.map(hex).join(" or "),
    found: hex(bits),
  });
}

function hex(bits: number): string {
  return `0x${bits.toString(16)}`;
}

// What a virtio function looks like from outside, in each of its modes: ids, BARs, capabilities (as QEMU has them).
import { type CapabilityLayout, extendedCapabilities, virtioCapabilities } from "./capabilities.ts";
import { type BarSize, ConfigSpace } from "./config-space.ts";
import { msixLayout } from "./msix.ts";
import {
  classCodes,
  legacyAt,
  legacyBar,
  legacyDeviceIds,
  modernBar,
  modernBarBytes,
  modernDeviceBase,
  msixBar,
  unclassified,
  virtioVendor,
} from "./registers.ts";
import type { VirtioPciMode } from "./types.ts";

export interface LayoutInit {
  readonly mode: VirtioPciMode;
  /** The virtio device id. */
  readonly deviceId: number;
  readonly msixVectors: number;
  /** Undefined: a conventional function of 256 bytes. */
  readonly express: { readonly ats: boolean } | undefined;
  /** Bytes of the device's own configuration. */
  readonly configLength: number;
}

export interface FunctionLayout {
  readonly config: ConfigSpace;
  readonly capabilities: CapabilityLayout;
  readonly bars: readonly BarSize[];
  readonly msix: { readonly pbaAt: number; readonly barBytes: number };
}

/** A function that is modern only says so by its subsystem; others have the virtio device id there. */
const modernSubsystem = 0x1100;

export function functionLayout(init: LayoutInit): FunctionLayout {
  const { mode, deviceId, msixVectors: vectors, express } = init;
  const msix = msixLayout(vectors);
  const capabilities = virtioCapabilities({
    express: express !== undefined,
    modern: mode !== "legacy",
    msix: vectors === 0 ? undefined : { vectors, pbaAt: msix.pbaAt },
  });
  const bars = barsOf(init, msix.barBytes);
  const old = mode !== "modern";
  const config = new ConfigSpace({
    bytes: express === undefined ? 256 : 4096,
    vendor: virtioVendor,
    device: old ? (legacyDeviceIds[deviceId] as number) : modernDeviceBase + deviceId,
    revision: old ? 0 : 1,
    classCode: classCodes[deviceId] ?? unclassified,
    subsystemVendor: virtioVendor,
    subsystem: old ? deviceId : modernSubsystem,
    bars,
    capabilities: capabilities.list,
    extended: express === undefined ? [] : [extendedCapabilities(express.ats)],
  });
  return { config, capabilities, bars, msix };
}

function barsOf({ mode, msixVectors, configLength }: LayoutInit, msixBarBytes: number): BarSize[] {
  const bars: BarSize[] = [];
  if (mode !== "modern") {
    const registers = msixVectors === 0 ? legacyAt.config : legacyAt.configBehindVectors;
    bars.push({ index: legacyBar, size: 2 ** Math.ceil(Math.log2(registers + configLength)), kind: "io" });
  }
  if (msixVectors > 0) bars.push({ index: msixBar, size: msixBarBytes, kind: "memory32" });
  if (mode !== "legacy") bars.push({ index: modernBar, size: modernBarBytes, kind: "memory64" });
  return bars;
}

// Finds the parameters of a VFIO PCI device's body from its bytes: the size of configuration space by what must stand
// behind each size, the MSI-X vectors from the capability in the space itself.
import { isMigrationError, MigrationError, type SectionSample } from "@godwit/core";
import { dialectVersion, markerBytes, markerName, subFlag, type VfioDialect } from "./markers.ts";
import type { VfioPciParameters } from "./parameters.ts";
import { type ConfigBytes, msixVectorsOf } from "./pci-core.ts";

const subsectionByte = 0x05;

/**
 * Parameters of the body at the beginning of `bytes`; undefined where more of them are needed. What follows a body is a
 * marker or a subsection: 64 bits that no configuration space holds by chance in that place. `PARAMETER_WRONG` where no
 * size fits.
 */
export function inferBody(bytes: Uint8Array): Omit<VfioPciParameters, "display"> | undefined {
  const tried = [];
  for (const configBytes of [256, 4096] as const) {
    const found = tryBody(bytes, configBytes);
    if (found === "more") return undefined;
    if (typeof found !== "string") return found;
    tried.push(`${configBytes} bytes of configuration space: ${found}`);
  }
  throw new MigrationError("PARAMETER_WRONG", "this is no VFIO PCI device's body", {
    path: "pci_dev",
    found: tried.join("; "),
  });
}

function tryBody(bytes: Uint8Array, configBytes: ConfigBytes): Omit<VfioPciParameters, "display"> | string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const irqAt = 4 + configBytes;
  if (bytes.length < irqAt + 16) return "more";
  for (let at = irqAt; at < irqAt + 16; at += 4) {
    if (view.getUint32(at) > 1) return `irq_state is ${view.getUint32(at)}`;
  }
  let msixVectors: number;
  try {
    msixVectors = msixVectorsOf(bytes.subarray(4, irqAt));
  } catch (error) {
    if (isMigrationError(error)) return error.detail;
    throw error;
  }
  const end = irqAt + 16 + 16 * msixVectors + Math.ceil(msixVectors / 8);
  if (bytes.length > end && bytes[end] === subsectionByte) return { configBytes, msixVectors };
  if (bytes.length < end + markerBytes) return "more";
  if (markerName(view.getBigUint64(end)) === undefined) return "no marker follows";
  return { configBytes, msixVectors };
}

/** What a record depends on. */
export interface VfioRecordParameters {
  readonly dialect: VfioDialect;
  /** Undefined where the record has no body, and says nothing of it. */
  readonly device?: VfioPciParameters | undefined;
}

/** Of a FULL section. `PARAMETER_WRONG`, `STREAM_TRUNCATED`. */
export function inferRecord({ version, bytes }: SectionSample): VfioRecordParameters {
  const dialect: VfioDialect = version === dialectVersion.merged ? "merged" : "proposal";
  const bodyAt = dialect === "merged" ? markerBytes : markerBytes + 4;
  if (bytes.length < bodyAt) throw truncated(bytes.length);
  if (dialect === "proposal") {
    const bits = new DataView(bytes.buffer, bytes.byteOffset).getUint32(markerBytes);
    if ((bits & subFlag.config) === 0) return { dialect };
  }
  const device = inferBody(bytes.subarray(bodyAt));
  if (device === undefined) throw truncated(bytes.length);
  return { dialect, device };
}

function truncated(length: number): MigrationError {
  return new MigrationError("STREAM_TRUNCATED", "the record ends before its parameters can be told", {
    path: "state.device",
    offset: length,
  });
}

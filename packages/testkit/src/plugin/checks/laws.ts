// The two laws of a description: encode(decode(bytes)) is bytes, whatever they are; decode(encode(state)) is the state.
import {
  type AnyRecord,
  type Description,
  decodeRecord,
  decodeState,
  encodeRecord,
  encodeState,
  isMigrationError,
} from "@godwit/core";
import { equal } from "../../clocks/differences.ts";
import type { CheckFunction } from "../check.ts";
import { stateDifference } from "../difference.ts";
import type { Findings } from "../findings.ts";
import { statesOf } from "../generated.ts";
import { messageOf } from "../lab.ts";
import { type Random, randomOf } from "../random.ts";
import { describedOf } from "../recorded.ts";

/** So many times one byte of a state's is changed. */
const damages = 16;

export const lawsCheck: CheckFunction = async (lab, findings) => {
  const described = describedOf(lab.make().bench.recorded);
  if (described.length === 0) return "the plugin registers no description";
  const random = randomOf(lab.seed);
  for (const device of described) {
    for (const state of statesOf(lab, findings, device)) checkState(findings, device, state, random);
  }
  return undefined;
};

interface Described {
  readonly key: string;
  readonly description: Description;
}

function checkState(findings: Findings, { key, description }: Described, state: AnyRecord, random: Random): void {
  const bytes = orRefused(() => encodeState(description, state));
  // What cannot be written is no state of the device: `states` counts these.
  if (bytes === undefined) return;
  const found = caught(findings, key, () => decodeState(description, bytes));
  const difference = found === undefined ? undefined : stateDifference(state, found);
  if (difference !== undefined) {
    const { path, expected, found: other } = difference;
    findings.add("LAW_STATE", { section: key, path, text: `${expected} was encoded, and ${other} decoded` });
  }
  checkBytes(findings, key, description, bytes);
  for (let i = 0; i < damages && bytes.length > 0; i++) {
    const damaged = bytes.slice();
    const at = random.int(bytes.length);
    damaged[at] = (damaged[at] as number) ^ random.pick([0x01, 0x80, 0xff]);
    checkBytes(findings, key, description, damaged);
  }
}

function checkBytes(findings: Findings, section: string, description: Description, bytes: Uint8Array): void {
  const record = caught(findings, section, () => decodeRecord(description, bytes));
  if (record === undefined) return;
  const back = caught(findings, section, () => encodeRecord(description, record)) ?? new Uint8Array(0);
  if (equal(bytes, back)) return;
  const at = bytes.findIndex((byte, i) => byte !== back[i]);
  const text = `${bytes.length} bytes became ${back.length}; the first that differs is byte ${at < 0 ? bytes.length : at} of the body`;
  findings.add("LAW_BYTES", { section, text });
}

/** A refusal is an answer, any other error a finding. */
function caught<T>(findings: Findings, section: string, work: () => T): T | undefined {
  try {
    return orRefused(work);
  } catch (error) {
    findings.add("DECODER_FAILED", { section, text: messageOf(error), cause: error });
    return undefined;
  }
}

function orRefused<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (isMigrationError(error)) return undefined;
    throw error;
  }
}

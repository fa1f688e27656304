// One device's section: by its description, decoded and encoded again, as a wire record and as a state; else by what the
// vmdesc lists. What neither knows is said to be not verified.
import {
  Cursor,
  type Description,
  decodeRecord,
  encodeRecord,
  encodeState,
  isMigrationError,
  recordDecoder,
  toState,
  type WireRecord,
} from "@godwit/core";
import type { VmdescDevice } from "@godwit/core/stream";
import { encodeByVmdesc, layoutByVmdesc, type VmdescValue } from "@godwit/core/tools";
import { ofPlugin } from "../model/brought-throws.ts";
import type { Section } from "../model/read-stream.ts";
import { type Findings, firstDifference, hexAt } from "./findings.ts";

export interface DeviceVerified {
  /** `nothing`: the bytes were carried along, their framing alone is verified. */
  readonly by: "description" | "vmdesc" | "nothing";
  readonly plugin: string | undefined;
  /** Of the body. Bytes. */
  readonly comparedBytes: number;
  /** The state, complete with what the stream left out, was encoded to the same bytes as well. */
  readonly stateToo: boolean;
}

export function verifyDevice(section: Section, findings: Findings): DeviceVerified {
  const { key, described, listed, body = new Uint8Array(0), bodyOffset } = section;
  const tiled = isListed(listed) ? byVmdesc(section, listed, body, findings) : undefined;
  if (isMigrationError(described)) findings.addError(described, key, bodyOffset);
  else if (described !== undefined) {
    const { plugin, description } = described;
    let stateToo = false;
    const done = findings.guard(key, bodyOffset, () => {
      stateToo = ofPlugin(plugin, () => byDescription(section, description, body, findings));
    });
    if (done) return { by: "description", plugin, comparedBytes: body.length, stateToo };
  }
  return {
    by: tiled === undefined ? "nothing" : "vmdesc",
    plugin: undefined,
    comparedBytes: tiled ?? 0,
    stateToo: false,
  };
}

const isListed = (listed: VmdescDevice | undefined): listed is VmdescDevice =>
  listed?.fields !== undefined || listed?.subsections !== undefined;

function byDescription(section: Section, description: Description, body: Uint8Array, findings: Findings): boolean {
  const { head, bodyOffset } = section;
  const { version } = head;
  const record = decodeRecord(description, body, { version, offset: bodyOffset, checks: false });
  const again = encodeRecord(description, record, version);
  const differs = firstDifference(again, body);
  if (differs >= 0) {
    addDifference(section, description, body, again, differs, "BYTES_DIFFER", findings);
    return false;
  }
  // A state is written in the newest version alone.
  if (version !== description.version) return false;
  const state = stateAgain(description, record);
  const atState = firstDifference(state, body);
  if (atState < 0) return true;
  addDifference(section, description, body, state, atState, "STATE_DIFFERS", findings);
  return false;
}

const stateAgain = (description: Description, record: WireRecord): Uint8Array =>
  encodeState(description, toState(description, record) as never);

function addDifference(
  section: Section,
  description: Description,
  body: Uint8Array,
  made: Uint8Array,
  at: number,
  code: "BYTES_DIFFER" | "STATE_DIFFERS",
  findings: Findings,
): void {
  findings.add({
    code,
    message:
      code === "BYTES_DIFFER"
        ? "decoded and encoded again it is another"
        : "as a state, encoded again, it is another: a value that QEMU would not write, or a subsection without need",
    section: section.key,
    path: pathAt(description, section.head.version, body, at),
    offset: section.bodyOffset + at,
    expected: hexAt(made, at),
    found: hexAt(body, at),
  });
}

/** The field that holds the byte: where a decoder waits that has what is before it. */
function pathAt(description: Description, version: number, body: Uint8Array, at: number): string {
  const cursor = new Cursor(body.slice(0, at));
  cursor.checks = false;
  try {
    const decoder = recordDecoder(description, version);
    if (decoder.resume(cursor)) return "end";
    return decoder.path() ?? "body";
  } catch (error) {
    if (isMigrationError(error)) return error.location.path ?? "body";
    throw error;
  }
}

/** How many of its bytes the vmdesc's fields and subsections stand for; undefined where they do not fit. */
function byVmdesc(section: Section, listed: VmdescDevice, body: Uint8Array, findings: Findings): number | undefined {
  let compared: number | undefined;
  findings.guard(section.key, section.bodyOffset, () => {
    try {
      const { values, subsections } = layoutByVmdesc(listed, body);
      compared = subsections.reduce((sum, { headerBytes }) => sum + headerBytes, 0);
      for (const value of values) compared += compareLeaf(section, value, body, findings);
    } catch (error) {
      // Its offsets are the body's.
      if (!isMigrationError(error)) throw error;
      const { offset = 0, path } = error.location;
      findings.add({
        code: error.code,
        message: error.detail,
        section: section.key,
        path: path ?? "body",
        offset: section.bodyOffset + offset,
        ...(error.expected !== undefined && { expected: error.expected }),
        ...(error.found !== undefined && { found: error.found }),
      });
    }
  });
  return compared;
}

function compareLeaf({ key, bodyOffset }: Section, leaf: VmdescValue, body: Uint8Array, findings: Findings): number {
  const { type, path, offset, bytes, value } = leaf;
  if (type === "rest") return 0;
  const again = encodeByVmdesc(leaf, value);
  const found = body.subarray(offset, offset + bytes);
  const differs = firstDifference(again, found);
  if (differs < 0) return bytes;
  findings.add({
    code: "BYTES_DIFFER",
    message: "read and written again by the vmdesc it is another",
    section: key,
    path,
    offset: bodyOffset + offset + differs,
    expected: hexAt(again, differs),
    found: hexAt(found, differs),
  });
  return differs;
}

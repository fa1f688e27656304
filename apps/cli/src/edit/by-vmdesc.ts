// Edits a section that nothing describes through what the stream's vmdesc says of it: single fields of known types, and
// subsections, which can be dropped.
import { isMigrationError } from "@godwit/core";
import type { VmdescDevice } from "@godwit/core/stream";
import {
  elementsOf,
  encodeByVmdesc,
  type JsonValue,
  layoutByVmdesc,
  leafAt,
  type VmdescLayout,
  type VmdescLeafValue,
  type VmdescValue,
  valueToJson,
} from "@godwit/core/tools";
import { CliFault } from "../faults.ts";
import { hintOf, nearest } from "../model/nearest.ts";
import type { Section } from "../model/read-stream.ts";
import { chooseSubsection } from "./places.ts";
import { refusal, undescribed, unfit } from "./refusal.ts";
import type { Change, EditedSection, SectionEdit } from "./section-edit.ts";
import { withoutSubsection } from "./vmdesc-members.ts";

interface State {
  body: Uint8Array;
  listed: VmdescDevice;
}

/** A value that does not fit its field is refused with the section, path and offset. */
export function editByVmdesc(section: Section, body: Uint8Array, edits: readonly SectionEdit[]): EditedSection {
  const { listed, head } = section;
  if (listed === undefined) throw undescribed(section, "nothing describes it");
  const state: State = { body: body.slice(), listed };
  try {
    const changes = edits.map((edit) => carryOut(edit, state, section));
    return { body: state.body, version: head.version, listed: state.listed, changes };
  } catch (error) {
    throw isMigrationError(error) ? unfit(error, section) : error;
  }
}

function carryOut(edit: SectionEdit, state: State, section: Section): Change {
  const layout = layoutByVmdesc(state.listed, state.body);
  switch (edit.kind) {
    case "set":
      return set(edit, state, layout, section);
    case "drop-subsection":
      return drop(edit, state, layout, section);
    case "add-subsection":
      throw undescribed(section, "no description tells what a subsection of it holds");
    case "version":
      throw undescribed(section, "no description tells which fields it has in another version");
  }
}

function set(edit: SectionEdit & { kind: "set" }, state: State, layout: VmdescLayout, section: Section): Change {
  const { path, value } = edit;
  const leaf = leafAt(layout.values, path);
  if (leaf === undefined) throw unknownPath(path, layout, section);
  if (!isKnown(leaf)) {
    const place = { section: section.key, path, offset: section.bodyOffset + leaf.offset };
    throw refusal(
      "EDIT_TYPE_UNKNOWN",
      `what the ${leaf.bytes} bytes of type "${leaf.type}" mean is not known here`,
      place,
    );
  }
  let bytes: Uint8Array;
  try {
    bytes = encodeByVmdesc(leaf, leafValueOf(leaf, value));
  } catch (error) {
    throw isMigrationError(error) ? error.at({ offset: leaf.offset }) : error;
  }
  state.body.set(bytes, leaf.offset);
  return { edit, by: "vmdesc", path, before: valueToJson(leaf.value), after: value };
}

function drop(
  edit: SectionEdit & { kind: "drop-subsection" },
  state: State,
  layout: VmdescLayout,
  section: Section,
): Change {
  const { key } = section;
  if (!layout.complete && !layout.subsections.some(({ name }) => name === edit.subsection)) {
    throw undescribed(section, "the vmdesc leaves some of its bytes open: subsections may be among them");
  }
  const chosen = chooseSubsection(key, edit.subsection, layout.subsections);
  const { path, offset, bytes } = chosen;
  const listed = withoutSubsection(state.listed, layout.subsections.indexOf(chosen), bytes);
  if (listed === undefined) throw new Error(`the vmdesc of ${key} has no subsection ${path}`);
  const before = valueToJson(state.body.slice(offset, offset + bytes));
  state.body = new Uint8Array(Buffer.concat([state.body.subarray(0, offset), state.body.subarray(offset + bytes)]));
  state.listed = listed;
  return { edit, by: "vmdesc", path, before, after: undefined };
}

/** Types whose bytes stand for themselves. Source: wire reference 2.4, and 14.1 for the last. */
const plain = new Set(["buffer", "unused_buffer", "bitmap", "pci config"]);

/** Whatever was decoded to more than its bytes, and bytes that are meant as such. */
function isKnown({ type, value, count }: VmdescValue): boolean {
  return plain.has(type) || !(value instanceof Uint8Array) || (type === "uint8" && count !== undefined);
}

/** 64-bit integers are decimal strings in JSON, bytes base64. What does not fit is left to `encodeByVmdesc` to refuse. */
function leafValueOf(leaf: VmdescValue, value: JsonValue): VmdescLeafValue {
  const { value: now, count, bytes } = leaf;
  if (now instanceof Uint8Array && typeof value === "string") {
    const raw = Buffer.from(value, "base64");
    if (raw.toString("base64") === value) return new Uint8Array(raw);
  }
  const is64 = bytes / (count ?? 1) === 8 && !plain.has(leaf.type);
  const scalar = (one: JsonValue): never =>
    (is64 && isInteger(one) ? BigInt(one) : typeof one === "string" && isInteger(one) ? Number(one) : one) as never;
  return Array.isArray(value) ? value.map(scalar) : scalar(value);
}

const isInteger = (value: JsonValue): value is number | string =>
  Number.isSafeInteger(value) || (typeof value === "string" && /^(-?\d+|0x[0-9a-f]+)$/i.test(value));

function unknownPath(path: string, { values }: VmdescLayout, { key }: Section): CliFault {
  const paths = values.flatMap((leaf) => [
    leaf.path,
    ...(leaf.count !== undefined && leaf.count <= 64 ? elementsOf(leaf).map((one) => one.path) : []),
  ]);
  return new CliFault("EDIT_PATH_UNKNOWN", `${key} has no field ${path}`, {
    exit: 2,
    hint: hintOf(nearest(path, paths)),
  });
}

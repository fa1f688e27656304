// Edits a section through its description: decoded, changed as JSON, encoded, and read back.
import { isDeepStrictEqual } from "node:util";
import {
  type Description,
  decodeRecord,
  encodeRecord,
  isMigrationError,
  MigrationError,
  type SectionSample,
  type WireRecord,
} from "@godwit/core";
import { listRecord, toState, type VmdescDialect, Writer } from "@godwit/core/codec";
import type { VmdescDevice, VmdescMembers } from "@godwit/core/stream";
import { type JsonObject, type JsonValue, recordFromJson, recordToJson } from "@godwit/core/tools";
import { CliFault } from "../faults.ts";
import type { Catalogue, Described } from "../model/catalogue.ts";
import { hintOf, nearest } from "../model/nearest.ts";
import type { Section } from "../model/read-stream.ts";
import { insertSubsection, type SubsectionSlot, subsectionSlots } from "./described-subsections.ts";
import { type OpenObject, opened, pathsIn, placeOf, put } from "./json-path.ts";
import { chooseSubsection } from "./places.ts";
import { unfit } from "./refusal.ts";
import type { Change, EditedSection, SectionEdit } from "./section-edit.ts";
import { relisted } from "./vmdesc-members.ts";

/** What the description refuses has its code, with the section and the field's path. */
export function editByDescription(
  section: Section,
  body: Uint8Array,
  { description }: Described,
  edits: readonly SectionEdit[],
  catalogue: Catalogue,
): EditedSection {
  const { head, key, listed } = section;
  const record = decodeRecord(description, body, { version: head.version, checks: false });
  try {
    const json = opened(recordToJson(description, record)) as OpenObject;
    const changes = edits.map((edit) => carryOut(edit, description, json, key));
    const changed = recordFromJson(description, json as JsonObject);
    const { version, wire } = inVersion(description, changed, edits, head.version);
    const bytes = encodeRecord(description, wire, version);
    const asBefore = version === head.version && sameBytes(bytes, body);
    const after = asBefore ? listed : listed && newListing(listed, description, record, wire);
    const meant = recordToJson(description, { ...wire, $version: version });
    readBack(catalogue, { ...head, version, bytes, vmdesc: after }, meant);
    return { body: bytes, version, changes, listed: after };
  } catch (error) {
    throw isMigrationError(error) ? unfit(error, section) : error;
  }
}

function carryOut(edit: SectionEdit, description: Description, json: OpenObject, section: string): Change {
  switch (edit.kind) {
    case "set":
      return set(edit, json, section);
    case "drop-subsection": {
      const slots = [...subsectionSlots(description, json)].filter(({ present }) => present);
      const { holder, key, path } = chooseSubsection(section, edit.subsection, slots);
      const before = holder[key] as JsonValue;
      delete holder[key];
      return { edit, by: "description", path, before, after: undefined };
    }
    case "add-subsection": {
      const slot = chooseSubsection(section, edit.subsection, [...subsectionSlots(description, json)]);
      return add(edit, slot, section);
    }
    case "version":
      return {
        edit,
        by: "description",
        path: "version_id",
        before: json["$version"] as JsonValue,
        after: edit.version,
      };
  }
}

function set(edit: SectionEdit & { kind: "set" }, json: OpenObject, section: string): Change {
  const { path, value } = edit;
  const place = path === "$version" ? undefined : placeOf(json, path);
  if (place === undefined) {
    const paths = [...pathsIn(json)].filter((one) => one !== "$version");
    throw new CliFault("EDIT_PATH_UNKNOWN", `${section} has no field ${path}`, {
      exit: 2,
      hint: hintOf(nearest(path, paths)),
    });
  }
  put(place, value);
  return { edit, by: "description", path, before: place.value as JsonValue, after: value };
}

function add(edit: SectionEdit & { kind: "add-subsection" }, slot: SubsectionSlot, section: string): Change {
  const { name, path, present, description } = slot;
  if (present)
    throw new CliFault("EDIT_SUBSECTION_PRESENT", `${section} has a subsection ${name}`, {
      exit: 2,
      hint: `--set ${section}#${path}.FIELD=VALUE changes it`,
    });
  const { values } = edit;
  if (typeof values !== "object" || values === null || Array.isArray(values)) {
    throw new CliFault("EDIT_VALUE", `the values of the subsection ${name} are no JSON object`, { exit: 2 });
  }
  const own = { $version: description.version, ...(opened(values) as OpenObject) };
  insertSubsection(slot, own);
  return { edit, by: "description", path, before: undefined, after: own as JsonValue };
}

interface Versioned {
  readonly version: number;
  readonly wire: WireRecord;
}

/** Fields that the new version does not have go; those that only it has are `absent`. */
function inVersion(
  description: Description,
  record: WireRecord,
  edits: readonly SectionEdit[],
  now: number,
): Versioned {
  const version = edits.findLast((edit) => edit.kind === "version")?.version ?? now;
  if (version === now) return { version, wire: record };
  const { minimumVersion, version: newest } = description;
  if (version < minimumVersion || version > newest) {
    throw new MigrationError("SECTION_VERSION", "the section cannot be written in this version", {
      path: "version_id",
      expected: `${minimumVersion} to ${newest}`,
      found: String(version),
    });
  }
  const state = toState(description, record, now) as WireRecord;
  const wire: WireRecord = { $version: version };
  for (const key of Object.keys(description.fields)) {
    if (!existsIn(description, key, wire, version)) continue;
    const value = Object.hasOwn(record, key) ? record[key] : state[key];
    if (value !== undefined) wire[key] = value;
  }
  for (const [key, value] of Object.entries(record)) if (key in description.subsections) wire[key] = value;
  return { version, wire };
}

/** What of a field's data says whether it is there. */
interface Conditional {
  readonly kind: string;
  readonly element?: Conditional;
  readonly mustExist?: boolean;
  readonly exists?: (record: WireRecord, scope: { record: WireRecord; parent: undefined; version: number }) => boolean;
}

function existsIn({ fields }: Description, key: string, record: WireRecord, version: number): boolean {
  for (let field = fields[key] as Conditional | undefined; field !== undefined; field = field.element) {
    if (field.kind === "condition")
      return field.mustExist === true || field.exists?.(record, { record, parent: undefined, version }) === true;
    if (field.kind !== "named") return true;
  }
  return true;
}

/** A value may say how what follows is to be read: what reads back as something else would break whoever loads it. */
function readBack(catalogue: Catalogue, sample: SectionSample, meant: JsonObject): void {
  const { description } = catalogue.describe(sample) ?? {};
  const { bytes, version } = sample;
  const found = description && recordToJson(description, decodeRecord(description, bytes, { version, checks: false }));
  if (!isDeepStrictEqual(found, meant)) {
    throw new MigrationError("EDIT_READ_BACK", "the section with the new values would be read as something else");
  }
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** In the dialect in which the stream lists the section, as far as it can be told. */
function newListing(
  listed: VmdescDevice,
  description: Description,
  before: WireRecord,
  after: WireRecord,
): VmdescDevice {
  const list = (record: WireRecord, dialect: VmdescDialect): VmdescMembers =>
    listRecord(new Writer(), description, record, dialect);
  const fields = JSON.stringify(listed.fields);
  const dialect =
    (["7.2", "10.0"] as const).find((one) => JSON.stringify(list(before, one).fields) === fields) ?? "10.0";
  return relisted(listed, list(before, dialect), list(after, dialect));
}

// From edits to what is taken out of the stream and put in, and what the report says of each.
import { isMigrationError } from "@godwit/core";
import type { Vmdesc, VmdescDevice } from "@godwit/core/stream";
import type { JsonValue } from "@godwit/core/tools";
import { CliFault } from "../faults.ts";
import type { Catalogue } from "../model/catalogue.ts";
import { sectionKeyOf } from "../model/named-section.ts";
import type { Section } from "../model/read-stream.ts";
import { editByDescription } from "./by-description.ts";
import { editByVmdesc } from "./by-vmdesc.ts";
import { commandName } from "./commands.ts";
import type { DevicePart } from "./device-part.ts";
import type { Edit } from "./edit.ts";
import { keepPagesInPlace } from "./mapped-ram.ts";
import { mendPackages, packaged } from "./packages.ts";
import { refusal } from "./refusal.ts";
import type { Change, EditedSection, SectionEdit } from "./section-edit.ts";
import { inOrder, type Splice } from "./splice.ts";
import { renamedConfiguration } from "./vmdesc-members.ts";
import { editVmdescText } from "./vmdesc-text.ts";

/** One edit as `--json` tells it. */
export interface EditDone {
  readonly kind: Edit["kind"];
  /** `idstr/instance`. */
  readonly section?: string;
  readonly path?: string;
  /** What stood there, and what stands there now; absent where nothing did or does. */
  readonly before?: JsonValue;
  readonly after?: JsonValue;
  /** Of the first byte of what was edited, in the stream that was read. Bytes. */
  readonly offset: number;
  readonly by?: "description" | "vmdesc";
}

export interface EditPlan {
  /** In the order of the stream. */
  readonly splices: readonly Splice[];
  readonly done: readonly EditDone[];
  /** Sections that stay, by key, as they must be found in the result. */
  readonly edited: ReadonlyMap<string, EditedSection>;
  /** Keys of sections that are gone. */
  readonly dropped: ReadonlySet<string>;
  readonly machineType: string | undefined;
  /** The text of the new vmdesc; undefined where the stream has none. */
  readonly vmdescText: string | undefined;
  readonly notes: readonly string[];
}

/** `vmdescText`: as it stands in the stream. `catalogue`: what the stream was read with. */
export function planEdits(
  part: DevicePart,
  edits: readonly Edit[],
  vmdescText: string | undefined,
  catalogue: Catalogue,
): EditPlan {
  const plan = new Plan(part, catalogue);
  for (const edit of edits) plan.take(edit);
  return plan.finish(vmdescText);
}

class Plan {
  readonly #part: DevicePart;
  readonly #catalogue: Catalogue;
  readonly #splices: Splice[] = [];
  readonly #done: EditDone[] = [];
  readonly #inside = new Map<string, SectionEdit[]>();
  readonly #dropped = new Set<string>();
  #machineType: string | undefined;

  constructor(part: DevicePart, catalogue: Catalogue) {
    this.#part = part;
    this.#catalogue = catalogue;
    this.#machineType = part.configuration?.machineType;
  }

  take(edit: Edit): void {
    switch (edit.kind) {
      case "machine":
        this.#rename(edit.name);
        break;
      case "drop-command":
        this.#dropCommand(edit.command);
        break;
      case "drop-section":
        this.#dropSection(sectionKeyOf(edit.section, this.#part.sections));
        break;
      default: {
        const section = sectionKeyOf(edit.section, this.#part.sections);
        this.#inside.set(section, [...(this.#inside.get(section) ?? []), { ...edit, section }]);
      }
    }
  }

  finish(text: string | undefined): EditPlan {
    const edited = new Map<string, EditedSection>();
    for (const [key, edits] of this.#inside) edited.set(key, this.#editSection(key, edits));
    const notes: string[] = [];
    const newText = text === undefined ? undefined : this.#describe(text, edited, notes);
    this.#splices.push(...keepPagesInPlace(this.#part, this.#splices));
    this.#splices.push(...mendPackages(this.#part, this.#splices));
    return {
      splices: inOrder(this.#splices),
      done: this.#done,
      edited,
      dropped: this.#dropped,
      machineType: this.#machineType,
      vmdescText: newText,
      notes,
    };
  }

  #rename(name: string): void {
    const { configuration, configurationPlace } = this.#part;
    if (configuration === undefined || configurationPlace === undefined) {
      throw refusal("EDIT_CONFIGURATION", "the stream has no configuration section to name a machine", {
        section: "configuration",
      });
    }
    const before = configuration.machineType;
    const bytes = Buffer.from(name);
    const insert = new Uint8Array(4 + bytes.length);
    new DataView(insert.buffer).setUint32(0, bytes.length);
    insert.set(bytes, 4);
    const offset = configurationPlace.offset + 1;
    this.#machineType = name;
    this.#done.push({
      kind: "machine",
      section: "configuration",
      path: "name",
      before,
      after: name,
      offset: offset + 4,
    });
    if (name !== before) this.#splices.push({ offset, removeBytes: 4 + Buffer.byteLength(before), insert });
  }

  #dropCommand(command: number): void {
    const found = this.#part.commands.filter((one) => one.command === command);
    const called = commandName(command);
    const [first] = found;
    if (first === undefined) {
      const there = new Set(this.#part.commands.map((one) => commandName(one.command)));
      throw new CliFault("EDIT_COMMAND_UNKNOWN", `the stream has no command ${called}`, {
        exit: 2,
        hint: there.size === 0 ? "it has no commands at all" : `it has ${[...there].join(", ")}`,
      });
    }
    if (command === packaged) {
      throw refusal("EDIT_COMMAND", `the command ${called} holds sections, which would stand in the wrong place`, {
        section: "command",
        offset: first.offset,
      });
    }
    for (const { offset, payload } of found) {
      this.#done.push({ kind: "drop-command", path: called, before: Buffer.from(payload).toString("base64"), offset });
      this.#splices.push({ offset, removeBytes: 1 + 2 + 2 + payload.length, insert: new Uint8Array(0) });
    }
  }

  #dropSection(key: string): void {
    if (this.#dropped.has(key)) return;
    const parts = this.#part.sections.filter((one) => one.key === key);
    const [first] = parts as [Section, ...Section[]];
    if (first.head.idstr === "ram") {
      throw refusal("EDIT_ITERABLE", "a machine does not go on without its RAM", {
        section: key,
        offset: first.offset,
      });
    }
    this.#dropped.add(key);
    const { body, offset } = parts.find(({ phase }) => phase === "full") ?? first;
    const before = body === undefined ? {} : { before: Buffer.from(body).toString("base64") };
    this.#done.push({ kind: "drop-section", section: key, ...before, offset });
    for (const one of parts)
      this.#splices.push({ offset: one.offset, removeBytes: one.bytes, insert: new Uint8Array(0) });
  }

  #editSection(key: string, edits: readonly SectionEdit[]): EditedSection {
    if (this.#dropped.has(key))
      throw new CliFault("EDIT_CONFLICT", `${key} is dropped, and edited as well`, { exit: 2 });
    const section = this.#part.sections.find((one) => one.key === key && one.phase === "full");
    const body = section?.body;
    if (section === undefined || body === undefined) {
      throw refusal("EDIT_ITERABLE", "the parts of an iterable section are copied as they are", { section: key });
    }
    const { described, bodyOffset, bodyBytes, head } = section;
    const edited =
      described === undefined || isMigrationError(described)
        ? editByVmdesc(section, body, edits)
        : editByDescription(section, body, described, edits, this.#catalogue);
    const changed = firstDifference(body, edited.body);
    if (changed < Math.max(body.length, edited.body.length)) {
      this.#splices.push({ offset: bodyOffset, removeBytes: bodyBytes, insert: edited.body });
    }
    if (edited.version !== head.version) {
      const version = new Uint8Array(4);
      new DataView(version.buffer).setUint32(0, edited.version);
      this.#splices.push({ offset: bodyOffset - 4, removeBytes: 4, insert: version });
    }
    const at = changed < body.length ? bodyOffset + changed : bodyOffset;
    for (const change of edited.changes)
      this.#done.push(doneOf(change, key, change.edit.kind === "version" ? bodyOffset - 4 : at));
    return edited;
  }

  /** The vmdesc to match. */
  #describe(text: string, edited: ReadonlyMap<string, EditedSection>, notes: string[]): string {
    const { vmdesc, vmdescPlace, configuration } = this.#part;
    if (vmdesc === undefined || vmdescPlace === undefined) throw new Error("a vmdesc's text without the vmdesc");
    const devices = new Map<string, VmdescDevice | "drop">([...this.#dropped].map((key) => [key, "drop"]));
    for (const [key, { listed }] of edited) {
      const before = vmdesc.devices.find(({ name, instance_id }) => `${name}/${instance_id}` === key);
      if (listed !== undefined && JSON.stringify(listed) !== JSON.stringify(before)) devices.set(key, listed);
    }
    const renamed = this.#machineType !== configuration?.machineType;
    const nameBytes = Buffer.byteLength(this.#machineType ?? "");
    const after = editVmdescText(text, {
      devices,
      configuration: renamed
        ? vmdesc.configuration && renamedConfiguration(vmdesc.configuration, nameBytes)
        : undefined,
      drop: this.#staleKeys(vmdesc, devices.size > 0 || renamed, notes),
    });
    if (after === text) return text;
    const bytes = Buffer.from(after);
    const insert = new Uint8Array(4 + bytes.length);
    new DataView(insert.buffer).setUint32(0, bytes.length);
    insert.set(bytes, 4);
    this.#splices.push({ offset: vmdescPlace.offset + 1, removeBytes: vmdescPlace.bytes - 1, insert });
    return after;
  }

  /** Godwit's own manifest names machine, sections and versions: one that no longer holds would be believed. */
  #staleKeys(vmdesc: Vmdesc, changed: boolean, notes: string[]): string[] {
    if (vmdesc.godwit === undefined || !changed) return [];
    notes.push("the manifest in the vmdesc told of the machine before the edit, and is left out");
    return ["godwit"];
  }
}

function doneOf({ edit, by, path, before, after }: Change, section: string, offset: number): EditDone {
  return {
    kind: edit.kind,
    section,
    path,
    ...(before !== undefined && { before }),
    ...(after !== undefined && { after }),
    offset,
    by,
  };
}

/** The index of the first byte in which they differ; the longer one's length where there is none. */
function firstDifference(a: Uint8Array, b: Uint8Array): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) if (a[i] !== b[i]) return i;
  return a.length === b.length ? a.length : shorter;
}

// Real dumps with one field changed at random: every change is found, in both directions, at its place.

import { sideOf } from "@godwit/core/compatibility";
import { haveStreams } from "@godwit/test-support/streams";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { check } from "../src/check/check.ts";
import { type DumpName, dumpText, everything, type JsonDescription, type JsonField } from "./check-support.ts";

type Json = Record<string, { Description: JsonDescription }>;

interface Place {
  readonly section: string;
  readonly holder: JsonDescription;
  readonly at: number;
}

const parsed = new Map<DumpName, Json>();
const jsonOf = (name: DumpName): Json => {
  const json = parsed.get(name) ?? (JSON.parse(dumpText(name)) as Json);
  parsed.set(name, json);
  return json;
};

/** Every field of a class, structs and subsections included. */
function placesIn(section: string, holder: JsonDescription): Place[] {
  const inner = [
    ...(holder.Fields ?? []).flatMap(({ Description }) => Description ?? []),
    ...(holder.Subsections ?? []),
  ];
  return [
    ...(holder.Fields ?? []).map((_, at) => ({ section, holder, at })),
    ...inner.flatMap((one) => placesIn(section, one)),
  ];
}

const mutations: Readonly<Record<string, (fields: JsonField[], at: number) => boolean>> = {
  drop: (fields, at) => fields.splice(at, 1).length === 1,
  add(fields, at) {
    fields.splice(at, 0, { field: "godwit-new", version_id: 0, field_exists: false, size: 4 });
    return true;
  },
  rename(fields, at) {
    (fields[at] as JsonField).field += "-renamed";
    return true;
  },
  size(fields, at) {
    const field = fields[at] as JsonField;
    if (field.Description !== undefined) return false;
    field.size += 3;
    return true;
  },
  test(fields, at) {
    const field = fields[at] as JsonField;
    field.field_exists = !field.field_exists;
    return true;
  },
  since(fields, at) {
    const field = fields[at] as JsonField;
    if (field.field_exists) return false;
    field.version_id += 1;
    return true;
  },
  count(fields, at) {
    const field = fields[at] as JsonField;
    if (field.num === undefined) return false;
    field.num += 1;
    return true;
  },
  swap(fields, at) {
    const [a, b] = [fields[at], fields[at + 1]];
    if (a === undefined || b === undefined || a.field === b.field) return false;
    fields.splice(at, 2, b, a);
    return true;
  },
  pad(fields, at) {
    const field = fields[at] as JsonField;
    if (field.field === "unused" || field.Description !== undefined || field.size === 0) return false;
    fields.splice(at, 1, { field: "unused", version_id: 0, field_exists: false, size: field.size });
    return true;
  },
};

describe.skipIf(!haveStreams())("a real dump with one field changed", () => {
  it.each(["pc-q35-7.2.qemu-10.0", "s390-ccw-virtio-7.2.qemu-10.0", "pseries-7.2.qemu-7.2"] as const)("%s", (name) => {
    const json = jsonOf(name);
    const sections = Object.keys(json).filter((key) => key !== "vmschkmachine");
    const tried = new Set<string>();
    fc.assert(
      fc.property(
        fc.constantFrom(...sections),
        fc.nat(),
        fc.constantFrom(...Object.keys(mutations)),
        (section, seed, kind) => {
          const alone = { vmschkmachine: { Name: "m" }, [section]: json[section] };
          const changed = structuredClone(alone) as unknown as Json;
          const places = placesIn(section, (changed[section] as Json[string]).Description);
          const place = places[seed % Math.max(1, places.length)];
          fc.pre(place !== undefined);
          const { holder, at } = place as Place;
          fc.pre((mutations[kind] as (typeof mutations)[string])(holder.Fields ?? [], at));
          tried.add(kind);
          const { findings } = check(sideOf(alone, "old"), sideOf(changed, "new"), everything);
          for (const direction of ["forward", "backward"] as const) {
            const found = findings.filter((one) => one.direction === direction);
            expect(found.length, `${kind} ${section} ${holder.name}`).toBeGreaterThan(0);
            expect(found.every(({ places: at }) => at.every((one) => one.section === section))).toBe(true);
          }
        },
      ),
      { numRuns: 400, seed: 5 },
    );
    const kinds = Object.keys(mutations).filter((kind) => kind !== "count" || name.endsWith("10.0"));
    expect([...tried].sort()).toEqual(kinds.sort());
  });
});

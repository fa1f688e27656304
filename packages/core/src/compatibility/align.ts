// Which field of the writer stands for which field of the reader: by name and order, then by place, size and padding.
import { MigrationError } from "../errors.ts";
import { type CheckedField, isPadding, wireBytes } from "./model.ts";

export type Pairing =
  | {
      readonly kind: "same" | "renamed" | "moved" | "padding-size";
      readonly writer: CheckedField;
      readonly reader: CheckedField;
    }
  | { readonly kind: "to-padding"; readonly writer: readonly CheckedField[]; readonly reader: CheckedField }
  | { readonly kind: "split"; readonly writer: readonly CheckedField[]; readonly reader: readonly CheckedField[] }
  | { readonly kind: "from-padding"; readonly writer: CheckedField; readonly reader: readonly CheckedField[] }
  | { readonly kind: "removed"; readonly writer: CheckedField }
  | { readonly kind: "added"; readonly reader: CheckedField };

/** Of two lists without their common beginning and end; a real description has at most some hundreds of fields. */
const mostSteps = 1_000_000;

/** Fields that are taken for one together: to look further would take hours where thousands differ. */
const mostTogether = 64;

const cost = { same: 0, changed: 6, padding: 8, paddingSize: 9, dropped: 10, renamed: 12, split: 13 };

/**
 * The cheapest way from the writer's fields to the reader's, in their order. `CHECK_TOO_LARGE` for descriptions that have
 * thousands of fields and little in common. `name`: what to call the description then.
 */
export function align(writer: readonly CheckedField[], reader: readonly CheckedField[], name: string): Pairing[] {
  let from = 0;
  while (from < writer.length && from < reader.length && isSame(writer[from], reader[from])) from++;
  let behind = 0;
  const most = Math.min(writer.length, reader.length) - from;
  while (behind < most && isSame(writer[writer.length - 1 - behind], reader[reader.length - 1 - behind])) behind++;
  const pairs = writer.slice(0, from).map((field, i) => same(field, reader[i] as CheckedField));
  const differing = [writer.slice(from, writer.length - behind), reader.slice(from, reader.length - behind)] as const;
  pairs.push(...alignDiffering(...differing, name));
  for (let i = behind; i > 0; i--) {
    pairs.push(same(writer[writer.length - i] as CheckedField, reader[reader.length - i] as CheckedField));
  }
  return pairMoved(pairs);
}

const same = (writer: CheckedField, reader: CheckedField): Pairing => ({ kind: "same", writer, reader });

const isSame = (a: CheckedField | undefined, b: CheckedField | undefined) =>
  a !== undefined && b !== undefined && a.name === b.name && isAlike(a, b);

/** Same bytes on the wire, as far as dumps tell. */
function isAlike(a: CheckedField, b: CheckedField): boolean {
  if (a.conditional !== b.conditional || (a.description === undefined) !== (b.description === undefined)) return false;
  if (a.count !== undefined && b.count !== undefined && a.count !== b.count) return false;
  return a.description !== undefined ? a.description.name === b.description?.name : a.bytes === b.bytes;
}

interface Step {
  readonly cost: number;
  readonly writers: number;
  readonly readers: number;
  readonly kind: Pairing["kind"];
}

function alignDiffering(writer: readonly CheckedField[], reader: readonly CheckedField[], name: string): Pairing[] {
  const width = reader.length + 1;
  if ((writer.length + 1) * width > mostSteps) {
    const sizes = `${writer.length} of one and ${reader.length} of the other`;
    throw new MigrationError("CHECK_TOO_LARGE", `"${name}" has too many fields that differ: ${sizes}`);
  }
  const names: Names = {
    writer: new Set(writer.map((field) => field.name)),
    reader: new Set(reader.map((field) => field.name)),
    bytes: new Map([...writer, ...reader].map((field) => [field, wireBytes(field)])),
  };
  const best: (Step | undefined)[] = [{ cost: 0, writers: 0, readers: 0, kind: "same" }];
  for (let i = 0; i <= writer.length; i++) {
    for (let j = 0; j <= reader.length; j++) {
      if (i + j === 0) continue;
      let cheapest: Step | undefined;
      for (const step of stepsTo(writer, reader, i, j, names)) {
        const total = (best[(i - step.writers) * width + j - step.readers] as Step).cost + step.cost;
        if (cheapest === undefined || total < cheapest.cost) cheapest = { ...step, cost: total };
      }
      best[i * width + j] = cheapest;
    }
  }
  const pairs: Pairing[] = [];
  for (let i = writer.length, j = reader.length; i + j > 0; ) {
    const { writers, readers, kind } = best[i * width + j] as Step;
    pairs.push(pairing(kind, writer.slice(i - writers, i), reader.slice(j - readers, j)));
    i -= writers;
    j -= readers;
  }
  return pairs.reverse();
}

/** What is asked at every step. */
interface Names {
  readonly writer: ReadonlySet<string>;
  readonly reader: ReadonlySet<string>;
  /** What `wireBytes` says of each. */
  readonly bytes: ReadonlyMap<CheckedField, number | undefined>;
}

/** Every way to come to the place before field `i` of the writer and field `j` of the reader. */
function stepsTo(
  writer: readonly CheckedField[],
  reader: readonly CheckedField[],
  i: number,
  j: number,
  names: Names,
): Step[] {
  const a = writer[i - 1];
  const b = reader[j - 1];
  const steps: Step[] = [];
  if (a !== undefined && b !== undefined) {
    if (a.name === b.name) {
      steps.push({ cost: isAlike(a, b) ? cost.same : cost.changed, writers: 1, readers: 1, kind: "same" });
    } else if (!names.reader.has(a.name) && !names.writer.has(b.name) && mayBeRenamed(a, b)) {
      steps.push({ cost: cost.renamed, writers: 1, readers: 1, kind: "renamed" });
    }
    if (isPadding(b) && !isPadding(a) && !b.conditional) {
      const run = runOf(writer, i, b, names.reader, names.bytes);
      if (run > 0) steps.push({ cost: cost.padding, writers: run, readers: 1, kind: "to-padding" });
      else if (mayBeArray(a, b, names.bytes) && !names.reader.has(a.name)) {
        steps.push({ cost: cost.paddingSize, writers: 1, readers: 1, kind: "padding-size" });
      }
    }
    if (isPadding(a) && !isPadding(b) && !a.conditional) {
      const run = runOf(reader, j, a, names.writer, names.bytes);
      if (run > 0) steps.push({ cost: cost.padding, writers: 1, readers: run, kind: "from-padding" });
      else if (mayBeArray(b, a, names.bytes) && !names.writer.has(b.name)) {
        steps.push({ cost: cost.paddingSize, writers: 1, readers: 1, kind: "padding-size" });
      }
    }
  }
  if (a !== undefined && b !== undefined) steps.push(...splits(writer, reader, i, j, names));
  if (a !== undefined) steps.push({ cost: cost.dropped, writers: 1, readers: 0, kind: "removed" });
  if (b !== undefined) steps.push({ cost: cost.dropped, writers: 0, readers: 1, kind: "added" });
  return steps;
}

function mayBeRenamed(a: CheckedField, b: CheckedField): boolean {
  if (isPadding(a) || isPadding(b)) return false;
  if (a.description !== undefined || b.description !== undefined) return isAlike(a, b);
  return isAlike(a, b) && a.bytes > 0;
}

/** One plain field here, several there that are as long together. */
function splits(
  writer: readonly CheckedField[],
  reader: readonly CheckedField[],
  i: number,
  j: number,
  names: Names,
): Step[] {
  const [a, b] = [writer[i - 1] as CheckedField, reader[j - 1] as CheckedField];
  const readers = mayBeSplit(a) ? partsOf(reader, j, a, names.writer, names.bytes) : 0;
  const writers = mayBeSplit(b) ? partsOf(writer, i, b, names.reader, names.bytes) : 0;
  return [
    ...(readers > 1 ? [{ cost: cost.split, writers: 1, readers, kind: "split" as const }] : []),
    ...(writers > 1 ? [{ cost: cost.split, writers, readers: 1, kind: "split" as const }] : []),
  ];
}

const mayBeSplit = (field: CheckedField) => field.description === undefined && !field.conditional && !isPadding(field);

function partsOf(
  fields: readonly CheckedField[],
  end: number,
  whole: CheckedField,
  elsewhere: ReadonlySet<string>,
  sizes: Names["bytes"],
): number {
  const wanted = sizes.get(whole);
  if (wanted === undefined) return 0;
  let bytes = 0;
  for (let at = end - 1; at >= Math.max(0, end - mostTogether) && bytes < wanted; at--) {
    const field = fields[at] as CheckedField;
    const own = sizes.get(field) || undefined;
    const isElsewhere = elsewhere.has(field.name) && field.name !== whole.name && !isPadding(field);
    if (field.conditional || field.description !== undefined || own === undefined || isElsewhere) return 0;
    bytes += own;
    if (bytes === wanted) return end - at;
  }
  return 0;
}

/** How many fields before `end` the padding stands for: 0 if none do. */
function runOf(
  fields: readonly CheckedField[],
  end: number,
  padding: CheckedField,
  elsewhere: ReadonlySet<string>,
  sizes: Names["bytes"],
): number {
  const wanted = sizes.get(padding);
  if (wanted === undefined) return 0;
  let bytes = 0;
  for (let at = end - 1; at >= Math.max(0, end - mostTogether) && bytes < wanted; at--) {
    const field = fields[at] as CheckedField;
    const own = sizes.get(field) || undefined;
    if (field.conditional || own === undefined || isPadding(field) || elsewhere.has(field.name)) return 0;
    bytes += own;
    if (bytes === wanted) return end - at;
  }
  return 0;
}

/** A dump without counts gives one element's size for an array. */
function mayBeArray(field: CheckedField, padding: CheckedField, sizes: Names["bytes"]): boolean {
  const [own, all] = [sizes.get(field) || undefined, sizes.get(padding)];
  return (
    field.count === undefined &&
    !field.conditional &&
    own !== undefined &&
    all !== undefined &&
    all > own &&
    all % own === 0
  );
}

function pairing(kind: Pairing["kind"], writer: readonly CheckedField[], reader: readonly CheckedField[]): Pairing {
  const [a, b] = [writer[0] as CheckedField, reader[0] as CheckedField];
  switch (kind) {
    case "split":
      return { kind, writer, reader };
    case "to-padding":
      return { kind, writer, reader: b };
    case "from-padding":
      return { kind, writer: a, reader };
    case "removed":
      return { kind, writer: a };
    case "added":
      return { kind, reader: b };
    default:
      return { kind, writer: a, reader: b };
  }
}

/** A field that is gone here and there again elsewhere has moved. */
function pairMoved(pairs: readonly Pairing[]): Pairing[] {
  const added = new Map<string, CheckedField[]>();
  for (const pair of pairs) {
    if (pair.kind === "added") added.set(pair.reader.name, [...(added.get(pair.reader.name) ?? []), pair.reader]);
  }
  const taken = new Set<CheckedField>();
  const found = pairs.map((pair): Pairing => {
    const reader =
      pair.kind === "removed" && !isPadding(pair.writer) ? added.get(pair.writer.name)?.shift() : undefined;
    if (pair.kind !== "removed" || reader === undefined) return pair;
    taken.add(reader);
    return { kind: "moved", writer: pair.writer, reader };
  });
  return found.filter((pair) => pair.kind !== "added" || !taken.has(pair.reader));
}

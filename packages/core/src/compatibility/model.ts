// What a comparison reads: device classes and the descriptions of their sections, from a dump, a vmdesc or our own plugins.

export interface CheckedField {
  readonly name: string;
  /** First version that has it. */
  readonly since: number;
  /** First version that has it no more; no dump of QEMU holds it. */
  readonly until: number | undefined;
  /** An existence test decides, and no dump holds the test. */
  readonly conditional: boolean;
  /** Of one element; 0 where the length is the device's own. For a struct the size in memory, which is not compared. */
  readonly bytes: number;
  /** Our own dumps have the size on the wire; QEMU's have that in memory, which for lists and timers is another. */
  readonly exact: boolean;
  /** Elements of a fixed array, where the dump holds them. */
  readonly count: number | undefined;
  /** As in a vmdesc (`uint32`, `timer`, `vstruct`); no dump of QEMU holds it. */
  readonly type: string | undefined;
  /** Of our own: counts, sizes, checks and nulls that depend on the record, as text to compare. */
  readonly rule: string;
  /** Whether a stream of this side carried it; undefined where no stream was given. */
  readonly sent: boolean | undefined;
  readonly description: CheckedDescription | undefined;
}

export interface CheckedDescription {
  readonly name: string;
  readonly version: number;
  readonly minimum: number;
  readonly fields: readonly CheckedField[];
  readonly subsections: readonly CheckedDescription[];
  /** Known of our own descriptions alone: the name of a priority. */
  readonly priority: string | undefined;
  /** Of our own: whether it is sent early, always, or not at all, as text to compare. */
  readonly rule: string;
  /** Of a subsection: whether a stream of this side carried it; undefined where no stream was given. */
  readonly sent: boolean | undefined;
}

/** A device that a machine could have: its class, and how its section is described. */
export interface CheckedClass {
  readonly name: string;
  readonly description: CheckedDescription;
}

/** A section that a stream had. */
export interface SeenSection {
  readonly idstr: string;
  readonly instance: number;
  /** Of its description; the idstr's last part where a stream says nothing else. */
  readonly name: string;
  readonly description: CheckedDescription | undefined;
}

/** One of the two that are compared. */
export interface Side {
  readonly machine: string;
  readonly classes: readonly CheckedClass[];
  /** Whether its arrays have counts: QEMU before 10.0 leaves them out of its dumps. */
  readonly counts: boolean;
  readonly types: boolean;
  /** Whether its descriptions have priorities: those of our own dumps have. */
  readonly priorities: boolean;
  /** In the stream's order, where a stream or a vmdesc of this side was given. */
  readonly seen: readonly SeenSection[] | undefined;
}

/** Whether a body of that version has the field, as far as versions decide. */
export function isIn({ conditional, since, until }: CheckedField, version: number): boolean {
  return conditional || (since <= version && (until === undefined || version < until));
}

/** What stands where a field once was: its bytes are written as zeros and skipped. */
export function isPadding({ name, type }: CheckedField): boolean {
  return name === "unused" || type === "unused_buffer";
}

/**
 * Bytes that a field takes on the wire, all its elements together. Undefined where the dump does not tell: a length that
 * the device decides, a condition or a subsection inside.
 */
export function wireBytes(field: CheckedField): number | undefined {
  const one = field.description === undefined ? field.bytes || undefined : bodyBytes(field.description);
  return one === undefined ? undefined : one * (field.count ?? 1);
}

function bodyBytes({ fields, subsections, version }: CheckedDescription): number | undefined {
  if (subsections.length > 0) return undefined;
  let bytes = 0;
  for (const field of fields) {
    if (field.conditional) return undefined;
    if (!isIn(field, version)) continue;
    const own = wireBytes(field);
    if (own === undefined) return undefined;
    bytes += own;
  }
  return bytes;
}

// Names for bits: what a table of them looks like, and how a value is told by it.

/** A part of a register that is more than one bit, or that is a number. */
interface BitPart {
  readonly name: string;
  /** Its lowest bit. */
  readonly shift: number;
  readonly bits: number;
  /** Names of its values; one that is not here is told as a number. */
  readonly values?: Readonly<Record<number, string>>;
  /** What the specification has added before it is read: a table's size less one, say. */
  readonly plus?: number;
  /** Told even where it is zero. */
  readonly always?: boolean;
}

export interface BitTable {
  /** By bit number. */
  readonly bits?: Readonly<Record<number, string>>;
  readonly parts?: readonly BitPart[];
}

/** A field that is one of several values. */
export interface ValueTable {
  readonly values: Readonly<Record<number, string>>;
}

export type NameTable = BitTable | ValueTable;

/** The names of what is set, lowest bit first; a bit that has no name is told by its number. */
export function namesIn(table: NameTable, value: number | bigint): string[] {
  const whole = BigInt(value);
  if ("values" in table) {
    const name = table.values[Number(whole)];
    return name === undefined ? [] : [name];
  }
  const { bits = {}, parts = [] } = table;
  const names: { readonly at: number; readonly name: string }[] = [];
  let rest = BigInt.asUintN(64, whole);
  for (const part of parts) {
    const mask = ((1n << BigInt(part.bits)) - 1n) << BigInt(part.shift);
    const own = Number((rest & mask) >> BigInt(part.shift)) + (part.plus ?? 0);
    const isSet = (rest & mask) !== 0n;
    rest &= ~mask;
    if (isSet || part.always) names.push({ at: part.shift, name: `${part.name}=${part.values?.[own] ?? own}` });
  }
  for (let bit = 0; rest !== 0n; bit++, rest >>= 1n) {
    if (rest & 1n) names.push({ at: bit, name: bits[bit] ?? `bit${bit}` });
  }
  return names.sort((a, b) => a.at - b.at).map(({ name }) => name);
}

/** A value with its names: the field itself (`path` is empty), or a register inside a buffer. */
export interface NamedPart {
  readonly path: string;
  readonly value: number | bigint;
  readonly names: readonly string[];
  /** An address or the like: what `--redact` leaves out. */
  readonly isPrivate?: boolean;
}

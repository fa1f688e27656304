// Where the end of a section is, for inferring what its bytes do not say.
import { MigrationError, type SectionSample } from "@godwit/core";

const footerByte = 0x7e;

/** The body's length, by the vmdesc or by what the sample holds; undefined where neither tells. */
export function lengthOf({ vmdesc }: SectionSample): number | undefined {
  if (vmdesc === undefined) return undefined;
  return sizeOf(vmdesc);
}

interface Described {
  readonly fields?: readonly { readonly size: number; readonly array_len?: number }[] | undefined;
  readonly subsections?: readonly (Described & { readonly vmsd_name: string })[] | undefined;
}

function sizeOf({ fields = [], subsections = [] }: Described): number {
  const own = fields.reduce((sum, { size, array_len = 1 }) => sum + size * array_len, 0);
  // A subsection's own head: its type byte, its name's length, its name, its version.
  return subsections.reduce((sum, part) => sum + 6 + part.vmsd_name.length + sizeOf(part), own);
}

/** Whether a section may end at `end`: nothing more is there, or a footer. */
export function mayEndAt(sample: SectionSample, end: number): boolean {
  const known = lengthOf(sample);
  if (known !== undefined) return known === end;
  return end === sample.bytes.length || sample.bytes[end] === footerByte;
}

/** The only one of `candidates`. `PARAMETER_WRONG` where there is none, `PARAMETER_AMBIGUOUS` where there are several. */
export function onlyOne<T>(candidates: readonly T[], parameter: string, expected: string): T {
  const [one] = candidates;
  if (candidates.length === 1) return one as T;
  if (candidates.length === 0) throw wrong(parameter, expected, "none");
  throw new MigrationError("PARAMETER_AMBIGUOUS", "more than one reading fits the section", {
    path: parameter,
    found: candidates.map(String).join(", "),
  });
}

/** Big-endian words of a section. `STREAM_TRUNCATED` where it ends before them. */
export function wordAt({ bytes }: SectionSample, at: number): number {
  if (at + 4 > bytes.length) throw truncated(bytes.length);
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(at);
}

export function longAt(sample: SectionSample, at: number): bigint {
  return (BigInt(wordAt(sample, at)) << 32n) | BigInt(wordAt(sample, at + 4));
}

export function wrong(path: string, expected: string, found: string): MigrationError {
  return new MigrationError("PARAMETER_WRONG", "the section contradicts itself, or is not of this kind", {
    path,
    expected,
    found,
  });
}

export function truncated(length: number): MigrationError {
  return new MigrationError("STREAM_TRUNCATED", "the section ends before its parameters can be told", {
    offset: length,
  });
}

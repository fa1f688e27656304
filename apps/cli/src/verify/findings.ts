// What verify finds: where the bytes are not what would be written again, first things first.
import { isMigrationError, type MigrationError } from "@godwit/core";

export interface Finding {
  /** `BYTES_DIFFER`, `STATE_DIFFERS`, `VMDESC_TEXT`, `VMDESC_SECTIONS`, or the code of the error that a section raised. */
  readonly code: string;
  readonly message: string;
  readonly section: string;
  readonly path: string;
  /** Of the stream. Bytes. */
  readonly offset: number;
  readonly expected?: string;
  readonly found?: string;
}

/** What is kept of them. All are counted. */
const keptFindings = 100;

export class Findings {
  readonly kept: Finding[] = [];
  count = 0;

  add(finding: Finding): void {
    this.count++;
    this.kept.push(finding);
    // Chunks are read before they are handed over, so that findings do not come in the stream's order.
    this.kept.sort((a, b) => a.offset - b.offset);
    if (this.kept.length > keptFindings) this.kept.pop();
  }

  addError(error: MigrationError, section: string, offset: number): void {
    const { code, detail, location, expected, found } = error;
    this.add({
      code,
      message: detail,
      section,
      path: location.path ?? "body",
      offset: location.offset ?? offset,
      ...(expected !== undefined && { expected }),
      ...(found !== undefined && { found }),
    });
  }

  /** Runs what may refuse a section. */
  guard(section: string, offset: number, what: () => void): boolean {
    try {
      what();
      return true;
    } catch (error) {
      if (!isMigrationError(error)) throw error;
      this.addError(error, section, offset);
      return false;
    }
  }
}

/** Index of the first byte that is not the same, a missing one included; -1 for none. */
export function firstDifference(a: Uint8Array, b: Uint8Array): number {
  if (a.length === b.length && Buffer.compare(a, b) === 0) return -1;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return i;
  return length;
}

/** The bytes there, as an error names them: at most eight. */
export function hexAt(bytes: Uint8Array, at: number): string {
  const shown = [...bytes.subarray(at, at + 8)].map((byte) => byte.toString(16).padStart(2, "0"));
  return shown.length === 0 ? "nothing" : `0x${shown.join("")}`;
}

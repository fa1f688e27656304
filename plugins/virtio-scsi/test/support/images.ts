// Back ends that count, wait and fail as a test wants.
import type { ScsiBackend, ScsiOutcome } from "../../src/backend.ts";

/** An image in memory that answers at once. */
export function image(sectors: number): ScsiBackend & { readonly bytes: Uint8Array; readonly log: string[] } {
  const bytes = new Uint8Array(512 * sectors);
  const log: string[] = [];
  return {
    bytes,
    log,
    sizeBytes: bytes.length,
    read(sector, into) {
      log.push(`read ${sector}`);
      into.set(bytes.subarray(512 * sector, 512 * sector + into.length));
    },
    write(sector, data) {
      log.push(`write ${sector}`);
      bytes.set(data, 512 * sector);
    },
    flush() {
      log.push("flush");
    },
  };
}

export interface Held {
  readonly what: string;
  /** Carries it out and answers. */
  finish(): void;
  /** Settles as `retry`. */
  giveBack(): void;
}

/** The same image, but each request waits until the test lets it go; `recall` gives back what waits. */
export function slowImage(of: ScsiBackend): ScsiBackend & { readonly held: Held[]; recalls: number } {
  const held: Held[] = [];
  const wait = (what: string, work: () => unknown): Promise<ScsiOutcome> =>
    new Promise<ScsiOutcome>((resolve) => {
      const end = (then: () => void) => () => {
        held.splice(held.indexOf(entry), 1);
        then();
      };
      const entry = {
        what,
        finish: end(() => {
          work();
          resolve();
        }),
        giveBack: end(() => resolve("retry")),
      };
      held.push(entry);
    });
  const backend = {
    held,
    recalls: 0,
    sizeBytes: of.sizeBytes,
    read: (sector: number, into: Uint8Array) => wait(`read ${sector}`, () => of.read(sector, into)),
    write: (sector: number, bytes: Uint8Array) => wait(`write ${sector}`, () => of.write(sector, bytes)),
    flush: () => wait("flush", () => of.flush()),
    recall() {
      backend.recalls++;
      for (const entry of [...held]) entry.giveBack();
    },
  };
  return backend;
}

/** A sector whose bytes all tell its number. */
export function sectorOf(number: number): Uint8Array {
  return new Uint8Array(512).fill(number);
}

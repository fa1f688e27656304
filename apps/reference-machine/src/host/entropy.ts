// Entropy whose every piece has a number, a seed and a checksum: what is drawn twice, or torn, can be seen.
import { closeSync, fstatSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { EntropyBackend } from "@godwit/virtio-rng";
import { expectedPiece, PIECE_BYTES } from "../peripheral-evidence.ts";

/** Hands out numbers, each once, in their order. */
export interface PieceNumbers {
  next(): number;
}

/** A request waits this long for its piece: one waits nearly always, and so when the machine moves. */
const delayMs = 3;

/** The guest asks for one piece at a time. */
export function numberedEntropy(numbers: PieceNumbers, seed: number): EntropyBackend {
  return {
    async read(bytes) {
      await sleep(delayMs);
      return expectedPiece(numbers.next(), seed).subarray(0, bytes);
    },
  };
}

/** Numbers that both hosts share: a file that grows by a piece for each. */
export class SharedPieces implements PieceNumbers {
  readonly #log: number;

  constructor(folder: string) {
    this.#log = openSync(join(folder, "entropy.log"), "a");
  }

  /** Written before it is handed out, so that no other process hands it out again. */
  next(): number {
    writeSync(this.#log, new Uint8Array(PIECE_BYTES));
    return this.handedOut();
  }

  handedOut(): number {
    return fstatSync(this.#log).size / PIECE_BYTES;
  }

  close(): void {
    closeSync(this.#log);
  }
}

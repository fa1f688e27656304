// The return path of a recording and of a replay: the last word of a destination, by the engine's own codec.
import { isMigrationError } from "@godwit/core";
import { ReturnPathReader as Reader, ReturnPathWriter } from "@godwit/migration/qemu";

const writer = new ReturnPathWriter();

/** `status` 0: the load is over, and went well. */
export const shutMessage = (status: number): Uint8Array => writer.write({ kind: "shut", status });
export const pongMessage = (value: number): Uint8Array => writer.write({ kind: "pong", value });

/** Reads what a destination says; only its last word is of interest. */
export class ReturnPathReader {
  /** What SHUT said: 0 where the load went well. Undefined before it came. */
  shut: number | undefined;
  readonly #reader = new Reader({
    message: (message) => {
      if (message.kind === "shut") this.shut = message.status;
    },
  });

  /** False where this is no return path. */
  push(chunk: Uint8Array): boolean {
    try {
      this.#reader.push(chunk);
      return true;
    } catch (error) {
      if (isMigrationError(error)) return false;
      throw error;
    }
  }
}

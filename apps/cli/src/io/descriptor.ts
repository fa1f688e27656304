// Reads a descriptor to its end: a file, a pipe, a device. Where nothing has come yet and the descriptor does not wait
// (another program made it non-blocking), it is asked again.
import { readSync } from "node:fs";
import { setTimeout } from "node:timers/promises";

/** A pipe brings 64 KiB at a time whatever is asked for; a file what fits. Bytes. */
const chunkBytes = 1 << 20;
const longestWaitMs = 16;

/** One buffer, written over with each chunk. */
export async function* descriptorChunks(descriptor: number): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(chunkBytes);
  for (let waitMs = 1; ; ) {
    const got = readOrWait(descriptor, buffer);
    if (got === 0) return;
    if (got === undefined) {
      await setTimeout(waitMs);
      waitMs = Math.min(2 * waitMs, longestWaitMs);
    } else {
      waitMs = 1;
      yield buffer.subarray(0, got);
    }
  }
}

/** Undefined where nothing has come yet. */
function readOrWait(descriptor: number, buffer: Uint8Array): number | undefined {
  try {
    return readSync(descriptor, buffer, 0, buffer.length, null);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EAGAIN" || code === "EWOULDBLOCK" || code === "EINTR") return undefined;
    // Windows tells the end of a pipe so.
    if (code === "EOF") return 0;
    throw error;
  }
}

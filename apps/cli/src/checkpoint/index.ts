// Checkpoint files: recordings of streams that share their pages. The format stands in format.ts.
import { openCheckpoint } from "./checkpoint.ts";
import type { RecordingEntry } from "./file-index.ts";

export { openCheckpoint } from "./checkpoint.ts";
export type { RecordingEntry } from "./file-index.ts";
export { isCheckpoint } from "./format.ts";
export { type RecordReport, recordStream } from "./record.ts";

/** The stream of the last recording of the file, or of the one of that name, byte for byte. `CHECKPOINT_*`. */
export async function* replayChunks(storePath: string, name?: string): AsyncGenerator<Uint8Array> {
  const checkpoint = await openCheckpoint(storePath);
  try {
    yield* checkpoint.replay(name);
  } finally {
    await checkpoint.close();
  }
}

/** In the order in which they were recorded. `CHECKPOINT_*`. */
export async function listRecordings(storePath: string): Promise<readonly RecordingEntry[]> {
  const checkpoint = await openCheckpoint(storePath);
  await checkpoint.close();
  return checkpoint.recordings;
}

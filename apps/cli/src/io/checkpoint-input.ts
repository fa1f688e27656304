// A recording of a checkpoint file as an input like any other: its stream, put together as it is read.
import { openCheckpoint } from "../checkpoint/index.ts";
import { atFile } from "../checkpoint/peers.ts";
import type { Input } from "./input.ts";

/** `input` is the file, which is read by its index instead. `CHECKPOINT_*`; exit 2 for what the system refuses. */
export async function checkpointInput(input: Input, path: string, recording?: string): Promise<Input> {
  const checkpoint = await atFile(input.name, openCheckpoint(path));
  try {
    const chosen = (async () => checkpoint.recording(recording))();
    const { name, streamBytes } = await atFile(input.name, chosen);
    input.close();
    return {
      name: input.name,
      compression: "none",
      checkpoint: { recording: name, recordings: checkpoint.recordings },
      sizeBytes: streamBytes,
      chunks: () => checkpoint.replay(recording),
      tail: () => undefined,
      readAt: () => undefined,
      close: () => void checkpoint.close(),
    };
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}

// What a checkpoint file can fail with: MigrationErrors that name the file and the byte in it.
import { MigrationError } from "@godwit/core";

/** Stable codes of checkpoint files, beside those of `@godwit/core`. */
export const checkpointErrorCodes = {
  CHECKPOINT_BUSY: "another recording into the same checkpoint file is under way",
  CHECKPOINT_CHECKSUM: "bytes of the checkpoint file are not what was written",
  CHECKPOINT_INDEX: "the checkpoint file's index contradicts itself or the file",
  CHECKPOINT_MAGIC: "this is not a checkpoint file",
  CHECKPOINT_NAME: "the checkpoint file has no recording of that name, or has one already",
  CHECKPOINT_TRUNCATED: "the checkpoint file is cut off, or was appended to",
  CHECKPOINT_VERSION: "the checkpoint file is of a version that is not read here",
} as const;

type CheckpointErrorCode = keyof typeof checkpointErrorCodes;

export interface CheckpointPlace {
  readonly file: string;
  /** In the file. Bytes. */
  readonly offset: number;
  /** What stands there: `header.magic`, `chunks[7]`, `index.recordings[0].name`. */
  readonly path: string;
  readonly expected?: string | undefined;
  readonly found?: string | undefined;
  readonly cause?: unknown;
}

export function checkpointError(
  code: CheckpointErrorCode,
  detail: string,
  { file, ...place }: CheckpointPlace,
): MigrationError {
  return new MigrationError(code, `${file}: ${detail}`, place);
}

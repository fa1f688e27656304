// Post-copy's second connection: the records of urgent pages, without framing, up to an EOS. Source: wire reference 9.6.
import { type BodyDecoder, Cursor, isMigrationError, MigrationError } from "@godwit/core";
import { ramDecoder } from "./ram-decoder.ts";
import type { StagedBlock, StagedMemory } from "./staged-memory.ts";

export interface UrgentInput {
  /** Takes bytes, and keeps no reference to them. The codes of the ram section; `STREAM_TRAILING` behind the EOS. */
  push(bytes: Uint8Array): void;
  /** No more bytes come. `STREAM_TRUNCATED` before the EOS. */
  end(): void;
  /** The EOS has come. */
  readonly isEnded: boolean;
}

/** A connection's decoder: CONTINUE means the last block of this connection. */
export function urgentChannel(memory: StagedMemory, pageBytes: number): UrgentInput {
  const cursor = new Cursor();
  const blocks = new Map(memory.blocks.map((block) => [block.idstr, block]));
  const decoder: BodyDecoder = ramDecoder<StagedBlock>(memory, "part", pageBytes, {
    records: {},
    blocks,
    named: undefined,
  });
  let isEnded = false;
  const at = { side: "destination" as const, section: "ram/0" };
  return {
    get isEnded() {
      return isEnded;
    },
    push(bytes) {
      cursor.append(bytes);
      try {
        isEnded ||= decoder.resume(cursor);
      } catch (error) {
        throw isMigrationError(error) ? error.at({ ...at, offset: cursor.offset }) : error;
      }
      if (isEnded && cursor.available > 0) {
        const detail = "bytes follow the end of the urgent pages";
        throw new MigrationError("STREAM_TRAILING", detail, { ...at, offset: cursor.offset });
      }
      cursor.release();
    },
    end() {
      if (isEnded) return;
      const detail = "the urgent pages have no end";
      throw new MigrationError("STREAM_TRUNCATED", detail, { ...at, path: decoder.path(), offset: cursor.offset });
    },
  };
}

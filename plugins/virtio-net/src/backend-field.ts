// The state of a vhost-user back end inside a section: length and bytes, repeated, until a length of 0.
import { buffer, type CustomItem, customField, type Field, range, u32 } from "@godwit/core";

// The marker of an error on the sending side has the top bit set; a real chunk is far below.
const maxChunkBytes = 64 * 1024 * 1024;
const lengthField = range(u32, 0, maxChunkBytes);

interface Steps {
  chunks: Uint8Array[];
  /** Bytes of the chunk that comes next; undefined: a length comes next. */
  length: number | undefined;
  ended: boolean;
}

/** Opaque chunks, each as it was sent. A length beyond the bound is `FIELD_CHECK`. */
export const backendField: Field<readonly Uint8Array[]> = customField<readonly Uint8Array[], Steps>({
  kind: "vhost-user device state",
  begin: () => ({ chunks: [], length: undefined, ended: false }),
  next: (steps) => {
    if (steps.ended) return undefined;
    return steps.length === undefined ? lengthField : buffer(steps.length, { max: maxChunkBytes });
  },
  take: (steps, value) => {
    if (steps.length !== undefined) {
      steps.chunks.push(value as Uint8Array);
      steps.length = undefined;
    } else if (value === 0) steps.ended = true;
    else steps.length = value as number;
  },
  end: (steps) => steps.chunks,
  segment: (steps) => `[${steps.chunks.length}]`,
  *encode(chunks): Iterable<CustomItem> {
    for (const [index, bytes] of chunks.entries()) {
      const segment = `[${index}]`;
      yield { field: range(u32, 1, maxChunkBytes), value: bytes.length, segment };
      yield { field: buffer(bytes.length), value: bytes, segment };
    }
    yield { field: lengthField, value: 0 };
  },
});

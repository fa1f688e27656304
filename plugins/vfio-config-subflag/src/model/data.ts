// The modelled vendor's own data format: what stands in a DEV_DATA_STATE chunk. A chunk is a run of whole records.
import { Cursor, type Writer } from "@godwit/core";

/** be32 kind, then what the kind says; be64 addresses are bus addresses within the device's BAR 0. */
export type ModelRecord =
  /** What the device is; first of all. */
  | { readonly kind: "identity"; readonly memoryBytes: number }
  /** A page of device memory. */
  | { readonly kind: "page"; readonly address: bigint; readonly bytes: Uint8Array }
  /** The registers; last of all. */
  | { readonly kind: "registers"; readonly jobs: bigint; readonly checksum: number };

export const pageBytes = 1024;
const kinds = { identity: 1, page: 2, registers: 3 } as const;
export const recordBytes: Readonly<Record<ModelRecord["kind"], number>> = {
  identity: 8,
  page: 12 + pageBytes,
  registers: 16,
};

export function writeModelRecord(out: Writer, record: ModelRecord): void {
  out.u32(kinds[record.kind]);
  if (record.kind === "identity") out.u32(record.memoryBytes);
  else if (record.kind === "page") {
    out.u64(record.address);
    out.raw(record.bytes);
  } else {
    out.u64(record.jobs);
    out.u32(record.checksum);
  }
}

/** The records of a chunk, whose page bytes are views of it. Throws where it is no run of whole records. */
export function modelRecords(chunk: Uint8Array): readonly ModelRecord[] {
  const cursor = new Cursor(chunk);
  const found: ModelRecord[] = [];
  while (cursor.available > 0) {
    const at = cursor.pos;
    const kind = kindOf(cursor.available >= 4 ? cursor.u32() : 0);
    if (kind === undefined || chunk.length - at < recordBytes[kind]) {
      throw new Error(`no whole record at byte ${at} of the chunk`);
    }
    if (kind === "identity") found.push({ kind, memoryBytes: cursor.u32() });
    else if (kind === "registers") found.push({ kind, jobs: cursor.u64(), checksum: cursor.u32() });
    else {
      const address = cursor.u64();
      found.push({ kind, address, bytes: chunk.subarray(cursor.pos, cursor.pos + pageBytes) });
      cursor.pos += pageBytes;
    }
  }
  return found;
}

function kindOf(code: number): ModelRecord["kind"] | undefined {
  return (Object.keys(kinds) as ModelRecord["kind"][]).find((kind) => kinds[kind] === code);
}

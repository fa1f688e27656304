// The checkpoint file itself: damage of every kind is found, and told with the file and the byte.
import { readFileSync, writeFileSync } from "node:fs";
import { crc32 } from "node:zlib";
import { isMigrationError } from "@godwit/core";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { type Form, form, ownForm } from "../src/checkpoint/compression.ts";
import { encodeIndex, type FileIndex, type RecordingEntry } from "../src/checkpoint/file-index.ts";
import { chunkKind, encodeHeader, encodeTrailer } from "../src/checkpoint/format.ts";
import { isCheckpoint, listRecordings, openCheckpoint } from "../src/checkpoint/index.ts";
import { NumberReader, unzigzag, writeNumber, zigzag } from "../src/checkpoint/order.ts";
import { StoreWriter } from "../src/checkpoint/store-writer.ts";
import { codeOf, isSame, makeFolder, replayedBytes } from "./checkpoint-support.ts";

const folder = makeFolder();
afterAll(() => folder.remove());

const pageBytes = 1024;
const facts = { createdMs: 1_700_000_000_000, machine: "pc", whole: true, returnPath: false };
/** Not all of it can be compressed. */
const noise = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => Math.imul((i + 1) * seed, 2654435761) >>> 13);
const page = (seed: number): Uint8Array => new Uint8Array(pageBytes).fill(seed).fill(0, 10 * seed, 500);

interface Part {
  readonly rest?: Uint8Array;
  readonly page?: Uint8Array;
}

/** Writes a recording of these parts; the stream that they are. */
async function written(store: string, parts: readonly Part[], wanted: Form = ownForm): Promise<Uint8Array> {
  const writer = await StoreWriter.begin(store, { pageIndexBytes: 1 << 20, form: wanted });
  writer.usePageBytes(pageBytes);
  for (const { rest, page } of parts) {
    if (rest !== undefined) writer.rest(rest);
    if (page !== undefined) writer.page(page);
  }
  await writer.complete(facts);
  return new Uint8Array(Buffer.concat(parts.flatMap((part) => Object.values(part) as Uint8Array[])));
}

const first: readonly Part[] = [
  { rest: noise(40, 3), page: page(1) },
  { page: page(2) },
  { rest: noise(8, 5), page: page(1) },
  { rest: noise(20, 7) },
];
const second: readonly Part[] = [{ rest: noise(9, 11), page: page(2) }, { page: page(3) }, { page: page(1) }];

async function indexOf(store: string): Promise<FileIndex> {
  const checkpoint = await openCheckpoint(store);
  await checkpoint.close();
  return checkpoint;
}

/** Opens a file of these bytes and reads all that it has. */
async function readAll(bytes: Uint8Array): Promise<void> {
  const path = folder.of("damaged");
  writeFileSync(path, bytes);
  const checkpoint = await openCheckpoint(path);
  try {
    await checkpoint.verify();
  } finally {
    await checkpoint.close();
  }
}

async function expectFound(bytes: Uint8Array, what: string, codes: RegExp): Promise<void> {
  const error: unknown = await readAll(bytes).catch((reason: unknown) => reason);
  if (!isMigrationError(error)) throw new Error(`${what}: ${error}`);
  expect(error.code, what).toMatch(codes);
  expect(error.message, what).toContain(folder.of("damaged"));
  expect(error.location.offset, what).toBeGreaterThanOrEqual(0);
  expect(error.location.offset, what).toBeLessThanOrEqual(bytes.length);
}

describe("a checkpoint file", () => {
  it("gives back what was recorded, pages of older recordings too", async () => {
    const store = folder.of("two");
    const a = await written(store, first);
    const b = await written(store, second);
    expect(await replayedBytes(store, "1")).toEqual(a);
    expect(await replayedBytes(store, "2")).toEqual(b);
    expect(await replayedBytes(store)).toEqual(b);
    expect(isCheckpoint(readFileSync(store))).toBe(true);
    expect(isCheckpoint(a)).toBe(false);
    const [one, two] = await listRecordings(store);
    expect(one).toEqual({
      ...facts,
      name: "1",
      pageBytes,
      chunkCount: 4,
      pages: 3,
      newPages: 2,
      streamBytes: a.length,
      crc: crc32(a),
    });
    expect(two).toMatchObject({ name: "2", pages: 3, newPages: 1, streamBytes: b.length, crc: crc32(b) });
    expect(await codeOf(replayedBytes(store, "3"))).toBe("CHECKPOINT_NAME");
  });

  it("finds every bit that is not what was written", async () => {
    const store = folder.of("bits");
    await written(store, first);
    await written(store, second);
    const bytes = new Uint8Array(readFileSync(store));
    expect(bytes.length).toBeLessThan(1500);
    await expect(readAll(bytes)).resolves.toBeUndefined();
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const flipped = bytes.slice();
      (flipped[bit >> 3] as number) ^= 1 << (bit & 7);
      await expectFound(flipped, `bit ${bit}`, /^CHECKPOINT_(MAGIC|CHECKSUM|TRUNCATED)$/);
    }
  });

  it("finds every cut, and whatever was appended", async () => {
    const store = folder.of("cuts");
    await written(store, first);
    // The old file as a whole stands in what a careless writer would have made of it.
    const bytes = new Uint8Array(readFileSync(store));
    for (let length = 0; length < bytes.length; length++) {
      await expectFound(bytes.slice(0, length), `cut at ${length}`, /^CHECKPOINT_TRUNCATED$/);
    }
    const twice = new Uint8Array(Buffer.concat([bytes, bytes]));
    for (const length of [1, 4, 32, bytes.length]) {
      const longer = twice.slice(0, bytes.length + length);
      await expectFound(longer, `${length} more`, /^CHECKPOINT_TRUNCATED$/);
    }
  });

  it("does not take what is no checkpoint file", async () => {
    for (const bytes of [new Uint8Array(100), Uint8Array.of(0x51, 0x45, 0x56, 0x4d), noise(4096, 1)]) {
      await expectFound(bytes, "no checkpoint", /^CHECKPOINT_MAGIC$/);
    }
    const store = folder.of("newer");
    await written(store, first);
    const newer = new Uint8Array(readFileSync(store));
    newer[9] = 2;
    new DataView(newer.buffer).setUint32(12, crc32(newer.subarray(0, 12)));
    await expectFound(newer, "version 2", /^CHECKPOINT_VERSION$/);
  });

  it("refuses an index that lies, whatever its checksums", async () => {
    const store = folder.of("honest");
    await written(store, first);
    const { chunks, recordings } = await indexOf(store);
    const chunksEnd = chunks.reduce((sum, { storedBytes }) => sum + storedBytes, 16);
    const content = readFileSync(store).subarray(16, chunksEnd);
    const withIndex = (index: FileIndex): Uint8Array => forged(content, encodeIndex(index));
    await expect(readAll(withIndex({ chunks, recordings }))).resolves.toBeUndefined();
    const [recording] = recordings;
    const [chunk] = chunks;
    if (recording === undefined || chunk === undefined) throw new Error("nothing was written");
    const lies: Readonly<Record<string, FileIndex>> = {
      "a chunk of no kind": { recordings, chunks: [{ ...chunk, kind: 9 as never }, ...chunks.slice(1)] },
      "a chunk of no form": { recordings, chunks: [{ ...chunk, form: 9 as never }, ...chunks.slice(1)] },
      "a chunk too long": { recordings, chunks: [{ ...chunk, plainBytes: 1 << 30 }, ...chunks.slice(1)] },
      "a chunk too short": { recordings, chunks: [{ ...chunk, storedBytes: 1 }, ...chunks.slice(1)] },
      "a chunk of nobody's": { recordings: [{ ...recording, chunkCount: 3 }], chunks },
      "a chunk that is not there": { recordings: [{ ...recording, chunkCount: 5 }], chunks },
      "two of a name": { recordings: [recording, { ...recording, chunkCount: 0, pages: 0, newPages: 0 }], chunks },
      "a page size that cannot be": { recordings: [{ ...recording, pageBytes: 1000 }], chunks },
      "more new pages than pages": { recordings: [{ ...recording, pages: 1 }], chunks },
      "more pages than bytes": { recordings: [{ ...recording, pages: 9 }], chunks },
      "a length that is none": { recordings: [{ ...recording, streamBytes: -1 }], chunks },
      "no name": { recordings: [{ ...recording, name: 7 as never }], chunks },
      "another length of a chunk": {
        recordings,
        chunks: [{ ...chunk, plainBytes: chunk.plainBytes + 1 }, ...chunks.slice(1)],
      },
      "another form of a chunk": {
        recordings,
        chunks: chunks.map((one) => (one.form === 0 ? one : { ...one, form: (3 - one.form) as Form })),
      },
    };
    for (const [what, index] of Object.entries(lies)) await expectFound(withIndex(index), what, /^CHECKPOINT_INDEX$/);
    for (const [what, index] of Object.entries({
      nothing: new Uint8Array(0),
      text: noise(30, 9),
      nil: Uint8Array.of(0xc0),
    })) {
      await expectFound(forged(content, index), what, /^CHECKPOINT_INDEX$/);
    }
    // What only a replay can see.
    for (const lie of [{ crc: 1 }, { streamBytes: recording.streamBytes + 1 }]) {
      await expectFound(
        withIndex({ chunks, recordings: [{ ...recording, ...lie }] }),
        "a sum",
        /^CHECKPOINT_CHECKSUM$/,
      );
    }
  });

  it("keeps the last piece of a stream back that is not the one recorded", async () => {
    const store = folder.of("kept-back");
    const stream = await written(store, first);
    const { chunks, recordings } = await indexOf(store);
    const content = readFileSync(store).subarray(
      16,
      chunks.reduce((sum, { storedBytes }) => sum + storedBytes, 16),
    );
    writeFileSync(
      store,
      forged(content, encodeIndex({ chunks, recordings: recordings.map((one) => ({ ...one, crc: 1 })) })),
    );
    const seen: Uint8Array[] = [];
    const checkpoint = await openCheckpoint(store);
    await expect(
      (async () => {
        for await (const piece of checkpoint.replay()) seen.push(piece);
      })(),
    ).rejects.toMatchObject({ code: "CHECKPOINT_CHECKSUM" });
    await checkpoint.close();
    expect(isSame(Buffer.concat(seen), stream.subarray(0, stream.length - 20))).toBe(true);
  });

  it("never gives more than a recording says that it has, however often its order takes a page", async () => {
    const store = folder.of("more");
    const stream = await written(store, first);
    const { chunks, recordings } = await indexOf(store);
    const content = readFileSync(store).subarray(
      16,
      chunks.reduce((sum, { storedBytes }) => sum + storedBytes, 16),
    );
    const [recording] = recordings as [RecordingEntry];
    const streamBytes = recording.pages * recording.pageBytes;
    expect(streamBytes).toBeLessThan(stream.length);
    writeFileSync(store, forged(content, encodeIndex({ chunks, recordings: [{ ...recording, streamBytes }] })));
    let taken = 0;
    const checkpoint = await openCheckpoint(store);
    await expect(
      (async () => {
        for await (const piece of checkpoint.replay()) taken += piece.length;
      })(),
    ).rejects.toMatchObject({ code: "CHECKPOINT_CHECKSUM" });
    await checkpoint.close();
    expect(taken).toBeLessThanOrEqual(streamBytes);
  });

  it("is compressed by what the runtime has, else by deflate, or not at all", async () => {
    const made: number[] = [];
    for (const wanted of new Set([form.plain, form.deflate, ownForm])) {
      const store = folder.of(`form-${wanted}`);
      const stream = await written(store, first, wanted);
      expect(await replayedBytes(store)).toEqual(stream);
      const pages = (await indexOf(store)).chunks.find(({ kind }) => kind === chunkKind.pages);
      expect(pages?.form).toBe(wanted);
      made.push(pages?.storedBytes as number);
    }
    expect(made[0]).toBe(2 * pageBytes);
    for (const bytes of made.slice(1)) expect(bytes).toBeLessThan(200);
  });

  it("takes parts of any length, and gives back their bytes", async () => {
    const parts = fc.array(
      fc.record({ restBytes: fc.constantFrom(0, 1, 9, 300, 300_000), page: fc.integer({ min: 0, max: 6 }) }),
      { maxLength: 30 },
    );
    let run = 0;
    await fc.assert(
      fc.asyncProperty(parts, async (list) => {
        const store = folder.of(`parts-${run++}`);
        const made = list.map(({ restBytes, page: n }, i) => ({
          rest: noise(restBytes, i + 1),
          ...(n > 0 && { page: page(n) }),
        }));
        const stream = await written(store, made);
        expect(isSame(await replayedBytes(store), stream)).toBe(true);
      }),
      { seed: 20_261_121, numRuns: 30 },
    );
  });
});

/** A file of these chunks and this index, with sums that are right. */
function forged(content: Uint8Array, index: Uint8Array): Uint8Array {
  const trailer = encodeTrailer({
    indexOffset: 16 + content.length,
    storedBytes: index.length,
    plainBytes: index.length,
    form: 0,
    crc: crc32(index),
  });
  return new Uint8Array(Buffer.concat([encodeHeader(), content, index, trailer]));
}

describe("numbers of the order", () => {
  it("are read as they were written", () => {
    const number = fc.maxSafeInteger();
    fc.assert(
      fc.property(fc.array(number, { maxLength: 20 }), (numbers) => {
        const bytes = new Uint8Array(200);
        let end = 0;
        const written = numbers.map((one) => zigzag(Math.trunc(one / 2)));
        for (const one of written) end = writeNumber(bytes, end, one);
        const reader = new NumberReader(bytes.subarray(0, end));
        for (const one of numbers) expect(unzigzag(reader.next() as number)).toBe(Math.trunc(one / 2) + 0);
        expect(reader.ended).toBe(true);
        expect(reader.next()).toBeUndefined();
      }),
      { seed: 20_261_121 },
    );
  });

  it("end where they end, and are not longer than can be", () => {
    expect(new NumberReader(Uint8Array.of(0x80)).next()).toBeUndefined();
    expect(new NumberReader(new Uint8Array(9).fill(0x80)).next()).toBeUndefined();
    expect(new NumberReader(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)).next()).toBeUndefined();
    expect(new NumberReader(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f)).next()).toBe(2 ** 53 - 1);
  });
});

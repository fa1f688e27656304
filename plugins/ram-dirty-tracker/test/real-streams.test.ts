// RAM of real QEMU streams through the load path: into staged memory in every chunking, and out again to QEMU's bytes.
import { haveStreams, type ManifestStream, manifest, readStream } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { type RamSection, ramWalker } from "../src/index.ts";
import { wholeBytes } from "./support/feed.ts";
import { bytesOf, page, rig, testBlock } from "./support/rig.ts";
import { walkRam } from "./support/stream.ts";

const here = haveStreams();

const described = (raw: string): ManifestStream => {
  const file = manifest()
    .flatMap(({ files }) => files)
    .find((each) => each.raw === raw);
  if (file?.stream === undefined) throw new Error(`${raw} is not in the manifest`);
  return file.stream;
};

/** Blocks as the stream's manifest lists them, `pc.ram` at guest address 0, in a handler. */
function machineOf({ ram_blocks }: ManifestStream) {
  const blocks = ram_blocks.map(({ idstr, bytes }) =>
    testBlock(idstr, bytes, idstr === "pc.ram" ? { map: [{ gpa: 0, offset: 0, length: bytes }] } : {}),
  );
  return { blocks, ...rig(blocks.map(({ block }) => block)) };
}

/** Loads the RAM of a stream; gives the machine and its sections' data. */
function load(raw: string, chunkBytes: number) {
  const machine = machineOf(described(raw));
  const staged = machine.stage();
  const parts = walkRam<RamSection>(readStream(raw), chunkBytes, (phase, previous) =>
    staged.decoder(phase, 4, previous),
  );
  return { ...machine, staged, parts };
}

const sum = (parts: readonly { readonly value: RamSection }[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const { value } of parts) {
    for (const [kind, count] of Object.entries(value.records)) counts[kind] = (counts[kind] ?? 0) + count;
  }
  return counts;
};

describe.skipIf(!here)("RAM of real streams", () => {
  it.each([
    ["q35-bare-7.2.stream", [1, 7, 4096, wholeBytes]],
    ["tiny-precopy-7.2.stream", [4096, wholeBytes]],
  ])("%s loads alike in chunks of %j: sections, bytes, records and blocks are the manifest's", (raw, chunks) => {
    const stream = described(raw);
    const loads = chunks.map((chunkBytes) => {
      const { blocks, staged, parts, offer } = load(raw, chunkBytes);
      const bytes = parts.reduce((all, { begin, end }) => all + end - begin, 0);
      expect(bytes).toBe(stream.sections.find(({ idstr }) => idstr === "ram")?.bytes);
      expect(parts.filter(({ phase }) => phase === "part")).toHaveLength(stream.iter_parts["ram/part"] ?? 0);
      expect(sum(parts)).toEqual(stream.ram_records);
      for (const { value } of parts) {
        expect([...value.blocks.values()].map(({ idstr, length }) => ({ idstr, bytes: length }))).toEqual(
          stream.ram_blocks,
        );
      }
      staged.commit();
      expect(offer.statistics().received).toEqual({
        zeroPages: stream.ram_records.zero,
        normalPages: stream.ram_records.page,
        xbzrlePages: 0,
        compressedPages: 0,
        missingPages: 0,
        allocatedBytes: stream.ram_blocks.reduce((all, block) => all + block.bytes, 0),
      });
      return {
        memories: blocks.map(({ memory }) => memory()),
        fields: parts.reduce((all, { fields }) => all + fields, 0),
      };
    });
    for (const { memories, fields } of loads) {
      expect(fields).toBe(loads[0]?.fields);
      for (const [index, memory] of memories.entries()) {
        expect(Buffer.compare(memory, loads[0]?.memories[index] ?? new Uint8Array(0))).toBe(0);
      }
    }
  });

  it("tiny-precopy: each page of the guest's pattern holds its address and a pass number, in staged memory too", () => {
    const { staged, offer } = load("tiny-precopy-7.2.stream", 1 << 16);
    const passes = (memory: { read(gpa: number, length: number): Uint8Array }): number[] => {
      const found: number[] = [];
      for (let gpa = 0x20_0000; gpa < 0xa0_0000; gpa += page) {
        const head = memory.read(gpa, 8);
        const view = new DataView(head.buffer, head.byteOffset, 8);
        expect(view.getUint32(0, true)).toBe(gpa);
        found.push(view.getUint32(4, true));
      }
      return found;
    };
    expect(() => passes(offer.memory)).toThrow();
    const before = passes(staged.offer());
    staged.commit();
    expect(passes(offer.memory)).toEqual(before);
    // The guest stood in the middle of a pass at most: neighbours differ by one, once.
    expect(before[0]).toBeGreaterThan(2);
    expect(Math.max(...before) - Math.min(...before)).toBeLessThanOrEqual(1);
    expect(before).toEqual(before.toSorted((a, b) => b - a));
  });

  it.each(["q35-bare-7.2.stream", "q35-bare-10.0-m10.0.stream", "i440fx-bare-10.0-m7.2.stream"])(
    "%s, loaded and sent again, gives QEMU's own bytes",
    (raw) => {
      const { staged, parts, handler } = load(raw, 1 << 20);
      staged.commit();
      const stream = readStream(raw);
      expect(parts.map(({ phase }) => phase)).toEqual(["start", "part", "end"]);
      const sent = [
        bytesOf((out) => handler.setup(out)),
        bytesOf((out) => handler.iterate(out, 1 << 30)),
        bytesOf((out) => handler.complete(out, 1 << 30)),
      ];
      for (const [index, { begin, end, phase }] of parts.entries()) {
        const qemus = stream.subarray(begin, end);
        expect(sent[index]?.length, phase).toBe(qemus.length);
        expect(Buffer.compare(sent[index] as Uint8Array, qemus), phase).toBe(0);
      }
    },
  );

  it("tiny-compress: refused by a load that cannot inflate, at the first such record", () => {
    const refusal = { code: "RAM_ENCODING", found: expect.stringContaining("COMPRESS_PAGE") };
    expect(() => load("tiny-compress-7.2.stream", 1 << 20)).toThrow(expect.objectContaining(refusal));
  });

  it("tiny-mappedram: the longer block list is told from a plain one", () => {
    const walker = ramWalker();
    expect(() =>
      walkRam<RamSection>(readStream("tiny-mappedram-10.0.stream"), 1 << 20, (phase, previous) =>
        walker.decoder(phase, previous),
      ),
    ).toThrow(
      expect.objectContaining({
        code: "RAM_ENCODING",
        location: expect.objectContaining({ path: "blocks[1].idstr" }),
        detail: expect.stringContaining("mapped-ram"),
      }),
    );
  });
});

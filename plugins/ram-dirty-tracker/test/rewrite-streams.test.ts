// The RAM of every stream of real QEMU, decoded to records and written again: the same bytes, whatever the encoding.
import { Writer } from "@godwit/core";
import { findVmdesc, type StreamEvent, StreamReader } from "@godwit/core/stream";
import { haveStreams, manifest, readStream } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import {
  listFormat,
  type PageRecord,
  type RamPhase,
  type RamSection,
  type RamWalker,
  ramWalker,
  writeListedBlock,
  writeRamRecord,
} from "../src/index.ts";
import { wholeBytes } from "./support/feed.ts";
import { walkRam } from "./support/stream.ts";

/** Sections as they are written from records; a new one with each decoder. */
function rewriting(): { readonly walker: RamWalker; readonly sections: Writer[] } {
  const sections: Writer[] = [];
  let payload: Uint8Array | undefined;
  const walker = ramWalker({
    onBlock: (block) => writeListedBlock(sections.at(-1) as Writer, block),
    payload: (_: PageRecord, bytes) => {
      payload = bytes.slice();
    },
    onRecord: (record) => {
      writeRamRecord(sections.at(-1) as Writer, record, payload);
      payload = undefined;
    },
  });
  return {
    sections,
    walker: {
      decoder(phase: RamPhase, previous?: RamSection) {
        sections.push(new Writer(1 << 20));
        return walker.decoder(phase, previous);
      },
    },
  };
}

/** Where the data of each ram section stands. */
function bodies(stream: Uint8Array, walker: RamWalker): { readonly begin: number; readonly end: number }[] {
  const reader = new StreamReader({
    vmdesc: findVmdesc(stream)?.vmdesc ?? "none",
    footerScan: true,
    open: (head, phase, previous) =>
      head.idstr === "ram" && phase !== "full" ? walker.decoder(phase, previous as RamSection | undefined) : undefined,
  });
  const events: StreamEvent[] = [...reader.push(stream), ...reader.end()];
  return events.flatMap((event) => {
    if (event.type !== "section" || event.head.idstr !== "ram") return [];
    const end = event.offset + event.bytes - 5;
    return [{ begin: end - event.bodyBytes, end }];
  });
}

const files = (haveStreams() ? manifest() : []).flatMap(({ files: own }) =>
  own.flatMap(({ raw, stream }) => (stream === undefined ? [] : [{ raw, stream }])),
);

describe.skipIf(!haveStreams())("RAM written again", () => {
  it("is that of all streams that have any", () => {
    expect(files.length).toBeGreaterThanOrEqual(23);
    expect(files.filter(({ stream }) => stream.capabilities_in_stream.includes("mapped-ram"))).toHaveLength(1);
  });

  // A mapped-ram file has no records: mapped-ram.test.ts writes it whole.
  it.each(files.filter(({ raw }) => !raw.includes("mappedram")))(
    "$raw: the same bytes",
    ({ raw, stream: { ram_records, ram_blocks } }) => {
      const stream = readStream(raw);
      const { walker, sections } = rewriting();
      const found = raw.includes("postcopy")
        ? walkRam<RamSection>(stream, wholeBytes, (phase, previous) => walker.decoder(phase, previous))
        : bodies(stream, walker);
      expect(sections.length).toBe(found.length);
      expect(sections.length).toBe(ram_records.eos);
      const different = found.filter(
        ({ begin, end }, index) =>
          Buffer.compare((sections[index] as Writer).written(), stream.subarray(begin, end)) !== 0,
      );
      expect(different).toEqual([]);
      expect(ram_blocks.length).toBeGreaterThan(0);
    },
  );
});

it("the format of a list follows from the stream's capabilities", () => {
  expect(listFormat([])).toEqual({ mappedRam: false, ignoreShared: false });
  expect(listFormat(["x-ignore-shared", "mapped-ram"])).toEqual({ mappedRam: true, ignoreShared: true });
});

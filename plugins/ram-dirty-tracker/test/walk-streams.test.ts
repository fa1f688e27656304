// Every stream that real QEMU saved in one go, walked from header to end: sections, bytes, blocks and records are the
// manifest's.
import { isMigrationError } from "@godwit/core";
import { findVmdesc, type ReaderOptions, type StreamEvent, StreamReader } from "@godwit/core/stream";
import { haveStreams, type ManifestStream, manifest, readStream } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { type RamSection, type RamWalkerInit, ramWalker } from "../src/index.ts";

/** RAM through the walker; what else stands in the stream is left to the reader's own delimiters. */
function walk(bytes: Uint8Array, init: RamWalkerInit, more: Partial<ReaderOptions> = {}): StreamEvent[] {
  const walker = ramWalker(init);
  const reader = new StreamReader({
    open: (head, phase, previous) =>
      head.idstr === "ram" && phase !== "full" ? walker.decoder(phase, previous as RamSection | undefined) : undefined,
    ...more,
  });
  const events: StreamEvent[] = [];
  const chunkBytes = 1 << 20;
  for (let at = 0; at < bytes.length; at += chunkBytes)
    events.push(...reader.push(bytes.subarray(at, at + chunkBytes)));
  events.push(...reader.end());
  return events;
}

/** What the manifest says, told by the events. */
function summary(events: StreamEvent[], blocks: unknown[], records: Record<string, number>) {
  const sections = new Map<string, { idstr: string; instance: number; version: number; kind: string; bytes: number }>();
  const parts: Record<string, number> = {};
  for (const event of events) {
    if (event.type !== "section") continue;
    const { head, phase, bodyBytes } = event;
    const key = `${head.idstr}/${head.instance}${phase === "full" ? " full" : ""}`;
    const known = sections.get(key);
    if (known === undefined) {
      sections.set(key, {
        idstr: head.idstr,
        instance: head.instance,
        version: head.version,
        kind: phase,
        bytes: bodyBytes,
      });
    } else {
      known.bytes += bodyBytes;
      const part = `${head.idstr}/${phase}`;
      parts[part] = (parts[part] ?? 0) + 1;
    }
  }
  const configuration = events.find((event) => event.type === "configuration");
  return {
    config: configuration?.type === "configuration" ? configuration.configuration.machineType : undefined,
    capabilities: configuration?.type === "configuration" ? configuration.configuration.capabilities : undefined,
    sections: [...sections.values()],
    blocks,
    records,
    parts,
    commands: events.flatMap((event) => (event.type === "command" ? [[event.command, event.payload.length]] : [])),
    vmdesc: events.some((event) => event.type === "vmdesc"),
  };
}

function expected(of: ManifestStream): ReturnType<typeof summary> {
  return {
    config: of.config.name,
    capabilities: of.capabilities_in_stream,
    sections: [...of.sections] as ReturnType<typeof summary>["sections"],
    blocks: of.ram_blocks.map(({ idstr, bytes }) => ({ idstr, length: bytes })),
    records: { ...of.ram_records },
    parts: { ...of.iter_parts },
    commands: of.commands.map(([command, bytes]) => [command, bytes]),
    vmdesc: of.vmdesc,
  };
}

function walked(bytes: Uint8Array, more: Partial<ReaderOptions>) {
  const blocks: unknown[] = [];
  const records: Record<string, number> = {};
  const events = walk(
    bytes,
    {
      onBlock: ({ idstr, length }) => blocks.push({ idstr, length }),
      onRecord: ({ kind }) => {
        records[kind] = (records[kind] ?? 0) + 1;
      },
    },
    more,
  );
  return { events, ...summary(events, blocks, records) };
}

const here = haveStreams();
const files = (here ? manifest() : []).flatMap(({ name, capabilities, files: own }) =>
  own.flatMap(({ raw, stream }) => (stream === undefined ? [] : [{ name, raw, stream, capabilities }])),
);
/** In these RAM is not in the stream's own order of sections: a file with holes, and two phases on one channel. */
const otherModes = /mappedram|postcopy/;
const plain = files.filter(({ raw, stream }) => !otherModes.test(raw) && stream.vmdesc);

/** QEMU 7.2 lists an array of pointers by its first, which is null here: the vmdesc does not tell the section's length. */
const hiddenByVmdesc: Record<string, string> = { "s390-ccw-virtio-7.2.stream": "s390_css" };

describe.skipIf(!here)("streams of real QEMU", () => {
  it("are all walked here or named as another mode", () => {
    expect(plain.length).toBeGreaterThanOrEqual(20);
    const left = files.filter((file) => !plain.includes(file)).map(({ raw }) => raw);
    expect(left.toSorted()).toEqual([
      "q35-bare-novmdesc-7.2.stream",
      "tiny-mappedram-10.0.stream",
      "tiny-postcopy-7.2.stream",
    ]);
  });

  it.each(plain)("$raw: sections, bytes, blocks and records are the manifest's", ({ raw, stream }) => {
    const bytes = readStream(raw);
    const { vmdesc } = findVmdesc(bytes) ?? expect.unreachable("a vmdesc");
    const hidden = hiddenByVmdesc[raw];
    if (hidden !== undefined) expect(() => walked(bytes, { vmdesc })).toThrow(`"${hidden}" cannot be delimited`);
    const { events, ...found } = walked(bytes, { vmdesc, footerScan: hidden !== undefined });
    expect(found).toEqual(expected(stream));
    expect(events.at(-1)).toMatchObject({ type: "vmdesc", vmdesc: { page_size: vmdesc.page_size } });
    const how = events.flatMap((event) => (event.type === "section" ? [[event.head.idstr, event.delimitedBy]] : []));
    const scanned = how.filter(([, by]) => by === "footer-scan").map(([idstr]) => idstr);
    expect(scanned).toEqual(hidden === undefined ? [] : [hidden]);
    expect(how.every(([idstr, by]) => (idstr === "ram" ? by === "description" : by !== "description"))).toBe(true);
  });

  it("walks a pipe, too: the undescribed tail waits for the description behind it", () => {
    const raw = "q35-bare-7.2.stream";
    const { events: _, ...found } = walked(readStream(raw), {});
    expect(found).toEqual(expected(plain.find((file) => file.raw === raw)?.stream ?? expect.unreachable()));
  });

  it("q35-bare-novmdesc: walked as far as descriptions go, then says precisely what is missing", () => {
    const bytes = readStream("q35-bare-novmdesc-7.2.stream");
    const stream = files.find(({ raw }) => raw.includes("novmdesc"))?.stream ?? expect.unreachable();
    const records: Record<string, number> = {};
    const onRecord = ({ kind }: { kind: string }) => {
      records[kind] = (records[kind] ?? 0) + 1;
    };
    try {
      walk(bytes, { onRecord });
      expect.unreachable();
    } catch (error) {
      if (!isMigrationError(error)) throw error;
      expect(error.code).toBe("SECTION_UNDELIMITED");
      expect(error.location.section).toBe("timer/0");
      expect(error.detail).toBe('"timer" cannot be delimited: no description, no walker and no vmdesc');
      const ramBytes = stream.sections[0]?.bytes ?? Number.NaN;
      expect(error.location.offset).toBeGreaterThan(ramBytes);
      expect(error.location.offset).toBeLessThan(ramBytes + 200);
    }
    expect(records).toEqual(stream.ram_records);
    // With the description of the same machine saved elsewhere, it is walked to its end.
    const other = findVmdesc(readStream("q35-bare-7.2.stream"));
    const { events, ...found } = walked(bytes, { givenVmdesc: other?.vmdesc });
    expect(found).toEqual(expected(stream));
    expect(events.at(-1)).toMatchObject({ type: "note", code: "no-vmdesc" });
  });

  it("tiny-precopy: every pattern page of the guest holds its own address", () => {
    const memory = new Map<number, number>();
    walk(
      readStream("tiny-precopy-7.2.stream"),
      {
        page(block, offset, bytes) {
          if (block.idstr !== "pc.ram") return;
          memory.set(offset, new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true));
        },
      },
      { vmdesc: findVmdesc(readStream("tiny-precopy-7.2.stream"))?.vmdesc },
    );
    const from = 0x20_0000;
    const to = from + 8 * 0x10_0000;
    let pages = 0;
    for (let address = from; address < to; address += 4096, pages++) expect(memory.get(address)).toBe(address);
    expect(pages).toBe(2048);
  });
});

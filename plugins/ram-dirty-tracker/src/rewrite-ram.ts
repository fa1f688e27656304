// Takes a stream's RAM out and puts the same memory back, sent in another way: by deltas, by channels, without shared
// blocks. For tests against a peer, and for tools that make a stream fit a destination.
import { MigrationError, Writer } from "@godwit/core";
import { findVmdesc, type StreamEvent, StreamReader, StreamWriter } from "@godwit/core/stream";
import { ramBlock } from "./block.ts";
import { compareTracker } from "./compare-tracker.ts";
import type { ListFormat } from "./list-format.ts";
import type { MultifdSender } from "./multifd/sender.ts";
import { type ImageBlock, type RamImageInit, ramImage } from "./ram-image.ts";
import type { RamSection } from "./ram-sink.ts";
import { type RamWriter, ramWriter } from "./ram-writer.ts";
import { defaultPageBytes } from "./records.ts";
import type { RamSent } from "./statistics.ts";
import type { XbzrleInit } from "./xbzrle-sender.ts";

type Memory = ReadonlyMap<string, Uint8Array>;

export interface RewriteRamInit extends RamImageInit {
  /** A whole stream, of a machine whose vmdesc it carries. */
  readonly stream: Uint8Array;
  /**
   * What memory held when each round but the last was sent: called with the stream's memory, which it changes. The last
   * round always sends what the stream had, so that the destination goes on as if nothing had been done.
   */
  readonly rounds?: readonly ((memory: Memory) => void)[];
  readonly xbzrle?: XbzrleInit;
  readonly multifd?: MultifdSender;
  /** The block list that is written. */
  readonly writtenList?: ListFormat;
  /** Blocks that are shared, for a list with `ignoreShared`, and where the guest has each. */
  readonly shared?: ReadonlyMap<string, { readonly gpa: number }>;
  /** What the configuration names as capabilities; as it was, without. */
  readonly capabilities?: readonly string[];
}

export interface RewrittenRam {
  readonly stream: Uint8Array;
  /** As sent. */
  readonly statistics: RamSent;
  /** What the stream's memory is. */
  readonly blocks: ReadonlyMap<string, ImageBlock>;
}

/** `RAM_ORDER` for a stream without RAM; what a reader or a decoder refuses as they do. */
export function rewriteRam(init: RewriteRamInit): RewrittenRam {
  const { stream, rounds = [], pageBytes = defaultPageBytes } = init;
  const image = ramImage(init);
  const events = read(stream, image.walker);
  const { writer, memory, restore } = sourceOf(init, image.blocks, pageBytes);
  const sectionId = idOf(events);

  const out = new Writer(stream.length + 4096);
  const section = (type: "start" | "part" | "end", data: () => void): void => {
    const framing = new StreamWriter();
    const head = { sectionId, idstr: "ram", instance: 0, version: 4 };
    if (type === "start") framing.start(head);
    else framing.continue(type, sectionId);
    out.raw(framing.out.flush());
    data();
    framing.footer(sectionId);
    out.raw(framing.out.flush());
  };

  let copied = 0;
  for (const event of events) {
    if (event.type === "configuration" && init.capabilities !== undefined) {
      out.raw(stream.subarray(copied, event.offset));
      const framing = new StreamWriter();
      framing.configuration({ ...event.configuration, capabilities: init.capabilities });
      out.raw(framing.out.flush());
      copied = event.offset + event.bytes;
    }
    if (event.type !== "section" || event.head.idstr !== "ram") continue;
    out.raw(stream.subarray(copied, event.offset));
    copied = event.offset + event.bytes;
    if (event.phase === "start") {
      rounds[0]?.(memory);
      section("start", () => writer.setup(out, out.pos));
    }
    if (event.phase !== "end") continue;
    for (const [index] of rounds.entries()) {
      section("part", () => writer.iterate(out, Number.MAX_SAFE_INTEGER));
      restore();
      rounds[index + 1]?.(memory);
      writer.pending(true);
    }
    section("end", () => writer.complete(out, Number.MAX_SAFE_INTEGER));
    writer.cleanup(true);
  }
  out.raw(stream.subarray(copied));
  return { stream: out.flush(), statistics: writer.sent() as RamSent, blocks: image.blocks };
}

function read(stream: Uint8Array, walker: ReturnType<typeof ramImage>["walker"]): StreamEvent[] {
  const reader = new StreamReader({
    vmdesc: findVmdesc(stream)?.vmdesc ?? "none",
    open: (head, phase, previous) =>
      head.idstr === "ram" && phase !== "full" ? walker.decoder(phase, previous as RamSection | undefined) : undefined,
  });
  return [...reader.push(stream), ...reader.end()];
}

function idOf(events: readonly StreamEvent[]): number {
  for (const event of events) {
    if (event.type === "section" && event.head.idstr === "ram") return event.head.sectionId;
  }
  throw new MigrationError("RAM_ORDER", "the stream has no RAM", { section: "ram/0" });
}

/** A source of its own memory, so that the image stays what the stream had. */
function sourceOf(
  { xbzrle, multifd, writtenList, shared }: RewriteRamInit,
  blocks: ReadonlyMap<string, ImageBlock>,
  pageBytes: number,
): { readonly writer: RamWriter; readonly memory: Memory; restore(): void } {
  const memory = new Map(Array.from(blocks, ([idstr, { bytes }]) => [idstr, bytes.slice()]));
  const sources = Array.from(memory, ([idstr, bytes]) => {
    const gpa = shared?.get(idstr)?.gpa;
    return ramBlock({
      idstr,
      bytes: () => bytes,
      tracker: compareTracker(bytes.length, pageBytes),
      shared: gpa !== undefined,
      ...(gpa !== undefined && { map: [{ gpa, offset: 0, length: bytes.length }] }),
    });
  });
  const writer = ramWriter(sources, pageBytes, { xbzrle, multifd, ...(writtenList && { list: writtenList }) });
  const restore = (): void => {
    for (const [idstr, { bytes }] of blocks) memory.get(idstr)?.set(bytes);
  };
  return { writer, memory, restore };
}

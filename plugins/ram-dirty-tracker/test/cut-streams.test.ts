// Real streams that end too early. By default at each section's boundaries, a byte to either side, and 1,000 seeded
// places; GODWIT_SWEEP=full (bun run sweep) takes every byte.
import { isMigrationError, type MigrationError } from "@godwit/core";
import { findVmdesc, type StreamEvent, StreamReader } from "@godwit/core/stream";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { type RamSection, ramWalker } from "../src/index.ts";

const streams = [
  "q35-bare-7.2.stream",
  "q35-bare-kvm-7.2.stream",
  "q35-bare-10.0-m7.2.stream",
  "q35-bare-10.0-m10.0.stream",
  "q35-bare-novmdesc-7.2.stream",
];
const everyByte = process.env["GODWIT_SWEEP"] === "full";

/** With its own vmdesc, or for the stream that has none with that of the same machine. */
function reader(bytes: Uint8Array): StreamReader {
  const walker = ramWalker();
  const own = findVmdesc(bytes)?.vmdesc ?? "none";
  return new StreamReader({
    open: (head, phase, previous) =>
      head.idstr === "ram" && phase !== "full" ? walker.decoder(phase, previous as RamSection | undefined) : undefined,
    vmdesc: own,
    givenVmdesc: findVmdesc(readStream("q35-bare-7.2.stream"))?.vmdesc,
  });
}

function cutsOf(bytes: Uint8Array, events: readonly StreamEvent[]): number[] {
  if (everyByte) return Array.from(bytes.keys());
  const cuts = new Set<number>();
  const around = (at: number) => {
    for (const cut of [at - 1, at, at + 1]) if (cut >= 0 && cut < bytes.length) cuts.add(cut);
  };
  for (const event of events) {
    if (!("offset" in event)) continue;
    around(event.offset);
    if ("bytes" in event) around(event.offset + event.bytes);
    if (event.type === "section") around(event.offset + event.bytes - 5);
  }
  let seed = 0x9e3779b9;
  for (let i = 0; i < 1000; i++) {
    seed ^= seed << 13;
    seed ^= seed >>> 17;
    seed ^= seed << 5;
    cuts.add((seed >>> 0) % bytes.length);
  }
  return [...cuts].sort((a, b) => a - b);
}

function endOf(at: StreamReader): MigrationError | undefined {
  try {
    at.fork().end();
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  return undefined;
}

describe.skipIf(!haveStreams())("a real stream that ends too early", () => {
  it.each(streams)(
    "%s: says which element is missing, and where",
    { timeout: everyByte ? 3_600_000 : 60_000 },
    (raw) => {
      const bytes = readStream(raw);
      const events = reader(bytes).push(bytes);
      const cuts = cutsOf(bytes, events);
      expect(cuts.length).toBeGreaterThan(1000);
      const at = reader(bytes);
      const whole: number[] = [];
      const sections = new Set<string>();
      let fed = 0;
      for (const cut of cuts) {
        at.push(bytes.subarray(fed, cut));
        fed = cut;
        const error = endOf(at);
        if (error === undefined) {
          whole.push(cut);
          continue;
        }
        const { section, path, offset } = error.location;
        const placed = section !== undefined && path !== undefined && offset !== undefined && offset <= cut;
        if (error.code !== "STREAM_TRUNCATED" || !placed) throw new Error(`cut at ${cut}: ${error.message}`);
        sections.add(section);
      }
      // Whole only exactly behind EOF.
      const eof = events.find((event) => event.type === "eof");
      const behindEof = (eof?.type === "eof" ? eof.offset : Number.NaN) + 1;
      expect(whole).toEqual(behindEof < bytes.length ? [behindEof] : []);
      const named = events.flatMap((event) =>
        event.type === "section" ? [`${event.head.idstr}/${event.head.instance}`] : [],
      );
      for (const section of new Set(named)) expect(sections).toContain(section);
    },
  );
});

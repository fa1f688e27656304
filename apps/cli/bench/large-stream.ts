// A stream of any size from a real one: its rounds of RAM, sent again and again.
import { closeSync, openSync, writeSync } from "node:fs";
import { findVmdesc, StreamReader } from "@godwit/core/stream";
import { type RamPhase, type RamSection, ramWalker } from "@godwit/ram-dirty-tracker";

/** Writes `path`, of about `bytes`: every PART of RAM as often as that takes. */
export function largeStream(stream: Uint8Array, path: string, bytes: number): void {
  const walker = ramWalker();
  const reader = new StreamReader({
    vmdesc: findVmdesc(stream)?.vmdesc,
    open: (head, phase, previous) =>
      head.idstr === "ram" ? walker.decoder(phase as RamPhase, previous as RamSection | undefined) : undefined,
  });
  const parts: { readonly at: number; readonly bytes: number }[] = [];
  for (const event of [...reader.push(stream), ...reader.end()]) {
    if (event.type === "section" && event.head.idstr === "ram" && event.phase === "part") {
      parts.push({ at: event.offset, bytes: event.bytes });
    }
  }
  const [first] = parts;
  const last = parts.at(-1);
  if (first === undefined || last === undefined) throw new Error("a stream without rounds");
  const end = last.at + last.bytes;
  const rounds = Math.max(1, Math.round((bytes - stream.length) / (end - first.at)) + 1);
  const file = openSync(path, "w");
  try {
    writeSync(file, stream.subarray(0, first.at));
    for (let round = 0; round < rounds; round++) writeSync(file, stream.subarray(first.at, end));
    writeSync(file, stream.subarray(end));
  } finally {
    closeSync(file);
  }
}

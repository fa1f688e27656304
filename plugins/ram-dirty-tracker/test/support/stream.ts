// The ram sections at the start of a QEMU stream, found by a small loop of the test's own.
import type { BodyDecoder } from "@godwit/core";
import type { RamPhase } from "@godwit/ram-dirty-tracker";
import { type Fed, feed } from "./feed.ts";

export interface RamPart<T> extends Fed<T> {
  readonly phase: RamPhase;
  /** Offset of the section's data. */
  readonly begin: number;
}

/** Walks a stream to the end of its ram handler. `open` gives the decoder of each ram section. */
export function walkRam<T>(
  stream: Uint8Array,
  chunkBytes: number,
  open: (phase: RamPhase, previous: T | undefined) => BodyDecoder<T>,
): RamPart<T>[] {
  const view = new DataView(stream.buffer, stream.byteOffset, stream.byteLength);
  if (view.getUint32(0) !== 0x5145564d || view.getUint32(4) !== 3) throw new Error("not a stream of version 3");
  let at = 8;
  if (stream[at] === 0x07) {
    at += 5 + view.getUint32(at + 1);
    while (stream[at] === 0x05) at = afterCapabilities(stream, at);
  }
  const parts: RamPart<T>[] = [];
  while (at < stream.length) {
    const type = stream[at];
    if (type === 0x08) {
      // PACKAGED: its payload is the length of the blob that follows.
      const blobBytes = view.getUint16(at + 1) === 7 ? view.getUint32(at + 5) : 0;
      at += 5 + view.getUint16(at + 3) + blobBytes;
      continue;
    }
    const phase = type === 0x01 ? "start" : type === 0x02 ? "part" : type === 0x03 ? "end" : undefined;
    if (phase === undefined) throw new Error(`section type ${type} at ${at} before the end of ram`);
    const id = view.getUint32(at + 1);
    at += 5;
    if (phase === "start") {
      const length = stream[at] as number;
      const idstr = String.fromCharCode(...stream.subarray(at + 1, at + 1 + length));
      at += 1 + length;
      const head = `${idstr}/${view.getUint32(at)} v${view.getUint32(at + 4)}`;
      if (head !== "ram/0 v4") throw new Error(`${head} at ${at}, where only ram is expected`);
      at += 8;
    }
    const fed = feed(open(phase, parts.at(-1)?.value), stream, at, chunkBytes);
    if (fed === undefined) throw new Error(`the stream ends in a ram section of type ${phase}`);
    parts.push({ ...fed, phase, begin: at });
    at = fed.end;
    if (stream[at] !== 0x7e || view.getUint32(at + 1) !== id) throw new Error(`no footer of section ${id} at ${at}`);
    at += 5;
    if (phase === "end") return parts;
  }
  throw new Error("no END of ram");
}

/** Behind a subsection of the configuration, which in these streams is the list of capabilities. */
function afterCapabilities(stream: Uint8Array, at: number): number {
  const view = new DataView(stream.buffer, stream.byteOffset, stream.byteLength);
  const nameEnd = at + 2 + (stream[at + 1] as number);
  const subsection = String.fromCharCode(...stream.subarray(at + 2, nameEnd));
  if (subsection !== "configuration/capabilities") throw new Error(`${subsection} at ${at}`);
  let next = nameEnd + 8;
  for (let left = view.getUint32(nameEnd + 4); left > 0; left--) next += 1 + (stream[next] as number);
  return next;
}

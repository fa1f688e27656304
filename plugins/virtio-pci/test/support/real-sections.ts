// Sections of real streams, found by their idstr, with the size that the manifest gives.
import { manifest, readStream } from "@godwit/testkit/streams";

const streams = new Map<string, Uint8Array>();
const fullSection = 0x04;

export interface RealSection {
  readonly idstr: string;
  readonly version: number;
  /** The section's body and nothing more. */
  readonly body: Uint8Array;
  /** From the body on, as a tool sees it that does not know the end. */
  readonly open: Uint8Array;
}

export function realSection(raw: string, idstr: string): RealSection {
  const stream = streams.get(raw) ?? readStream(raw);
  streams.set(raw, stream);
  const listed = manifest()
    .flatMap(({ files }) => files)
    .find((file) => file.raw === raw)
    ?.stream?.sections.find((section) => section.idstr === idstr);
  if (listed === undefined) throw new Error(`${raw} has no section ${idstr}`);
  const name = new TextEncoder().encode(idstr);
  for (let at = stream.indexOf(name.length); at >= 0; at = stream.indexOf(name.length, at + 1)) {
    if (stream[at - 5] !== fullSection || !name.every((byte, i) => stream[at + 1 + i] === byte)) continue;
    const from = at + 1 + name.length + 8;
    return {
      idstr,
      version: listed.version,
      body: stream.slice(from, from + listed.bytes),
      open: stream.slice(from, from + listed.bytes + 64),
    };
  }
  throw new Error(`${raw}: ${idstr} was not found`);
}

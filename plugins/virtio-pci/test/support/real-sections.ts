// Sections of real streams, with the size that the manifest gives.
import { manifest, readStream } from "@godwit/test-support/streams";
import { bodyOf } from "./sections.ts";

const streams = new Map<string, Uint8Array>();

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
  const from = bodyOf(stream, idstr);
  return {
    idstr,
    version: listed.version,
    body: stream.slice(from, from + listed.bytes),
    open: stream.slice(from, from + listed.bytes + 64),
  };
}

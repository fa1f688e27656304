// Sections of real streams, with the size that the manifest gives.
import type { SectionSample } from "@godwit/core";
import { manifest, readStream } from "@godwit/test-support/streams";

const streams = new Map<string, Uint8Array>();

export interface RealSection {
  /** The section's body and nothing more. */
  readonly body: Uint8Array;
  /** From the body on, as a tool sees it that does not know the end. */
  readonly sample: SectionSample;
}

export function realSection(raw: string, idstr: string): RealSection {
  const stream = streams.get(raw) ?? readStream(raw);
  streams.set(raw, stream);
  const listed = manifest()
    .flatMap(({ files }) => files)
    .find((file) => file.raw === raw)
    ?.stream?.sections.find((section) => section.idstr === idstr);
  if (listed === undefined) throw new Error(`${raw} has no section ${idstr}`);
  const { version, bytes: length } = listed;
  // FULL, a section id, the name, instance 0, the version.
  const head = Uint8Array.from([idstr.length, ...idstr].map((c) => (typeof c === "number" ? c : c.charCodeAt(0))));
  const buffer = Buffer.from(stream.buffer, stream.byteOffset, stream.length);
  const from = buffer.lastIndexOf(Buffer.concat([head, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, version)])) + head.length + 8;
  return {
    body: stream.slice(from, from + length),
    sample: { idstr, instance: 0, version, bytes: stream.slice(from, from + length + 64) },
  };
}

// Sections of the streams that QEMU wrote, with the size that the manifest gives.
import type { SectionSample } from "@godwit/core";
import { manifest, readStream } from "@godwit/testkit/streams";

/** A section's body, found by its idstr behind everything that RAM may hold of the same bytes. */
export function realSection(raw: string, idstr: string): SectionSample {
  const listed = manifest()
    .flatMap(({ files }) => files)
    .find((file) => file.raw === raw)
    ?.stream?.sections.find((section) => section.idstr === idstr);
  if (listed === undefined) throw new Error(`${raw} has no section ${idstr}`);
  const stream = readStream(raw);
  const at = Buffer.from(stream.buffer, stream.byteOffset, stream.length).lastIndexOf(`${idstr}\0\0\0\0`);
  const from = at + idstr.length + 8;
  return { idstr, instance: 0, version: listed.version, bytes: stream.slice(from, from + listed.bytes) };
}

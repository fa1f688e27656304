// Reads a stream by what it says of itself: its own vmdesc, and the walker of RAM, which no vmdesc describes.
import { type Description, decodeState, encodeState } from "@godwit/core";
import { type DelimitedBy, StreamReader } from "@godwit/core/stream";
import { type RamSection, ramWalker } from "@godwit/ram-dirty-tracker";

interface FoundSection {
  readonly idstr: string;
  readonly delimitedBy: DelimitedBy;
  /** The body, and where it begins in the stream. */
  readonly bytes: Uint8Array;
  readonly from: number;
}

interface OwnReading {
  /** Of the devices: all but RAM. */
  readonly sections: readonly FoundSection[];
  /** As the vmdesc lists them. */
  readonly described: readonly { readonly name: string }[];
}

export function readByOwnVmdesc(stream: Uint8Array): OwnReading {
  const walker = ramWalker();
  const reader = new StreamReader({
    open: ({ idstr }, phase, previous) =>
      idstr === "ram" && phase !== "full" ? walker.decoder(phase, previous as RamSection | undefined) : undefined,
  });
  const events = [...reader.push(stream), ...reader.end()];
  return {
    sections: events.flatMap((event) => {
      if (event.type !== "section" || event.phase !== "full") return [];
      const { head, delimitedBy, value, offset } = event;
      // A type byte, the section's number, the name behind its length, instance and version.
      const from = offset + 1 + 4 + 1 + head.idstr.length + 4 + 4;
      return [{ idstr: head.idstr, delimitedBy, bytes: value as Uint8Array, from }];
    }),
    described: events.flatMap((event) => (event.type === "vmdesc" ? event.vmdesc.devices : [])),
  };
}

export function sectionIn(stream: Uint8Array, idstr: string): FoundSection {
  const found = readByOwnVmdesc(stream).sections.find((section) => section.idstr === idstr);
  if (found === undefined) throw new Error(`no section ${idstr}`);
  return found;
}

/** The stream with another state in one section; where that is of another length, its vmdesc no longer fits. */
export function withState<S>(
  stream: Uint8Array,
  idstr: string,
  description: Description<S>,
  change: (state: S) => S,
): Uint8Array {
  const { bytes, from } = sectionIn(stream, idstr);
  const state = decodeState(description as Description, bytes) as S;
  const changed = encodeState(description as Description, change(state));
  return new Uint8Array(Buffer.concat([stream.subarray(0, from), changed, stream.subarray(from + bytes.length)]));
}

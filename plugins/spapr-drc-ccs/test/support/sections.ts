// The sections of a real stream, found by what the manifest and the stream's own vmdesc say of them.
import type { SectionSample } from "@godwit/core";
import { findVmdesc, type VmdescDevice } from "@godwit/core/stream";
import { manifest, readStream } from "@godwit/test-support/streams";

export const pseriesStreams = [
  "pseries-bare-7.2.stream",
  "pseries-hotplug-net-7.2.stream",
  "pseries-hotplug-net-cpu-dimm-7.2.stream",
] as const;

const headOfFull = 4;

/** Every FULL section, in order, each with exactly its own bytes. */
export function fullSections(raw: string): SectionSample[] {
  const stream = readStream(raw);
  const buffer = Buffer.from(stream.buffer, stream.byteOffset, stream.length);
  const listed = manifest()
    .flatMap(({ files }) => files)
    .find((file) => file.raw === raw)?.stream?.sections;
  if (listed === undefined) throw new Error(`the manifest does not list ${raw}`);
  let from = 0;
  return listed
    .filter(({ kind }) => kind === "full")
    .map(({ idstr, instance, version, bytes }) => {
      const head = Buffer.alloc(1 + idstr.length + 8);
      head[0] = idstr.length;
      head.write(idstr, 1);
      head.writeUInt32BE(instance, 1 + idstr.length);
      head.writeUInt32BE(version, 5 + idstr.length);
      let at = buffer.indexOf(head, from);
      while (at >= 0 && (buffer[at - 5] !== headOfFull || buffer[at + head.length + bytes] !== 0x7e)) {
        at = buffer.indexOf(head, at + 1);
      }
      if (at < 0) throw new Error(`${raw} has no section ${idstr}/${instance}`);
      from = at + head.length + bytes;
      return { idstr, instance, version, bytes: stream.slice(at + head.length, from) };
    });
}

/** The name of the description that a section is of: what follows the device's path. */
export function familyName(idstr: string): string {
  return idstr.includes("@") ? idstr.slice(idstr.lastIndexOf("/") + 1) : idstr;
}

/** What the stream's own vmdesc says of its sections. */
export function vmdescDevices(raw: string): readonly VmdescDevice[] {
  const found = findVmdesc(readStream(raw));
  if (found === undefined) throw new Error(`${raw} has no vmdesc`);
  return found.vmdesc.devices;
}

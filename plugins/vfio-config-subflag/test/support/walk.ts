// Reads a whole stream's VFIO sections without the device.
import { isMigrationError, type MigrationError } from "@godwit/core";
import { StreamReader } from "@godwit/core/stream";
import { type VfioSection, vfioWalker } from "@godwit/vfio-config-subflag";

/** The sections of all VFIO devices, in their order. */
export function vfioSections(stream: Uint8Array): readonly (VfioSection & { readonly idstr: string })[] {
  const walker = vfioWalker();
  const reader = new StreamReader({
    open: ({ idstr, version }, phase, previous) =>
      idstr.endsWith("/vfio") ? walker.decoder(phase, version, previous as VfioSection | undefined) : undefined,
  });
  const events = [...reader.push(stream), ...reader.end()];
  return events.flatMap((event) =>
    event.type === "section" && event.head.idstr.endsWith("/vfio")
      ? [{ ...(event.value as VfioSection), idstr: event.head.idstr }]
      : [],
  );
}

/** `PART: CONFIG(1) DATA END_OF_STATE`, for a section. */
export function outline({ phase, records }: VfioSection): string {
  const names = records.map((record) => {
    const name = record.marker.replace(/^DEV_|_STATE$/g, "");
    return record.marker === "DEV_CONFIG_STATE" && record.subFlag !== undefined ? `${name}(${record.subFlag})` : name;
  });
  return `${phase}: ${names.join(" ")}`;
}

export function errorOf(work: () => unknown): MigrationError {
  try {
    work();
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

export async function rejection(promise: Promise<unknown>): Promise<MigrationError> {
  try {
    await promise;
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

/** Where the VFIO sections' bodies stand in a stream. */
export function bodies(stream: Uint8Array): readonly { phase: string; at: number; bytes: number; idstr: string }[] {
  const walker = vfioWalker();
  const reader = new StreamReader({
    open: ({ idstr, version }, phase, previous) =>
      idstr.endsWith("/vfio") ? walker.decoder(phase, version, previous as VfioSection | undefined) : undefined,
  });
  return [...reader.push(stream), ...reader.end()].flatMap((event) =>
    event.type === "section" && event.head.idstr.endsWith("/vfio")
      ? [
          {
            phase: event.phase,
            at: event.offset + event.bytes - 5 - event.bodyBytes,
            bytes: event.bodyBytes,
            idstr: event.head.idstr,
          },
        ]
      : [],
  );
}

/** The stream with another body in the place of its `index`th section of this phase. */
export function withBody(stream: Uint8Array, phase: string, body: Uint8Array, index = 0): Uint8Array {
  const place = bodies(stream).filter((one) => one.phase === phase)[index];
  if (place === undefined) throw new Error(`no ${phase} ${index}`);
  return new Uint8Array(Buffer.concat([stream.subarray(0, place.at), body, stream.subarray(place.at + place.bytes)]));
}

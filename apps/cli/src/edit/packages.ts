// A package of post-copy says how long it is: when something inside it grows or shrinks, that is mended. Source: wire
// reference 9.1, PACKAGED.
import type { DevicePart } from "./device-part.ts";
import { growthOf, type Splice } from "./splice.ts";

export const packaged = 7;
/** Type, command and length stand before the size, which has four bytes. */
const sizeAt = 5;
const sizeBytes = 4;

/** What is to be added to the splices. */
export function mendPackages({ commands }: DevicePart, splices: readonly Splice[]): Splice[] {
  return commands.flatMap(({ command, payload, offset }) => {
    if (command !== packaged) return [];
    const size = new DataView(payload.buffer, payload.byteOffset, payload.length).getUint32(0);
    const from = offset + sizeAt + sizeBytes;
    const inside = splices.filter((one) => one.offset >= from && one.offset < from + size);
    const growth = inside.reduce((sum, one) => sum + growthOf(one), 0);
    if (growth === 0) return [];
    const insert = new Uint8Array(sizeBytes);
    new DataView(insert.buffer).setUint32(0, size + growth);
    return [{ offset: offset + sizeAt, removeBytes: sizeBytes, insert }];
  });
}

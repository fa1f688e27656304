// The guest's floppy disk: 160 KiB, with the boot sector at its front.
import { bootSectorLines } from "./boot-sector.ts";

const diskBytes = 160 * 1024;

export function bootDisk(): Uint8Array<ArrayBuffer> {
  const disk = new Uint8Array(diskBytes);
  const digits = bootSectorLines.join("");
  for (let at = 0; at < digits.length / 2; at++) disk[at] = Number.parseInt(digits.slice(2 * at, 2 * at + 2), 16);
  return disk;
}

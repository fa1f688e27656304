// An archive that Linux unpacks as its initramfs. Source: the kernel's Documentation/driver-api/early-userspace/buffer-format,
// "newc".

export interface CpioEntry {
  readonly path: string;
  /** File type and permissions, as in `stat`. */
  readonly mode: number;
  readonly bytes?: Uint8Array;
  /** Major and minor number of a device. */
  readonly device?: readonly [major: number, minor: number];
}

export const folderMode = 0o040755;
export const programMode = 0o100755;
export const consoleMode = 0o020600;

const trailer: CpioEntry = { path: "TRAILER!!!", mode: 0 };

export function cpio(entries: readonly CpioEntry[]): Uint8Array {
  const pieces = [...entries, trailer].flatMap((entry, index) => pieceOf(entry, index + 1));
  return new Uint8Array(Buffer.concat(pieces));
}

function pieceOf({ path, mode, bytes = new Uint8Array(0), device = [0, 0] }: CpioEntry, inode: number): Uint8Array[] {
  const name = Buffer.from(`${path}\0`);
  const numbers = [inode, mode, 0, 0, 1, 0, bytes.length, 0, 0, ...device, name.length, 0];
  const header = Buffer.from(`070701${numbers.map((number) => number.toString(16).padStart(8, "0")).join("")}`);
  return [header, name, padding(header.length + name.length), bytes, padding(bytes.length)];
}

const padding = (length: number): Uint8Array => new Uint8Array(-length & 3);

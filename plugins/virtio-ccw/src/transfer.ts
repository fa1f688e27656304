// The data of one channel command: areas of guest memory, one after the other, as its channel-command words give them.
import { type Dma, deviceAddress } from "@godwit/virtio-core";

/** The channel program itself is wrong. */
export class ProgramCheck extends Error {}

/** Where a command's data goes to or comes from; no address: the bytes are skipped. */
export interface Area {
  readonly address: number | undefined;
  readonly length: number;
}

/** What a command may do with its data. Offsets and lengths are bytes of the whole; `MEMORY_UNMAPPED` from `dma`. */
export interface Transfer {
  readonly count: number;
  read(offset: number, length: number): Uint8Array;
  write(offset: number, bytes: Uint8Array): void;
}

export function transferOf(areas: readonly Area[], dma: Dma): Transfer {
  const each = (
    offset: number,
    length: number,
    visit: (address: number | undefined, at: number, size: number) => void,
  ) => {
    let base = 0;
    for (const area of areas) {
      const from = Math.max(offset, base);
      const to = Math.min(offset + length, base + area.length);
      if (to > from)
        visit(area.address === undefined ? undefined : area.address + from - base, from - offset, to - from);
      base += area.length;
    }
  };
  return {
    count: areas.reduce((sum, { length }) => sum + length, 0),
    read(offset, length) {
      const bytes = new Uint8Array(length);
      each(offset, length, (address, at, size) => {
        if (address !== undefined) bytes.set(dma.read(address, size), at);
      });
      return bytes;
    },
    write(offset, bytes) {
      each(offset, bytes.length, (address, at, size) => {
        if (address !== undefined) dma.write(address, bytes.subarray(at, at + size));
      });
    },
  };
}

/** How the entries of an indirect-address list are (ctrl0 of the operation-request block). */
export interface IndirectRules {
  readonly wide: boolean;
  readonly blockBytes: 2048 | 4096;
}

/**
 * The areas behind an indirect-address list: the first may begin anywhere, the others at a block; each goes to the
 * block's end. A list that breaks this is a `ProgramCheck`.
 */
export function indirectAreas(list: number, count: number, { wide, blockBytes }: IndirectRules, dma: Dma): Area[] {
  const entryBytes = wide ? 8 : 4;
  if (list % entryBytes !== 0) throw new ProgramCheck("an indirect-address list that is not aligned");
  const areas: Area[] = [];
  for (let left = count, at = list; left > 0; at += entryBytes) {
    const bytes = dma.read(at, entryBytes);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const address = wide ? deviceAddress(view.getBigUint64(0)) : view.getUint32(0);
    if (areas.length > 0 && address % blockBytes !== 0) {
      throw new ProgramCheck("an indirect address in the middle of a block");
    }
    const length = Math.min(left, blockBytes - (address % blockBytes));
    areas.push({ address, length });
    left -= length;
  }
  return areas;
}

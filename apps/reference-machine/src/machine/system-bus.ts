// The physical address space outside RAM: which device answers where.
import type { Bus } from "../hart/bus.ts";

/** One range of the address space. Offsets count from its base; undefined and false are access faults. */
export interface Region {
  read(offset: number, size: 1 | 2 | 4): number | undefined;
  write(offset: number, size: 1 | 2 | 4, value: number): boolean;
}

/** A range where every access is taken. */
export interface OpenRegion {
  read(offset: number, size: number): number;
  write(offset: number, size: number, value: number): void;
}

export class SystemBus implements Bus {
  /** Searched from the first that was added on: the busiest comes first. */
  readonly #map: (readonly [base: number, bytes: number, region: Region])[] = [];

  add(base: number, bytes: number, region: Region): void {
    const end = base + bytes;
    if (this.#map.some(([other, size]) => base < other + size && other < end)) {
      throw new Error(`two regions at 0x${base.toString(16)}`);
    }
    this.#map.push([base, bytes, region]);
  }

  addOpen(base: number, bytes: number, region: OpenRegion): void {
    this.add(base, bytes, {
      read: (offset, size) => region.read(offset, size),
      write(offset, size, value) {
        region.write(offset, size, value);
        return true;
      },
    });
  }

  mmioRead(address: number, size: 1 | 2 | 4): number | undefined {
    const at = this.#find(address);
    return at?.[2].read(address - at[0], size);
  }

  mmioWrite(address: number, size: 1 | 2 | 4, value: number): boolean {
    const at = this.#find(address);
    return at?.[2].write(address - at[0], size, value) ?? false;
  }

  #find(address: number) {
    return this.#map.find(([base, bytes]) => address >= base && address < base + bytes);
  }
}

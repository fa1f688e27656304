// The physical address space outside RAM: which device answers where.
import type { Bus } from "../hart/bus.ts";
import {
  CONSOLE_BASE,
  CONSOLE_BYTES,
  ECAM_BASE,
  ECAM_BYTES,
  INTERRUPT_BASE,
  INTERRUPT_BYTES,
  PCI_WINDOW_BASE,
  PCI_WINDOW_BYTES,
  TIMER_BASE,
  TIMER_BYTES,
  VTD_BASE,
  VTD_BYTES,
} from "../memory-map.ts";

/** One range of the address space. Offsets count from its base; undefined and false are access faults. */
export interface Region {
  read(offset: number, size: 1 | 2 | 4): number | undefined;
  write(offset: number, size: 1 | 2 | 4, value: number): boolean;
}

export interface Regions {
  readonly timer: Region;
  readonly interruptController: Region;
  readonly console: Region;
  readonly vtd: Region;
  readonly pciWindow: Region;
  readonly ecam: Region;
}

export function systemBus(regions: Regions): Bus {
  const map: readonly [base: number, bytes: number, region: Region][] = [
    [PCI_WINDOW_BASE, PCI_WINDOW_BYTES, regions.pciWindow],
    [INTERRUPT_BASE, INTERRUPT_BYTES, regions.interruptController],
    [TIMER_BASE, TIMER_BYTES, regions.timer],
    [VTD_BASE, VTD_BYTES, regions.vtd],
    [ECAM_BASE, ECAM_BYTES, regions.ecam],
    [CONSOLE_BASE, CONSOLE_BYTES, regions.console],
  ];
  const find = (address: number) => map.find(([base, bytes]) => address >= base && address < base + bytes);
  return {
    mmioRead(address, size) {
      const at = find(address);
      return at?.[2].read(address - at[0], size);
    },
    mmioWrite(address, size, value) {
      const at = find(address);
      return at?.[2].write(address - at[0], size, value) ?? false;
    },
  };
}

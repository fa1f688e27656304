// PCI bus 0: routes ECAM accesses to functions, and the memory window to whichever BAR lies there.
import type { PciFunction } from "@godwit/virtio-pci";
import { PCI_WINDOW_BASE } from "../memory-map.ts";

export class PciBus {
  readonly #functions = new Map<number, PciFunction>();

  add(pci: PciFunction): void {
    const [, slot = "", fn = ""] = /^00:([0-9a-f]{2})\.([0-7])$/.exec(pci.bdf) ?? [];
    const devfn = (Number.parseInt(slot, 16) << 3) | Number.parseInt(fn, 16);
    if (!(devfn >= 0 && devfn < 256) || this.#functions.has(devfn))
      throw new Error(`no free place for PCI function ${pci.bdf}`);
    this.#functions.set(devfn, pci);
  }

  /** An absent function answers all ones, which is how a guest learns that it is absent. */
  configRead(offset: number, size: number): number {
    const pci = this.#functions.get((offset >>> 12) & 0xff);
    return pci === undefined ? 2 ** (8 * size) - 1 : pci.configRead(offset & 0xfff, size);
  }

  configWrite(offset: number, size: number, value: number): void {
    this.#functions.get((offset >>> 12) & 0xff)?.configWrite(offset & 0xfff, size, value);
  }

  memoryRead(offset: number, size: number): number {
    const at = this.#find(offset);
    return at === undefined ? 2 ** (8 * size) - 1 : at.bar.read(at.offset, size);
  }

  memoryWrite(offset: number, size: number, value: number): void {
    const at = this.#find(offset);
    at?.bar.write(at.offset, size, value);
  }

  #find(offset: number) {
    const address = PCI_WINDOW_BASE + offset;
    for (const { bars } of this.#functions.values()) {
      for (const bar of bars) {
        const base = bar.address();
        if (base !== undefined && address >= base && address < base + bar.size) return { bar, offset: address - base };
      }
    }
    return undefined;
  }
}

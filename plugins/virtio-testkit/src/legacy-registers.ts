// A driver's way to a legacy or transitional function: the ports of BAR 0 (virtio 1.2, section 4.1.4.10).
import type { PciFunction } from "@godwit/virtio-pci";
import type { Bench } from "./guest.ts";

const messageAddress = 0xfee0_0000;

export function legacyRegisters(pci: PciFunction, msix: boolean): Bench["device"] {
  const barOf = (index: number) => {
    const bar = pci.bars.find((one) => one.index === index);
    if (bar === undefined) throw new Error(`no BAR ${index}`);
    return bar;
  };
  const ports = barOf(0);
  const select = (index: number): void => ports.write(0x0e, 2, index);
  // Ports, memory and bus mastering.
  pci.configWrite(4, 2, 7);
  if (msix) enableMsix();

  function enableMsix(): void {
    let at = pci.configRead(0x34, 1);
    while (at !== 0 && pci.configRead(at, 1) !== 0x11) at = pci.configRead(at + 1, 1);
    if (at === 0) throw new Error("no MSI-X");
    pci.configWrite(at + 2, 2, pci.configRead(at + 2, 2) | 0x8000);
    const vectors = (pci.configRead(at + 2, 2) & 0x7ff) + 1;
    for (let i = 0; i < vectors; i++) {
      [messageAddress, 0, i, 0].forEach((word, k) => {
        barOf(1).write(16 * i + 4 * k, 4, word);
      });
    }
    ports.write(0x14, 2, 0);
  }

  return {
    get hostFeatures() {
      return BigInt(ports.read(0x00, 4));
    },
    get queues() {
      const found: { index: number; size: number }[] = [];
      for (let index = 0; ; index++) {
        select(index);
        const size = ports.read(0x0c, 2);
        if (size === 0) return found;
        found.push({ index, size });
      }
    },
    setFeatures(features) {
      ports.write(0x04, 4, Number(features));
      return ports.read(0x04, 4) === Number(features);
    },
    setStatus(status) {
      ports.write(0x12, 1, status);
      if (ports.read(0x12, 1) !== status) throw new Error(`status ${status} was refused`);
    },
    setRings(index, desc) {
      select(index);
      if (msix) ports.write(0x16, 2, index + 1);
      ports.write(0x08, 4, Number(desc / 4096n));
    },
    kick(index) {
      ports.write(0x10, 2, index);
    },
  };
}

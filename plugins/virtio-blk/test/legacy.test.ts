// A disk with legacy registers: its driver uses the ports of BAR 0, with messages or with the interrupt line.
import { pciMachine } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import { type VirtioBlkPciOptions, virtioBlkPci } from "../src/pci.ts";
import { DiskDriver, image, sectorOf } from "./support/disk.ts";

const backend = image(64);
const machine = (options: Partial<VirtioBlkPciOptions> = {}, msix = true) =>
  pciMachine(
    (wiring) =>
      virtioBlkPci({ slot: "00:03.0", mode: "legacy", queues: 2, queueSize: 16, backend, ...options, ...wiring }),
    { legacy: true, msix },
  );

describe("a legacy driver", () => {
  it.each(["legacy", "transitional"] as const)("is served by a %s disk, and goes on where it arrives", async (mode) => {
    const here = machine({ mode });
    const driver = new DiskDriver<typeof here>(here);
    const write = driver.send(0, 1, 5n, sectorOf(5));
    expect([driver.status(write), driver.ring(0).reap()]).toEqual([0, [{ head: write.head, length: 1 }]]);
    expect([backend.bytes[5 * 512], here.messages]).toEqual([5, [1]]);
    const late = driver.put(1, 0, 5n, 512);
    here.kernel.pause();
    const there = machine({ mode });
    there.kernel.pause();
    await there.kernel.load(await here.save());
    driver.machine = there;
    expect(driver.status(late)).toBe(0xee);
    there.kernel.resume();
    expect([driver.status(late), driver.data(late), there.messages]).toEqual([0, sectorOf(5), [2]]);
    // The last queue that it chose is still chosen.
    expect(there.offer.function.bars[0]?.read(8, 4)).toBe(driver.ring(1).desc / 4096);
  });

  it("without MSI-X is interrupted by line, whose level travels", async () => {
    const here = machine({ msixVectors: 0 }, false);
    const driver = new DiskDriver<typeof here>(here);
    driver.send(0, 0, 1n, 512);
    expect([here.lines.at(-1), here.messages]).toEqual([true, []]);
    here.kernel.pause();
    const there = machine({ msixVectors: 0 }, false);
    there.kernel.pause();
    await there.kernel.load(await here.save());
    expect(there.lines.at(-1)).toBe(true);
    expect(there.offer.function.bars[0]?.read(0x13, 1)).toBe(1);
    expect(there.lines.at(-1)).toBe(false);
  });
});

describe("one queue that its driver resets", () => {
  it("forgets its requests, and no others; then it is as new", () => {
    const { held, ...slow } = slowOf();
    const here = pciMachine((wiring) =>
      virtioBlkPci({ slot: "00:03.0", queues: 2, queueSize: 16, backend: slow, ...wiring }),
    );
    const driver = new DiskDriver<typeof here>(here);
    const lost = driver.send(0, 0, 1n, 512);
    const kept = driver.send(1, 0, 2n, 512);
    expect(here.offer.disk.inFlight).toBe(2);
    const common = here.offer.function.bars.find(({ index }) => index === 4);
    common?.write(0x16, 2, 0);
    common?.write(0x3a, 2, 1);
    expect([common?.read(0x3a, 2), common?.read(0x1c, 2), common?.read(0x1a, 2)]).toEqual([0, 0, 0xffff]);
    expect(here.offer.disk.inFlight).toBe(1);
    driver.setUp(0, 16);
    expect(common?.read(0x1c, 2)).toBe(1);
    expect([driver.status(lost), driver.status(kept), held.length]).toEqual([0xee, 0xee, 2]);
    // The back end still has what the queue had: nothing new is started before it is done with that.
    const early = driver.send(0, 8, 0n, 20);
    expect([driver.status(early), here.offer.disk.inFlight]).toEqual([0xee, 2]);
    return finish(held).then(() => {
      expect([driver.status(lost), driver.status(kept)]).toEqual([0xee, 0]);
      expect([driver.status(early), driver.ring(0).reap()]).toEqual([0, [{ head: early.head, length: 21 }]]);
      const next = driver.send(0, 8, 0n, 20);
      expect([driver.status(next), driver.ring(0).reap()]).toEqual([0, [{ head: next.head, length: 21 }]]);
    });
  });
});

function slowOf() {
  const held: (() => void)[] = [];
  const of = image(8);
  return {
    ...of,
    held,
    read: (sector: number, into: Uint8Array) =>
      new Promise<void>((resolve) => {
        held.push(() => {
          void of.read(sector, into);
          resolve();
        });
      }),
  };
}

async function finish(held: (() => void)[]): Promise<void> {
  for (const end of held.splice(0)) end();
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

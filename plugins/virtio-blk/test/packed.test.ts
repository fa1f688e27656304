// Packed rings end to end: a PCI function in machines of the real kernel, driven by its registers, with requests under
// way as it moves.
import { decodeRecord, encodeRecord, isMigrationError, toState } from "@godwit/core";
import { feature } from "@godwit/virtio-core";
import { machine, PackedDriver, pciMachine, sectionOf } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import { virtioBlk } from "../src/model.ts";
import { virtioBlkPci, virtioBlkPciFamily } from "../src/pci.ts";
import { image, sectorOf, slowImage } from "./support/disk.ts";
import { qemuPackedMemory, qemuPackedSection } from "./support/qemu-packed.ts";

const slot = "00:03.0";
const ringFeatures = feature.RING_PACKED | feature.RING_INDIRECT_DESC | feature.RING_EVENT_IDX;
const tick = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

interface Request {
  readonly id: number;
  readonly data: number;
  readonly statusAt: number;
}

function add(driver: PackedDriver<never>, queue: number, type: number, sector: number, data: Uint8Array | number) {
  const to = driver as unknown as PackedDriver;
  const header = to.allocate(16);
  to.view.setUint32(header, type, true);
  to.view.setBigUint64(header + 8, BigInt(sector), true);
  const isOut = typeof data !== "number";
  const length = isOut ? data.length : data;
  const at = to.allocate(length);
  if (isOut) to.machine.ram.set(data, at);
  const statusAt = to.allocate(1);
  to.machine.ram[statusAt] = 0xee;
  const [first, middle, last] = [
    { at: header, length: 16 },
    { at, length },
    { at: statusAt, length: 1 },
  ];
  const id = to.ring(queue).add(isOut ? [first, middle] : [first], isOut ? [last] : [middle, last]);
  return { id, data: at, statusAt } satisfies Request;
}

describe("packed rings over PCI", () => {
  const make = (backend: ReturnType<typeof image> | ReturnType<typeof slowImage>) =>
    pciMachine((wiring) =>
      virtioBlkPci({ slot, ...wiring, backend, queues: 2, queueSize: 8, ringFeatures, carryInFlight: true }),
    );

  it("go on, lap after lap, where they arrive: in flight, answered out of order, waiting", async () => {
    const disk = image(64);
    const slow = slowImage(disk);
    const here = make(slow);
    const driver = new PackedDriver<typeof here>(here);
    const put = (queue: number, type: number, sector: number, data: Uint8Array | number) =>
      add(driver as never, queue, type, sector, data);
    const statusOf = ({ statusAt }: Request) => driver.machine.ram[statusAt];
    // Two laps and a half, so that wrap counters differ from those of a fresh ring.
    for (let i = 0; i < 7; i++) {
      const one = put(0, 1, i, sectorOf(i));
      driver.ring(0).kick();
      slow.held[0]?.finish();
      await tick();
      expect([statusOf(one), driver.ring(0).reap()]).toEqual([0, [{ head: one.id, length: 1 }]]);
    }
    const first = put(0, 1, 20, sectorOf(20));
    const second = put(0, 1, 21, sectorOf(21));
    driver.ring(0).kick();
    const other = put(1, 0, 3, 512);
    driver.ring(1).kick();
    expect(slow.held.map(({ what }) => what)).toEqual(["write 20", "write 21", "read 3"]);
    // The later one is answered first: its used descriptor stands in the first one's slots.
    slow.held[1]?.finish();
    await tick();
    expect([statusOf(first), statusOf(second)]).toEqual([0xee, 0]);
    here.kernel.pause();
    const stream = await here.save();

    const sample = sectionOf(stream, `0000:${slot}/virtio-blk`);
    const parameters = virtioBlkPciFamily.infer(sample);
    expect(parameters).toMatchObject({ queues: 2, packed: true });
    const description = virtioBlkPciFamily.build(parameters);
    const record = decodeRecord(description, sample.bytes);
    expect(Buffer.compare(encodeRecord(description, record), sample.bytes)).toBe(0);
    const state = toState(description, record);
    expect(state.legacy.map(({ queue, element }) => [queue, element.index, element.ndescs])).toEqual([
      [0, first.id, 3],
      [1, other.id, 3],
    ]);
    expect(state.virtio.packed_virtqueues.vq.slice(0, 2)).toEqual([
      // 7 and 2 requests of 3 slots in a ring of 8, of which the last two took 6 and one gave back 3.
      { last_avail_idx: 27 % 8, last_avail_wrap_counter: false, used_idx: 24 % 8, used_wrap_counter: false, inuse: 3 },
      { last_avail_idx: 3, last_avail_wrap_counter: true, used_idx: 0, used_wrap_counter: true, inuse: 3 },
    ]);
    expect(first.id).toBeGreaterThanOrEqual(8);

    const there = make(disk);
    there.kernel.pause();
    await there.kernel.load(stream);
    driver.machine = there;
    there.kernel.resume();
    expect([first, second, other].map(statusOf)).toEqual([0, 0, 0]);
    expect(driver.ring(0).reap()).toEqual([
      { head: second.id, length: 1 },
      { head: first.id, length: 1 },
    ]);
    expect(driver.ring(1).reap()).toEqual([{ head: other.id, length: 513 }]);
    expect(driver.bytes(other.data, 512)).toEqual(sectorOf(3));
    for (let i = 0; i < 9; i++) {
      const one = put(0, 0, 20, 512);
      driver.ring(0).kick();
      expect([statusOf(one), driver.ring(0).reap()]).toEqual([0, [{ head: one.id, length: 513 }]]);
      expect(driver.bytes(one.data, 512)).toEqual(sectorOf(20));
    }
    expect(new Set(there.messages)).toEqual(new Set([1, 2]));
  });
});

describe("a section of QEMU with packed requests in flight", () => {
  const idstr = `0000:${slot}/virtio-blk`;
  const bytes = qemuPackedSection();
  const parameters = virtioBlkPciFamily.infer({ idstr, instance: 0, version: 2, bytes });
  const description = virtioBlkPciFamily.build(parameters);

  it("is read with its counts of slots, and comes back to the same bytes", () => {
    expect(parameters).toMatchObject({ queues: 2, packed: true, msixVectors: 3, configBytes: 256 });
    const record = decodeRecord(description, bytes);
    expect(Buffer.compare(encodeRecord(description, record), bytes)).toBe(0);
    const state = toState(description, record);
    expect(state.legacy).toEqual([
      { queue: 1, element: { index: 9, ndescs: 3, ...segments(0x22000) } },
      { queue: 0, element: { index: 0xfff0, ndescs: 3, ...segments(0x21000) } },
    ]);
    expect(state.virtio.packed_virtqueues.vq[0]).toMatchObject({ last_avail_idx: 6, used_idx: 3, inuse: 3 });
    // The driver has not read configuration space.
    expect(state.config.some((byte) => byte !== 0)).toBe(false);
  });

  const segments = (at: number) => ({
    out: [{ address: at, length: 16 }],
    in: [
      { address: at + 0x200, length: 512 },
      { address: at + 0x400, length: 1 },
    ],
  });

  it("arrives in a disk of ours, which saves it the same and then does the requests", async () => {
    const disk = image(2048);
    for (const sector of [5, 6]) disk.bytes.set(sectorOf(sector), 512 * sector);
    const make = () =>
      pciMachine((wiring) =>
        virtioBlkPci({
          slot,
          ...wiring,
          backend: disk,
          queues: 2,
          queueSize: 8,
          accessPlatform: false,
          ringFeatures: ringFeatures | feature.RING_RESET,
        }),
      );
    const from = make();
    for (const [address, hex] of qemuPackedMemory) from.ram.set(Buffer.from(hex, "hex"), address);
    from.kernel.pause();
    const carrier = await from.save();
    const own = sectionOf(carrier, idstr).bytes;
    const at = Buffer.from(carrier).indexOf(own);
    const stream = new Uint8Array(Buffer.concat([carrier.subarray(0, at), bytes, carrier.subarray(at + own.length)]));
    const there = make();
    there.kernel.pause();
    await there.kernel.load(stream);
    expect([there.offer.disk.inFlight, disk.log]).toEqual([2, []]);
    expect(Buffer.compare(sectionOf(await there.save(), idstr).bytes, bytes)).toBe(0);
    there.kernel.resume();
    expect(disk.log).toEqual(["read 6", "read 5"]);
    expect([there.ram[0x21400], there.ram[0x22400], there.ram[0x21200], there.ram[0x22200]]).toEqual([0, 0, 5, 6]);
    const view = new DataView(there.ram.buffer);
    // Used: the id, the bytes, and both flags as the first lap has them; written to.
    const used = (slotAt: number) => [8, 12, 14].map((of) => view.getUint16(slotAt + of, true));
    expect([used(0x10030), used(0x18000)]).toEqual([
      [513, 0xfff0, 0x8082],
      [513, 9, 0x8082],
    ]);
    expect(there.offer.device.queues.map(({ inuse }) => inuse)).toEqual([0, 0]);
  });
});

describe("a packed request in flight that cannot be", () => {
  const saved = async () => {
    const backend = slowImage(image(16));
    const from = machine(
      virtioBlk({ backend, queueSize: 8, packed: true, carryInFlight: true }),
      undefined,
      ringFeatures,
    );
    const driver = new PackedDriver(from);
    for (const sector of [1, 2]) add(driver as never, 0, 1, sector, sectorOf(sector));
    driver.ring(0).kick();
    await from.quiesce();
    return from;
  };
  /** `at` is where the first element begins, with its count of slots. */
  const load = async (change: (view: DataView, at: number) => void) => {
    const from = await saved();
    const bytes = from.save();
    // Before the list: 8 bytes of registers, configuration space and its length, the count of queues, and a queue.
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const config = view.getUint32(8);
    const at = 12 + config + 4 + 14;
    expect([bytes[at], view.getUint32(at + 1)]).toEqual([1, 3]);
    change(view, at + 1);
    const disk = image(16);
    const to = machine(virtioBlk({ backend: disk, queueSize: 8, packed: true }), undefined, ringFeatures);
    to.ram.set(from.ram);
    try {
      to.load(bytes);
    } catch (error) {
      if (isMigrationError(error)) return [error.code, error.location.path, error.found];
      throw error;
    }
    to.resume();
    return [to.device.failure, disk.log];
  };

  it.each([
    ["of no slot", 0],
    ["of more slots than its ring has", 9],
  ])("is refused: %s", async (_, slots) => {
    expect(await load((view, at) => view.setUint32(at, slots))).toEqual(["DEVICE_CHECK", "legacy[0]", String(slots)]);
  });

  it("is refused: with an id of more than 16 bits", async () => {
    expect(await load((view, at) => view.setUint32(at + 4, 0x1_0000, true))).toEqual([
      "DEVICE_CHECK",
      "legacy[0]",
      "65536",
    ]);
  });

  it("breaks the device where it takes more slots than are in use", async () => {
    expect(await load(() => {})).toEqual([undefined, ["write 1", "write 2"]]);
    expect(await load((view, at) => view.setUint32(at, 4))).toEqual([
      "virtio-blk: requests in flight take 7 entries, of which queue 0 has 6",
      [],
    ]);
  });
});

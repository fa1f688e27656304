// Requests under way when the machine is saved: answered before, or carried and done where they arrive; never lost, done
// twice or overtaken. And states that cannot be.
import { isMigrationError } from "@godwit/core";
import { feature } from "@godwit/virtio-core";
import { ccwMachine, machine, PackedDriver, pciMachine, sectionOf } from "@godwit/virtio-testkit";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { virtioScsiCcw } from "../src/ccw.ts";
import { type ScsiDiskState, scsiDiskFamily } from "../src/disk-state.ts";
import { virtioScsi } from "../src/model.ts";
import { type VirtioScsiPciOptions, virtioScsiPci } from "../src/pci.ts";
import { cdb, ScsiDriver, type Sent, tick } from "./support/driver.ts";
import { image, sectorOf, slowImage } from "./support/images.ts";

const slot = "00:06.0";
const base = { slot, queues: 2, queueSize: 64 } as const;
type Options = Partial<VirtioScsiPciOptions> & Pick<VirtioScsiPciOptions, "disks">;
const pci = (options: Options) => pciMachine((wiring) => virtioScsiPci({ ...base, ...wiring, ...options }));

/** The driver goes on in another machine of the real kernel, which has loaded the first one's stream. */
async function hop<M extends ReturnType<typeof pci>>(driver: ScsiDriver<M>, to: M): Promise<void> {
  driver.machine.kernel.pause();
  const stream = await driver.machine.save();
  to.kernel.pause();
  await to.kernel.load(stream);
  driver.machine = to;
  to.kernel.resume();
}

async function finishAll(slow: ReturnType<typeof slowImage>): Promise<void> {
  while (slow.held.length > 0) {
    slow.held[0]?.finish();
    await tick();
  }
}

describe("a request in flight", () => {
  it("waits for its back end before it is saved, and nothing new is taken meanwhile", async () => {
    const disk = image(16);
    const slow = slowImage(disk);
    const here = pci({ disks: [{ backend: slow }] });
    const driver = new ScsiDriver<typeof here>(here);
    driver.greet();
    const write = driver.send(cdb.write10(5, 1), sectorOf(5));
    const there = pci({ disks: [{ backend: disk }] });
    here.kernel.pause();
    const saving = here.save();
    await tick();
    const late = driver.send(cdb.read10(5, 1), 512);
    expect([here.offer.adapter.inFlight, slow.held.length, slow.recalls]).toEqual([1, 1, 0]);
    slow.held[0]?.finish();
    const stream = await saving;
    there.kernel.pause();
    await there.kernel.load(stream);
    expect(there.offer.adapter.inFlight).toBe(0);
    driver.machine = there;
    there.kernel.resume();
    expect([driver.got(write), driver.got(late)]).toMatchObject([{ response: 0 }, { response: 0, status: 0 }]);
    expect(driver.data(late)).toEqual(sectorOf(5));
    expect(disk.log).toEqual(["write 5", "read 5"]);
  });

  it("is carried through several machines and done once, where it is let", async () => {
    const disk = image(16);
    const slow = slowImage(disk);
    const disks = [{ backend: slow }, { backend: slow, target: 1, lun: 2 }];
    const make = () => pci({ disks, carryInFlight: true });
    const driver = new ScsiDriver(make());
    const far = { target: 1, lun: 2 };
    driver.greet();
    driver.greet(far);
    driver.heads();
    const sent = [
      driver.send(cdb.write10(1, 1), sectorOf(1)),
      driver.send(cdb.write10(2, 1), sectorOf(2), { queue: 1, ...far }),
      driver.send(cdb.synchronize, 0, far),
      driver.send(cdb.read10(3, 2), 1024, { queue: 1 }),
    ];
    for (let i = 0; i < 3; i++) {
      await hop(driver, make());
      expect(driver.machine.offer.adapter.units.map(({ inFlight }) => inFlight)).toEqual([2, 2]);
    }
    expect([disk.log, slow.held.length]).toEqual([[], 4 * 1]);
    await finishAll(slow);
    expect(sent.map((one) => driver.got(one))).toMatchObject(sent.map(() => ({ response: 0, status: 0, residual: 0 })));
    expect(disk.log.toSorted()).toEqual(["flush", "read 3", "write 1", "write 2"]);
    expect(driver.heads(0).toSorted()).toEqual([sent[0]?.head, sent[2]?.head].toSorted());
    expect(driver.heads(1).toSorted()).toEqual([sent[1]?.head, sent[3]?.head].toSorted());
  });

  it("stands in its disk's section as QEMU writes it", async () => {
    const slow = slowImage(image(16));
    const here = pci({ disks: [{ backend: slow, target: 1, lun: 2 }], queues: 3, carryInFlight: true });
    const driver = new ScsiDriver<typeof here>(here);
    driver.greet({ target: 1, lun: 2 });
    driver.send(cdb.write10(5, 2), new Uint8Array(1024), { queue: 2, target: 1, lun: 2, id: 0x1122_3344_5566_7788n });
    const sample = sectionOf(await here.save(), "0000:00:06.0/0:1:2/scsi-disk");
    expect(sample.bytes).toHaveLength(49_323);
    expect(Buffer.from(sample.bytes.subarray(104, 105 + 28)).toString("hex")).toBe(
      "012a00000000050000020000000000000055667788" + "00000002" + "00000002",
    );
    expect(Buffer.from(sample.bytes.subarray(-22)).toString("hex")).toBe(
      "0000000000000005" + "00000002" + "00000000" + "00" + "0000000000",
    );
    expect(scsiDiskFamily.infer(sample)).toEqual({ queues: 3, packed: false });
  });

  it("goes over channel I/O", async () => {
    const disk = image(16);
    const slow = slowImage(disk);
    const make = () =>
      ccwMachine((wiring) =>
        virtioScsiCcw({ busId: "fe.0.0005", queues: 2, ...wiring, disks: [{ backend: slow }], carryInFlight: true }),
      );
    const here = make();
    const driver = new ScsiDriver<typeof here>(here);
    driver.greet();
    const sent = driver.send(cdb.write10(1, 1), sectorOf(1), { queue: 1 });
    here.kernel.pause();
    const there = make();
    there.kernel.pause();
    await there.kernel.load(await here.save());
    driver.machine = there;
    there.kernel.resume();
    await finishAll(slow);
    expect([driver.got(sent), disk.log]).toMatchObject([{ response: 0, status: 0 }, ["write 1"]]);
    expect(there.messages).toContain(4);
  });

  it("of a packed ring has its descriptors' count", async () => {
    const slow = slowImage(image(16));
    const ringFeatures = feature.RING_PACKED;
    const make = () => pci({ disks: [{ backend: slow }], queues: 1, ringFeatures, carryInFlight: true });
    const here = make();
    const driver = new PackedDriver<typeof here>(here);
    const place = (bytes: number, ...content: number[]) => {
      const at = driver.allocate(bytes);
      driver.machine.ram.fill(0, at, at + bytes).set(content, at);
      return { at, length: bytes };
    };
    const ask = (command: readonly number[], room: number) => {
      const header = place(51, 1, ...new Array(18).fill(0), ...command);
      const answer = place(108);
      driver.machine.ram[answer.at + 11] = 0xee;
      driver.ring(2).add([header], room === 0 ? [answer] : [answer, place(room)]);
      driver.ring(2).kick();
      return answer.at + 11;
    };
    ask(cdb.testUnitReady, 0);
    const read = ask(cdb.read10(1, 1), 512);
    here.kernel.pause();
    const stream = await here.save();
    const sample = sectionOf(stream, "0000:00:06.0/0:0:0/scsi-disk");
    expect(scsiDiskFamily.infer(sample)).toEqual({ queues: 1, packed: true });
    const there = make();
    there.kernel.pause();
    await there.kernel.load(stream);
    driver.machine = there;
    there.kernel.resume();
    await finishAll(slow);
    expect(there.ram[read]).toBe(0);
    expect(there.offer.device.broken).toBe(false);
  });

  it("was saved in the middle of an abort: the abort is done where it arrives", async () => {
    const slow = slowImage(image(16));
    const here = pci({ disks: [{ backend: slow }] });
    const driver = new ScsiDriver<typeof here>(here);
    driver.greet();
    const write = driver.send(cdb.write10(1, 1), sectorOf(1), { id: 7n });
    const abort = driver.manage(0, { id: 7n });
    const saved = here.kernel.snapshot().slice();
    slow.held[0]?.finish();
    await tick();
    expect([driver.byte(abort), driver.got(write)]).toMatchObject([0, { response: 2 }]);
    here.kernel.pause();
    here.kernel.restore(saved);
    expect([driver.byte(abort), driver.got(write), here.offer.adapter.inFlight]).toEqual([0xee, undefined, 1]);
    here.kernel.resume();
    expect(driver.byte(abort)).toBe(0xee);
    slow.held[0]?.finish();
    await tick();
    expect([driver.byte(abort), driver.got(write)]).toMatchObject([0, { response: 2 }]);
    expect(driver.ring(0).reap()).toHaveLength(1);
  });
});

describe("the past", () => {
  it("is over before a driver that has reset the device has its requests begun", async () => {
    const disk = image(16);
    const slow = slowImage(disk);
    const here = pci({ disks: [{ backend: slow }] });
    const before = new ScsiDriver<typeof here>(here);
    before.greet();
    before.send(cdb.write10(1, 1), sectorOf(1));
    here.device.setStatus(0);
    const after = new ScsiDriver<typeof here>(here);
    const [greeted, write] = [after.send(cdb.testUnitReady), after.send(cdb.write10(1, 1), sectorOf(2))];
    expect(slow.held.map(({ what }) => what)).toEqual(["write 1"]);
    slow.held[0]?.finish();
    await tick();
    // Power was on again: the first command hears of it.
    expect(after.got(greeted)).toMatchObject({ status: 2, sense: [6, 0x29, 0] });
    expect([after.got(write), slow.held.length]).toEqual([undefined, 1]);
    slow.held[0]?.finish();
    await tick();
    expect([after.got(write), disk.bytes[512]]).toMatchObject([{ status: 0 }, 2]);
    expect(after.heads()).toEqual([greeted.head, write.head]);
  });

  it("is over before a restored state has its requests begun, and that only when the machine runs", async () => {
    const disk = image(16);
    const slow = slowImage(disk);
    const here = pci({ disks: [{ backend: slow }] });
    const driver = new ScsiDriver<typeof here>(here);
    driver.greet();
    const write = driver.send(cdb.write10(2, 1), sectorOf(2));
    const saved = here.kernel.snapshot().slice();
    const [past] = slow.held;
    here.kernel.pause();
    here.kernel.restore(saved);
    here.kernel.resume();
    expect(slow.held).toEqual([past]);
    here.kernel.pause();
    here.kernel.restore(saved);
    past?.finish();
    await tick();
    expect([slow.held.length, driver.got(write)]).toEqual([0, undefined]);
    here.kernel.resume();
    await finishAll(slow);
    expect([driver.got(write), disk.log, driver.heads().at(-1)]).toMatchObject([
      { status: 0 },
      ["write 2", "write 2"],
      write.head,
    ]);
  });
});

describe("a state that cannot be", () => {
  const idstr = "0000:00:06.0/0:0:0/scsi-disk";
  const at = { firstRequest: 104, requestBytes: 1 + 28 + 49168 + 16 };

  /** Two requests in flight; the disk's section is changed in the stream, then loaded. */
  async function load(change: (section: DataView) => void) {
    const slow = slowImage(image(16));
    const here = pci({ disks: [{ backend: slow }], carryInFlight: true });
    const driver = new ScsiDriver<typeof here>(here);
    driver.greet();
    const sent = [0, 1].map((n) => driver.send(cdb.write10(n, 1), sectorOf(n)));
    here.kernel.pause();
    const stream = await here.save();
    const { bytes } = sectionOf(stream, idstr);
    const offset = Buffer.from(stream.buffer, stream.byteOffset, stream.length).indexOf(bytes);
    change(new DataView(stream.buffer, stream.byteOffset + offset, bytes.length));
    const disk = image(16);
    const there = pci({ disks: [{ backend: disk }] });
    there.kernel.pause();
    let refusal: unknown;
    try {
      await there.kernel.load(stream);
    } catch (error) {
      refusal = isMigrationError(error) ? [error.code, error.location.path] : error;
    }
    return { refusal, there, disk, driver, sent };
  }

  it.each([
    ["of another unit", "lun", at.firstRequest + 1 + 20, 9],
    ["that came twice", "element", at.firstRequest + at.requestBytes + 29, undefined],
  ])("is refused: a request %s", async (_, field, offset, value) => {
    const index = field === "lun" ? 0 : 1;
    const { refusal, there, disk } = await load((section) => {
      if (value === undefined) section.setUint32(offset, section.getUint32(at.firstRequest + 29));
      else section.setUint32(offset, value);
    });
    expect(refusal).toEqual(["DEVICE_CHECK", `qdev.requests[${index}].${field}`]);
    expect([there.offer.adapter.inFlight, disk.log]).toEqual([0, []]);
  });

  it("is refused: more data than its buffer holds", async () => {
    const { refusal } = await load((section) => {
      // The first is made a read that goes on with data: so much of the second request's bytes is its data.
      section.setUint8(at.firstRequest, 2);
      section.setUint8(at.firstRequest + 1, 0x28);
      const buffer = at.firstRequest + 29 + 49168 + 12;
      section.setUint32(buffer, 1);
      // Behind it, the marker of the second and its command are read as the length.
      section.setUint32(buffer + 4, at.requestBytes - 4);
    });
    expect(refusal).toEqual(["DEVICE_CHECK", "qdev.requests[0].data_len"]);
  });

  it("breaks the device when it runs: an entry that its ring does not have", async () => {
    const { refusal, there, disk, driver, sent } = await load((section) =>
      section.setUint32(at.firstRequest + 29, 64, true),
    );
    expect(refusal).toBeUndefined();
    driver.machine = there;
    there.kernel.resume();
    expect([there.offer.device.broken, disk.log]).toEqual([true, []]);
    expect(sent.map((one) => driver.got(one))).toEqual([undefined, undefined]);
  });

  it("breaks the device when it runs: more requests than their ring has lost", async () => {
    const disk = image(16);
    const slow = slowImage(disk);
    const source = virtioScsi({ disks: [{ backend: slow }], carryInFlight: true });
    const driver = new ScsiDriver(machine(source));
    driver.greet();
    for (const n of [0, 1]) driver.send(cdb.write10(n, 1), sectorOf(n));
    await driver.machine.quiesce();
    const model = virtioScsi({ disks: [{ backend: disk }] });
    const to = machine(model);
    to.ram.set(driver.machine.ram);
    // The guest's used index says that one of the two was answered, beside the first command.
    new DataView(to.ram.buffer).setUint16(driver.ring(2).used + 2, 2, true);
    to.load(driver.machine.save());
    model.units[0]?.load(source.units[0]?.save() as ScsiDiskState);
    to.resume();
    expect(to.device.failure).toContain("2 requests in flight");
    expect(disk.log).toEqual([]);
  });
});

describe("any run of requests", () => {
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant("write" as const),
        queue: fc.nat(1),
        unit: fc.nat(1),
        block: fc.nat(15),
      }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("finish" as const), which: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("hop" as const), carry: fc.boolean() }) },
  );

  it("is answered whole, each once, through any number of machines", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const disk = image(16);
        const slow = slowImage(disk);
        const disks = [{ backend: slow }, { backend: slow, lun: 1 }];
        let carries = true;
        const driver = new ScsiDriver(pci({ disks, carryInFlight: carries }));
        driver.greet();
        driver.greet({ lun: 1 });
        driver.heads(0);
        const sent: Sent[] = [];
        const answered: string[] = [];
        const reap = (): void => {
          for (const queue of [0, 1]) answered.push(...driver.heads(queue).map((head) => `${queue}/${head}`));
        };
        const asked: string[] = [];
        for (const one of steps) {
          if (one.kind === "write") {
            const request = driver.send(cdb.write10(one.block, 1), sectorOf(sent.length % 256), {
              queue: one.queue,
              lun: one.unit,
            });
            sent.push(request);
            asked.push(`${one.queue}/${request.head}`);
          } else if (one.kind === "finish") {
            slow.held[one.which % Math.max(1, slow.held.length)]?.finish();
            await tick();
          } else {
            if (!carries) await finishAll(slow);
            carries = one.carry;
            await hop(driver, pci({ disks, carryInFlight: carries }));
          }
          reap();
        }
        await finishAll(slow);
        reap();
        expect(sent.map((request) => driver.got(request))).toEqual(
          sent.map(() => ({ response: 0, status: 0, residual: 0, sense: [] })),
        );
        expect(answered.toSorted()).toEqual(asked.toSorted());
        expect(disk.log).toHaveLength(sent.length);
      }),
      { seed: 20261121, numRuns: 25 },
    );
  });
});

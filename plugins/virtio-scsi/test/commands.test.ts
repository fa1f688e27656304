// The adapter at work: commands, what a target answers by itself, task management, events, and drivers that do wrong.
import { MigrationError } from "@godwit/core";
import { machine } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import { blockCommand } from "../src/cdb.ts";
import type { ScsiDiskOptions } from "../src/disk.ts";
import { type VirtioScsiOptions, virtioScsi } from "../src/model.ts";
import { cdb, ScsiDriver, tick } from "./support/driver.ts";
import { image, sectorOf, slowImage } from "./support/images.ts";

const good = { response: 0, status: 0, residual: 0, sense: [] };
const check = (...sense: number[]) => ({ response: 0, status: 2, sense });
const attention = check(6, 0x29, 0);

/** A driver whose units have told that they were powered on. */
function driverOf(disks: readonly ScsiDiskOptions[], options: Omit<VirtioScsiOptions, "disks"> = {}) {
  const model = virtioScsi({ disks, ...options });
  const driver = new ScsiDriver(machine(model));
  for (const { target = 0, lun = 0 } of disks) driver.greet({ target, lun });
  for (let queue = 0; queue < (options.queues ?? 1); queue++) driver.heads(queue);
  driver.machine.interrupts.length = 0;
  return { driver, model };
}

describe("blocks", () => {
  it("are written, read and made durable, in every form of the commands", () => {
    const disk = image(64);
    const { driver } = driverOf([{ backend: disk }]);
    const two = Uint8Array.of(...sectorOf(7), ...sectorOf(8));
    expect(driver.ask(cdb.write10(3, 2), two)).toMatchObject(good);
    expect(disk.bytes.subarray(3 * 512, 5 * 512)).toEqual(two);
    expect(driver.ask(cdb.read10(3, 2), 1024)).toEqual({ ...good, data: two });
    expect(driver.ask(cdb.synchronize)).toMatchObject(good);
    expect(driver.ask([0x08, 0, 0, 3, 1, 0], 512).data).toEqual(sectorOf(7));
    expect(driver.ask([0xa8, 0, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0], 512).data).toEqual(sectorOf(8));
    const read16 = [0x88, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0];
    expect(driver.ask(read16, 512).data).toEqual(sectorOf(8));
    expect(disk.log).toEqual(["write 3", "read 3", "flush", "read 3", "read 4", "read 4"]);
    expect(driver.machine.interrupts).toEqual([2, 2, 2, 2, 2, 2]);
    // Answer, sense and data: what was written into the chain.
    expect(
      driver
        .ring(2)
        .reap()
        .map(({ length }) => length),
    ).toEqual([108, 1132, 108, 620, 620, 620]);
  });

  it("are durable when they are answered where the command asks for it", () => {
    const disk = image(8);
    const { driver } = driverOf([{ backend: disk }]);
    expect(driver.ask(cdb.write10(1, 1, 0x08), sectorOf(1))).toMatchObject(good);
    expect(driver.ask([0x2e, 0, 0, 0, 0, 2, 0, 0, 1, 0], sectorOf(2))).toMatchObject(good);
    expect(disk.log).toEqual(["write 1", "flush", "write 2", "flush"]);
  });

  it("that are not there, protected, or too many, are an error with its sense", () => {
    const disk = image(8);
    const { driver } = driverOf([{ backend: disk }, { backend: disk, lun: 1, readOnly: true }]);
    expect(driver.ask(cdb.read10(8, 1), 512)).toMatchObject({ ...check(5, 0x21, 0), residual: 512 });
    expect(driver.ask(cdb.write10(7, 2), new Uint8Array(1024))).toMatchObject({ ...check(5, 0x21, 0), residual: 1024 });
    const far = [0x88, 0, ...new Array(8).fill(255), 0, 0, 0, 1, 0, 0];
    expect(driver.ask(far, 512)).toMatchObject(check(5, 0x21, 0));
    expect(driver.ask(cdb.read10(0, 1, 0x20), 512)).toMatchObject(check(5, 0x24, 0));
    expect(driver.ask(cdb.write10(0, 1), sectorOf(1), { lun: 1 })).toMatchObject(check(7, 0x27, 0));
    expect(disk.log).toEqual([]);
    expect(driver.ask(cdb.read10(8, 0))).toMatchObject(good);
  });

  it("that do not fit their buffers are an overrun; buffers both ways fail; more room is residual", () => {
    const disk = image(8);
    const { driver } = driverOf([{ backend: disk }]);
    const overrun = { response: 1, status: 0, sense: [] };
    expect(driver.ask(cdb.read10(0, 1), 256)).toMatchObject(overrun);
    expect(driver.ask(cdb.read10(0, 1), sectorOf(1))).toMatchObject(overrun);
    expect(driver.ask(cdb.write10(0, 2), sectorOf(1))).toMatchObject(overrun);
    expect(driver.ask(cdb.write10(0, 1), 512)).toMatchObject(overrun);
    expect(driver.ask(cdb.inquiry(96), 8)).toMatchObject(overrun);
    expect(disk.log).toEqual([]);
    expect(driver.ask(cdb.read10(0, 1), 1024)).toMatchObject({ ...good, residual: 512 });
    expect(driver.ask(cdb.write10(0, 1), new Uint8Array(1024))).toMatchObject({ ...good, residual: 512 });
  });

  it("are counted as the oldest form counts them", () => {
    expect(blockCommand(Uint8Array.of(0x08, 0xff, 1, 2, 0, 0, ...new Array(10).fill(0)))).toEqual({
      write: false,
      durable: false,
      protection: 0,
      block: 0x1f_0102n,
      count: 256,
    });
    expect(blockCommand(new Uint8Array(16))).toBeUndefined();
  });
});

describe("a unit", () => {
  it("begins with a unit attention, which two commands pass by and REQUEST SENSE takes", () => {
    const driver = new ScsiDriver(machine(virtioScsi({ disks: [{ backend: image(8) }] })));
    expect(driver.ask(cdb.inquiry(36), 36)).toMatchObject(good);
    expect(driver.ask(cdb.reportLuns(64), 64)).toMatchObject({ response: 0, status: 0 });
    expect(driver.ask(cdb.read10(0, 1), 512)).toMatchObject({ ...attention, residual: 512 });
    expect(driver.ask(cdb.read10(0, 1), 512)).toMatchObject(good);
    driver.manage(5);
    const sense = driver.ask(cdb.requestSense(18), 18);
    expect([sense.status, sense.data[0], sense.data[2], sense.data[12]]).toEqual([0, 0x70, 6, 0x29]);
    expect(driver.ask(cdb.testUnitReady)).toMatchObject(good);
  });

  it("keeps the sense of a failed command for the next one alone", () => {
    const { driver } = driverOf([{ backend: image(8) }]);
    const keys = (): number[] => [2, 12].map((i) => driver.ask(cdb.requestSense(18), 18).data[i] as number);
    expect(driver.ask([0xff])).toMatchObject(check(5, 0x20, 0));
    const { data } = driver.ask(cdb.requestSense(18), 18);
    expect([data[2], data[12]]).toEqual([5, 0x20]);
    driver.ask([0xff]);
    driver.ask(cdb.testUnitReady);
    expect(keys()).toEqual([0, 0]);
  });

  it("says what it is", () => {
    const { driver } = driverOf([{ backend: image(64), serial: "abc", vendor: "V", product: "P", readOnly: true }]);
    const text = (bytes: Uint8Array) => String.fromCharCode(...bytes);
    const { data, residual } = driver.ask(cdb.inquiry(96), 96);
    expect([data[0], data[2], data[4], residual]).toEqual([0, 5, 31, 60]);
    expect(text(data.subarray(8, 36))).toBe("V       P               1.0 ");
    expect([...driver.ask(cdb.inquiry(64, 0), 64).data.subarray(0, 8)]).toEqual([0, 0, 0, 4, 0, 0x80, 0x83, 0xb0]);
    expect(text(driver.ask(cdb.inquiry(64, 0x80), 64).data.subarray(4, 7))).toBe("abc");
    expect(driver.ask(cdb.inquiry(64, 0x99), 64)).toMatchObject(check(5, 0x24, 0));
    expect([...driver.ask([0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], 8).data]).toEqual([0, 0, 0, 63, 0, 0, 2, 0]);
    expect(driver.ask([0x25, 0, 0, 0, 0, 1, 0, 0, 0, 0], 8)).toMatchObject(check(5, 0x24, 0));
    const capacity = driver.ask([0x9e, 0x10, ...new Array(11).fill(0), 32, 0, 0], 32).data;
    expect([capacity[7], capacity[10]]).toEqual([63, 2]);
    // Write-protected, and with a cache that is to be flushed.
    expect([...driver.ask([0x1a, 0, 0x3f, 0, 24, 0], 24).data.subarray(0, 7)]).toEqual([23, 0, 0x80, 0, 8, 18, 4]);
    expect([...driver.ask([0x5a, 0, 8, 0, 0, 0, 0, 0, 28, 0], 28).data.subarray(0, 11)]).toEqual([
      ...[0, 26, 0, 0x80, 0, 0, 0, 0],
      ...[8, 18, 4],
    ]);
    expect(driver.ask([0x1a, 0, 0xc8, 0, 24, 0], 24)).toMatchObject(check(5, 0x39, 0));
    expect(driver.ask([0x1a, 0, 0x01, 0, 24, 0], 24)).toMatchObject(check(5, 0x24, 0));
  });

  it("whose size changes says so, and is what it is now", () => {
    const disk = image(8);
    const grown = { ...disk, sizeBytes: disk.sizeBytes };
    const { driver, model } = driverOf([{ backend: grown, target: 3, lun: 260 }]);
    const place = { target: 3, lun: 260 };
    const room = driver.allocate(16);
    grown.sizeBytes = 2 * disk.sizeBytes;
    model.capacityChanged(model.units[0] as never);
    expect(driver.ring(1).reap()).toEqual([]);
    // The event found no buffer: the next one tells that it was missed.
    const head = driver.ring(1).add([], [{ at: room, length: 16 }]);
    driver.ring(1).kick();
    expect(driver.ring(1).reap()).toEqual([{ head, length: 16 }]);
    expect([...driver.bytes(room, 16)]).toEqual([0, 0, 0, 0x80, ...new Array(12).fill(0)]);
    driver.ring(1).add([], [{ at: room, length: 16 }]);
    driver.ring(1).kick();
    model.capacityChanged(model.units[0] as never);
    expect([...driver.bytes(room, 16)]).toEqual([3, 0, 0, 0, 1, 3, 0x41, 4, 0, 0, 0, 0, 0x2a, 9, 0, 0]);
    expect(driver.ask(cdb.testUnitReady, 0, place)).toMatchObject(check(6, 0x2a, 9));
    expect(driver.ask([0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], 8, place).data[3]).toBe(15);
    expect(driver.machine.interrupts).toEqual([1, 1, 2, 2]);
  });
});

it("does not touch the rings while it is saved: an event is told of when it runs on", async () => {
  const disk = { ...image(8) };
  const { driver, model } = driverOf([{ backend: disk }]);
  driver.ring(1).add([], [{ at: driver.allocate(16), length: 16 }]);
  await driver.machine.quiesce();
  model.capacityChanged(model.units[0] as never);
  expect(driver.ring(1).reap()).toEqual([]);
  driver.machine.resume();
  expect(driver.ring(1).reap()).toHaveLength(1);
});

describe("an event whose buffer's memory has not come (post-copy)", () => {
  /** Its buffers are absent until `come`. */
  function late() {
    let away = false;
    let arrived = (): void => {};
    const model = virtioScsi({ disks: [{ backend: image(8) }, { backend: image(8), target: 1 }] });
    const room: number[] = [];
    const driver = new ScsiDriver(
      machine(model, undefined, 0n, (dma) => ({
        ...dma,
        postcopy: {
          get active() {
            return away;
          },
          demand(address) {
            if (away && room.includes(address)) throw new MigrationError("PAGE_ABSENT", "not yet");
          },
          whenPresent: () =>
            new Promise((resolve) => {
              arrived = resolve;
            }),
        },
      })),
    );
    for (const target of [0, 1]) driver.greet({ target });
    for (let buffer = 0; buffer < 4; buffer++) {
      room.push(driver.allocate(16));
      driver.ring(1).add([], [{ at: room[buffer] as number, length: 16 }]);
    }
    driver.ring(1).kick();
    away = true;
    const told = (buffer: number): number[] => [...driver.bytes(room[buffer] as number, 16)];
    const come = async (): Promise<void> => {
      away = false;
      arrived();
      await tick();
    };
    for (const unit of model.units) model.capacityChanged(unit);
    expect(driver.ring(1).reap()).toEqual([]);
    return { driver, model, told, come };
  }

  it("is told when that has come, in its order, and is not one that was missed", async () => {
    const { driver, model, told, come } = late();
    await come();
    expect(driver.ring(1).reap()).toHaveLength(2);
    expect(told(0)).toEqual([3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0x2a, 9, 0, 0]);
    expect(told(1)).toEqual([3, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0x2a, 9, 0, 0]);
    model.capacityChanged(model.units[1] as never);
    expect(told(2)[3]).toBe(0);
    expect(driver.ring(1).reap()).toHaveLength(1);
  });

  it("is forgotten when the driver resets the device, and told once where the machine stands in between", async () => {
    const reset = late();
    reset.driver.machine.device.setStatus(0);
    await reset.come();
    expect(reset.driver.machine.interrupts.filter((queue) => queue === 1)).toEqual([]);
    const stood = late();
    await stood.driver.machine.quiesce();
    await stood.come();
    expect(stood.driver.ring(1).reap()).toEqual([]);
    stood.driver.machine.resume();
    expect(stood.driver.ring(1).reap()).toHaveLength(2);
  });
});

describe("a target", () => {
  const disks = (): ScsiDiskOptions[] => [
    { backend: image(8) },
    { backend: image(16), lun: 3 },
    { backend: image(32), target: 2, lun: 300 },
  ];

  it("has units of their own", () => {
    const { driver } = driverOf(disks());
    const last = (place: object) => driver.ask([0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], 8, place).data[3];
    expect([last({}), last({ lun: 3 }), last({ target: 2, lun: 300 })]).toEqual([7, 15, 31]);
    // Peripheral and flat addressing are the same unit; the other forms are nobody's.
    expect(last({ raw: [1, 0, 0x40, 3] })).toBe(15);
    expect(driver.ask(cdb.testUnitReady, 0, { raw: [1, 0, 0xc0, 3] })).toMatchObject({ response: 3 });
    expect(driver.ask(cdb.testUnitReady, 0, { raw: [0, 0, 0, 0] })).toMatchObject({ response: 3 });
    expect(driver.ask(cdb.testUnitReady, 0, { target: 1 })).toMatchObject({ response: 3 });
  });

  it("lists them, and LUN 0, whichever of them is asked", () => {
    const { driver } = driverOf(disks());
    const list = (place: object, room = 64) => driver.ask(cdb.reportLuns(room), 64, place);
    const lun = (high: number, low: number) => [high, low, 0, 0, 0, 0, 0, 0];
    const two = [0, 0, 0, 16, 0, 0, 0, 0, ...lun(0, 0)];
    expect([...list({}).data.subarray(0, 24)]).toEqual([...two, ...lun(0, 3)]);
    expect([...list({ lun: 3 }).data.subarray(0, 24)]).toEqual([...two, ...lun(0, 3)]);
    expect([...list({ target: 2 }).data.subarray(0, 24)]).toEqual([...two, ...lun(0x41, 44)]);
    expect(list({ target: 2 })).toMatchObject({ response: 0, status: 0, residual: 40 });
    expect(list({}, 16)).toMatchObject({ status: 0, residual: 48 });
    expect(list({}, 8)).toMatchObject(check(5, 0x24, 0));
    expect(driver.ask(cdb.reportLuns(64, 3), 64, { target: 2 })).toMatchObject(check(5, 0x24, 0));
    expect(driver.ask(cdb.reportLuns(64, 1), 64).data[3]).toBe(0);
  });

  it("answers for units that it does not have", () => {
    const { driver } = driverOf(disks());
    expect(driver.ask(cdb.inquiry(36), 36, { lun: 1 }).data[0]).toBe(0x7f);
    expect(driver.ask(cdb.inquiry(36), 36, { target: 2 }).data[0]).toBe(0x3f);
    expect(driver.ask(cdb.testUnitReady, 0, { lun: 1 })).toMatchObject(check(5, 0x25, 0));
    expect(driver.ask(cdb.requestSense(18), 18, { lun: 1 }).data[12]).toBe(0x25);
    expect(driver.ask(cdb.read10(0, 1), 512, { lun: 1 })).toMatchObject({ ...check(5, 0x25, 0), residual: 512 });
  });
});

describe("task management", () => {
  it("answers as QEMU does", () => {
    const { driver } = driverOf([{ backend: image(8) }, { backend: image(8), target: 2, lun: 5 }]);
    const places = [{}, { lun: 1 }, { target: 2 }, { target: 7 }, { raw: [0, 0, 0, 0] }];
    const answers = (type: number) => places.map((place) => driver.byte(driver.manage(type, place)));
    for (const type of [0, 1, 3, 5, 6, 7]) expect([type, answers(type)]).toEqual([type, [0, 12, 12, 3, 3]]);
    for (const type of [2, 8, 0xffff_ffff]) expect(answers(type)).toEqual([11, 11, 11, 11, 11]);
    expect(answers(4)).toEqual([0, 0, 0, 3, 3]);
    expect(driver.ask(cdb.testUnitReady)).toMatchObject(attention);
  });

  it("aborts one request, by the whole of its id, when the back end is done with it", async () => {
    const disk = image(8);
    const slow = slowImage(disk);
    const { driver, model } = driverOf([{ backend: slow }]);
    const [first, second] = [0x1_0000_0001n, 0x2_0000_0001n].map((id, i) =>
      driver.send(cdb.write10(i, 1), sectorOf(i + 1), { id }),
    ) as [ReturnType<typeof driver.send>, ReturnType<typeof driver.send>];
    expect(driver.byte(driver.manage(6, { id: 0x2_0000_0001n }))).toBe(10);
    expect(driver.byte(driver.manage(6, { id: 1n }))).toBe(0);
    expect(driver.byte(driver.manage(7))).toBe(10);
    const aborted = driver.manage(0, { id: 0x2_0000_0001n });
    // What would come behind it waits as well.
    const query = driver.manage(7);
    await tick();
    expect([driver.byte(aborted), driver.byte(query), driver.got(second)]).toEqual([0xee, 0xee, undefined]);
    slow.held[1]?.finish();
    await tick();
    expect(driver.got(second)).toMatchObject({ response: 2, status: 0 });
    expect([driver.byte(aborted), driver.byte(query), model.inFlight]).toEqual([0, 10, 1]);
    slow.held[0]?.finish();
    await tick();
    expect(driver.got(first)).toMatchObject(good);
    expect(driver.heads()).toEqual([second.head, first.head]);
  });

  it.each([
    [1, 2],
    [3, 2],
    [5, 4],
    [4, 4],
  ])("of type %i gives all of a unit's requests response %i", async (type, by) => {
    const slow = slowImage(image(8));
    const { driver, model } = driverOf([{ backend: slow }, { backend: slow, lun: 1 }, { backend: slow, target: 1 }]);
    const sent = [{}, { lun: 1 }, { target: 1 }].map((place) => driver.send(cdb.read10(0, 1), 512, place));
    const answer = driver.manage(type);
    expect([driver.byte(answer), model.inFlight]).toEqual([0xee, 3]);
    // What the back end gives back is over, too.
    for (const held of [...slow.held]) held.giveBack();
    await tick();
    expect(driver.byte(answer)).toBe(0);
    const both = type === 4 ? { response: by } : undefined;
    const got = sent.map((one) => driver.got(one));
    expect(got[0]).toMatchObject({ response: by });
    if (both === undefined) expect(got[1]).toBeUndefined();
    else expect(got[1]).toMatchObject(both);
    expect(got[2]).toBeUndefined();
    expect(model.inFlight).toBe(type === 4 ? 1 : 2);
  });

  it("has subscriptions with nothing in them, and gives back what it does not know", () => {
    const { driver } = driverOf([{ backend: image(8) }]);
    const at = driver.allocate(16);
    for (const type of [1, 2]) {
      driver.machine.ram[at] = type;
      expect([...driver.bytes(driver.control(at, 16, 5), 5)]).toEqual([0, 0, 0, 0, 0]);
    }
    driver.machine.ram[at] = 3;
    expect(driver.byte(driver.control(at, 16, 5))).toBe(0xee);
    expect(
      driver
        .ring(0)
        .reap()
        .map(({ length }) => length),
    ).toEqual([5, 5, 0]);
  });
});

describe("a driver that does wrong", () => {
  it.each([
    ["a header too short", [{ at: 0x8000, length: 50 }], [{ at: 0x8100, length: 108 }], 2],
    ["no room for the answer", [{ at: 0x8000, length: 51 }], [{ at: 0x8100, length: 107 }], 2],
    ["a control request without a type", [{ at: 0x8000, length: 3 }], [{ at: 0x8100, length: 1 }], 0],
    ["task management without room", [{ at: 0x8000, length: 24 }], [], 0],
  ])("%s breaks the device, until it is reset", (_, out, into, queue) => {
    const { driver } = driverOf([{ backend: image(8) }]);
    driver.machine.ram.fill(0, 0x8000, 0x8100);
    driver.ring(queue).add(out, into);
    driver.ring(queue).kick();
    expect(driver.machine.device.broken).toBe(true);
    driver.machine.device.setStatus(0);
    const again = new ScsiDriver(driver.machine);
    expect(again.ask(cdb.testUnitReady)).toMatchObject(attention);
  });

  it("with gigabytes in a chain does not make the device allocate them", () => {
    const disk = image(8);
    const { driver } = driverOf([{ backend: disk }]);
    const header = driver.allocate(51);
    driver.machine.ram.fill(0, header, header + 51);
    driver.machine.ram.set([1], header);
    driver.machine.ram.set([0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0], header + 19);
    const answerAt = driver.allocate(108);
    const data = driver.allocate(512);
    const huge = Array.from({ length: 60 }, () => ({ at: 0x4_0000_0000, length: 0xffff_f000 }));
    driver
      .ring(2)
      .add([{ at: header, length: 51 }, { at: data, length: 512 }, ...huge], [{ at: answerAt, length: 108 }]);
    driver.ring(2).kick();
    expect([driver.byte(answerAt + 10), driver.byte(answerAt + 11), disk.log]).toEqual([0, 0, ["write 0"]]);
  });

  it("may set the sizes of commands and sense within bounds", () => {
    const { driver } = driverOf([{ backend: image(8) }]);
    const { device } = driver.machine;
    const word = (value: number) => Uint8Array.from(new Uint8Array(Uint32Array.of(value).buffer));
    device.writeConfig(20, word(4));
    device.writeConfig(24, word(16));
    [driver.senseSize, driver.cdbSize] = [4, 16];
    const sent = driver.send([0xff]);
    expect(driver.view.getUint32(sent.answerAt, true)).toBe(4);
    expect(driver.ask(cdb.read10(0, 1), 512)).toMatchObject(good);
    device.writeConfig(0, word(99));
    expect(new DataView(device.readConfig(0, 36).buffer).getUint32(0, true)).toBe(1);
    device.writeConfig(24, word(256));
    expect(device.broken).toBe(true);
    device.setStatus(0);
    expect(new DataView(device.readConfig(20, 8).buffer).getUint32(0, true)).toBe(96);
    device.writeConfig(20, word(65536));
    expect(device.broken).toBe(true);
  });
});

describe("a back end that fails", () => {
  it("is a medium error, and its owner is told", async () => {
    const errors: unknown[] = [];
    const failing = {
      sizeBytes: 4096,
      read() {
        throw new Error("at once");
      },
      write: () => Promise.reject(new Error("later")),
      flush() {},
    };
    const { driver } = driverOf([{ backend: failing }], { onError: (error) => errors.push(error) });
    expect(driver.ask(cdb.read10(0, 1), 512)).toMatchObject({ ...check(3, 0x11, 0), residual: 512 });
    const write = driver.send(cdb.write10(0, 1), sectorOf(1));
    await tick();
    expect(driver.got(write)).toMatchObject(check(3, 0x0c, 0));
    expect(errors.map(String)).toEqual(["Error: at once", "Error: later"]);
  });
});

describe("options", () => {
  const refused = (make: () => unknown) => expect(make).toThrow("DEFINITION_INVALID");
  it("that cannot be are refused", () => {
    const backend = image(8);
    refused(() => virtioScsi({ disks: [{ backend }, { backend, lun: 0 }] }));
    refused(() => virtioScsi({ disks: [{ backend, target: 256 }] }));
    refused(() => virtioScsi({ disks: [{ backend, lun: 16384 }] }));
    refused(() => virtioScsi({ disks: [{ backend, serial: "x".repeat(37) }] }));
    refused(() => virtioScsi({ disks: [{ backend: { ...backend, sizeBytes: 100 } }] }));
    refused(() => virtioScsi({ disks: [], queues: 0 }));
    refused(() => virtioScsi({ disks: [], queueSize: 100 }));
  });
});

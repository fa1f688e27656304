// The channel commands of virtio-ccw (virtio 1.2, section 4.3), revision by revision.
import { describe, expect, it } from "vitest";
import { be64, flag, Guest, place, type Response } from "./support/guest.ts";
import { ccwMachine, type Options } from "./support/machine.ts";

const rejected = { dstat: 0x02, cstat: 0, sense: 0x80 };
const done = { dstat: 0x0c, cstat: 0 };

function guest(options: Options = {}): Guest {
  const made = new Guest(ccwMachine(options));
  made.enable();
  return made;
}

const rev = (g: Guest, revision: number): Response => g.command(0x83, [revision >> 8, revision & 0xff, 0, 0]);

describe("revisions", () => {
  it("are set once, until the subchannel is disabled", () => {
    const g = guest();
    for (const unknown of [3, 0x100, 0]) expect(rev(g, unknown)).toMatchObject(rejected);
    // A device that is not transitional answers nothing before.
    expect(g.command(0x12, [0, 0, 0, 0, 0])).toMatchObject(rejected);
    expect(rev(g, 1)).toMatchObject(done);
    expect(rev(g, 2)).toMatchObject(rejected);
    // READ_STATUS came with revision 2.
    expect(g.command(0x72, [0])).toMatchObject(rejected);
    expect([g.enable(0), g.enable()]).toEqual([0, 0]);
    expect(rev(g, 2)).toMatchObject(done);
    expect(g.command(0x72, [9])).toMatchObject(done);
  });

  it("end where the device's do", () => {
    const g = guest({ maxRevision: 1 });
    expect(rev(g, 2)).toMatchObject(rejected);
    expect(rev(g, 1)).toMatchObject(done);
    expect(() => ccwMachine({ maxRevision: 0 })).toThrow("DEFINITION_INVALID");
  });

  it("are 0 for a driver that has not heard of them", () => {
    const g = guest({ transitional: true });
    // One word of features, and no VERSION_1.
    expect(g.must(0x12, [0, 0, 0, 0, 0]).slice(0, 4)).toEqual([5, 0, 0, 0x30]);
    expect(g.must(0x12, [9, 9, 9, 9, 1]).slice(0, 4)).toEqual([0, 0, 0, 0]);
    expect(g.command(0x11, [1, 0, 0, 0, 1])).toMatchObject(rejected);
    expect(rev(g, 2)).toMatchObject(rejected);
    expect(g.command(0x73, new Array(25).fill(0))).toMatchObject(rejected);
  });
});

describe("features and status", () => {
  it("are offered, accepted and refused", () => {
    const g = guest();
    rev(g, 2);
    expect(g.must(0x12, [0, 0, 0, 0, 0])).toEqual([5, 0, 0, 0x30, 0]);
    expect(g.must(0x12, [0, 0, 0, 0, 1])).toEqual([1, 0, 0, 0, 1]);
    expect(g.must(0x12, [9, 9, 9, 9, 2])).toEqual([0, 0, 0, 0, 2]);
    const { device } = g.machine.model;
    g.must(0x31, [3]);
    g.must(0x11, [4, 0, 0, 0x20, 0]);
    // VERSION_1 is wanted: the status stays as it was.
    expect(g.command(0x31, [11])).toMatchObject(rejected);
    expect([device.status, g.must(0x72, [0])]).toEqual([3, [3]]);
    g.must(0x31, [1]);
    expect([g.command(0x31, [11]).sense, g.must(0x72, [0])]).toEqual([0x80, [1]]);
    g.must(0x11, [1, 0, 0, 0, 1]);
    expect(device.features).toBe(0x1_2000_0004n);
    g.must(0x11, [0, 0, 0, 0, 2]);
    expect(g.command(0x11, [1, 0, 0, 0, 2])).toMatchObject(rejected);
    g.must(0x31, [11]);
    g.must(0x11, [0, 0, 0, 0, 0]);
    expect([device.features, g.must(0x72, [0])]).toEqual([0x1_2000_0004n, [11]]);
    expect(g.command(0x33, [])).toMatchObject(done);
    expect([device.status, device.features]).toEqual([0, 0n]);
    // The revision outlasts a reset of the device.
    expect(rev(g, 2)).toMatchObject(rejected);
  });
});

describe("configuration space", () => {
  it("is read and written from its beginning on", () => {
    const g = guest();
    rev(g, 2);
    expect(g.must(0x22, [0, 0, 0])).toEqual([0x11, 0x22, 0x33]);
    expect(g.command(0x22, new Array(9).fill(0))).toMatchObject({ dstat: 0x0c, cstat: 0x40, count: 1 });
    expect(g.command(0x22, new Array(9).fill(0), flag.sli)).toMatchObject({ ...done, count: 1 });
    expect(g.peek(place.data, 9)).toEqual([0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0]);
    g.must(0x21, [1, 2]);
    expect([...g.machine.model.config]).toEqual([1, 2, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88]);
    expect(g.command(0x21, [9, 9, 9, 9, 9, 9, 9, 9, 9], flag.sli)).toMatchObject({ ...done, count: 1 });
    expect([...g.machine.model.config]).toEqual(new Array(8).fill(9));
  });
});

describe("queues", () => {
  it("are told, set up, and taken down", () => {
    const g = guest();
    rev(g, 2);
    expect([g.queueSize(0), g.queueSize(1), g.queueSize(2), g.queueSize(0x101)]).toEqual([8, 4, 0, 0]);
    const block = (index: number, num: number, desc = 0x2000): number[] => [
      ...be64(desc),
      0,
      0,
      0,
      0,
      0,
      index,
      0,
      num,
      ...be64(0x3000),
      ...be64(0x4000),
    ];
    for (const [index, num] of [
      [2, 4],
      [0, 16],
      [0, 3],
      [0, 0],
    ] as const) {
      expect(g.command(0x13, block(index, num))).toMatchObject(rejected);
    }
    const [queue] = g.machine.model.device.queues;
    expect(queue?.ready).toBe(false);
    g.must(0x13, block(0, 4));
    expect([queue?.ready, queue?.size]).toEqual([true, 4]);
    g.must(0x13, block(0, 0, 0));
    expect(queue?.ready).toBe(false);
  });

  it("are of one piece for a legacy driver, in its order of bytes", () => {
    const g = new Guest(ccwMachine({ transitional: true }));
    g.enable();
    const block = (index: number, align: number, num: number): number[] => [
      ...be64(0x2000),
      0,
      0,
      align >> 8,
      align & 0xff,
      0,
      index,
      0,
      num,
    ];
    for (const [index, align, num] of [
      [0, 2048, 8],
      [0, 4096, 4],
      [2, 4096, 8],
    ] as const) {
      expect(g.command(0x13, block(index, align, num))).toMatchObject(rejected);
    }
    g.up({ revision: -1, features: 5n, adapter: false });
    expect(g.machine.model.device.features).toBe(5n);
  });
});

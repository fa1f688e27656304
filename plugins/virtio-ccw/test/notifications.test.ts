// How the device tells the guest: indicator bits, and the interruptions that go with them.
import { describe, expect, it } from "vitest";
import { echo } from "./support/echo.ts";
import { be64, Guest, place, status } from "./support/guest.ts";
import { ccwMachine } from "./support/machine.ts";

const alone = status.alert | status.pending;

describe("adapter interruptions", () => {
  it("are asked for when the summary was taken back", () => {
    const g = new Guest(ccwMachine());
    g.up({ first: 6 });
    g.machine.log.length = 0;
    g.send(0, [1, 2]);
    // Bit 6, counted from the most significant, and the summary's lowest.
    expect([g.peek(place.indicators, 2), g.peek(place.indicators + 16, 1)]).toEqual([[0x02, 0], [1]]);
    g.send(1, [3]);
    g.send(0, [4]);
    expect([g.machine.log, g.peek(place.indicators, 1), g.test().outcome]).toEqual([["adapter 5"], [3], 1]);
    g.poke(place.indicators + 16, [0x80]);
    g.send(1, [5]);
    expect([g.machine.log, g.peek(place.indicators + 16, 1)]).toEqual([["adapter 5", "adapter 5"], [0x81]]);
    expect([g.take(0), g.take(1)]).toEqual([
      [[2, 3], [5]],
      [[4], [6]],
    ]);
  });

  it("find a queue's bit in the bytes behind", () => {
    const g = new Guest(ccwMachine({}, echo(new Array(10).fill(2))));
    g.up({ first: 13 });
    g.send(9, [1]);
    g.send(3, [1]);
    expect(g.peek(place.indicators, 4)).toEqual([0, 0, 0x80 | 0x02, 0]);
  });

  it("are not mixed with the others", () => {
    const g = new Guest(ccwMachine());
    g.up();
    expect(g.command(0x43, be64(place.indicators)).sense).toBe(0x80);
    // Given up, as by a driver that leaves.
    g.must(0x73, [...be64(place.indicators + 16), ...be64(0), ...be64(0), 5]);
    g.send(0, [1]);
    expect(g.peek(place.indicators, 8)).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    expect(g.command(0x43, be64(place.indicators)).sense).toBe(0x80);
    g.must(0x33, []);
    g.must(0x43, be64(place.indicators));
    expect(g.command(0x73, [...be64(0xd00), ...be64(0xd08), ...be64(0), 5]).sense).toBe(0x80);
    g.must(0x43, be64(0));
    for (const [bit, isc] of [
      [0, 8],
      [8 * 4096, 7],
    ] as const) {
      expect(g.command(0x73, [...be64(0xd00), ...be64(0xd08), ...be64(bit), isc]).sense).toBe(0x80);
    }
    g.must(0x73, [...be64(0xd00), ...be64(0xd08), ...be64(0), 7]);
  });
});

describe("classic interruptions", () => {
  it("make the subchannel pending with an alert, once", () => {
    const g = new Guest(ccwMachine({ schid: 9 }));
    g.up({ adapter: false });
    g.machine.log.length = 0;
    g.send(1, [1]);
    g.send(0, [2]);
    // Bit 0 is the least significant of a doubleword.
    expect([g.peek(place.indicators, 8), g.machine.log]).toEqual([[0, 0, 0, 0, 0, 0, 0, 3], ["io 9 119 3"]]);
    expect(g.start()).toBe(1);
    expect(g.test()).toMatchObject({ outcome: 0, ctrl: alone, dstat: 0, cstat: 0 });
    g.send(1, [1]);
    expect([g.machine.log.length, g.test().outcome, g.test().outcome]).toEqual([2, 0, 1]);
    expect([g.take(0), g.take(1)]).toEqual([[[3]], [[2], [2]]]);
  });

  it("have no bit for a queue from 64 on", () => {
    const g = new Guest(ccwMachine({}, echo(new Array(66).fill(2))));
    g.enable();
    g.must(0x83, [0, 2, 0, 0]);
    g.must(0x31, [3]);
    g.must(0x11, [1, 0, 0, 0, 1]);
    g.must(0x31, [11]);
    for (const [i, index] of [63, 64].entries()) {
      const desc = 0x2000 * (i + 1);
      g.rings[index] = { size: 2, desc, avail: desc + 0x100, used: desc + 0x200, added: 0, seen: 0 };
      g.must(0x13, [...be64(desc), 0, 0, 0, 0, 0, index, 0, 2, ...be64(desc + 0x100), ...be64(desc + 0x200)]);
    }
    g.must(0x43, be64(place.indicators));
    g.must(0x31, [15]);
    g.machine.log.length = 0;
    g.send(64, [1]);
    expect([g.take(64), g.machine.log, g.peek(place.indicators - 8, 16)]).toEqual([[[2]], [], new Array(16).fill(0)]);
    g.send(63, [1]);
    expect([g.machine.log, g.peek(place.indicators, 1)]).toEqual([["io 0 119 3"], [0x80]]);
  });

  it("tell changes of configuration, also beside adapter interruptions", () => {
    const g = new Guest(ccwMachine());
    g.up();
    g.machine.log.length = 0;
    g.machine.model.device.configChanged();
    expect([g.peek(place.indicators + 8, 8), g.machine.log]).toEqual([[0, 0, 0, 0, 0, 0, 0, 1], ["io 0 119 3"]]);
    g.test();
    g.must(0x53, be64(0));
    g.machine.log.length = 0;
    g.machine.model.device.configChanged();
    expect(g.machine.log).toEqual([]);
  });

  it("leave a suspended program as it is", () => {
    const g = new Guest(ccwMachine());
    g.up({ adapter: false });
    g.program([{ code: 0x03, flags: 0x02, count: 1 }]);
    g.start({ ctrl0: 0x0888 });
    g.send(0, [1]);
    expect(g.test()).toMatchObject({ outcome: 0, ctrl: 0x4020 | alone });
    g.program([{ code: 0x03, flags: 0x20, count: 1 }]);
    expect(g.sch.resumeSubchannel()).toBe(0);
    expect(g.test()).toMatchObject({ dstat: 0x0c });
  });
});

describe("a device", () => {
  it("is broken where its indicators are no memory", () => {
    const g = new Guest(ccwMachine());
    g.up({ adapter: false });
    g.must(0x43, be64(0x0800_0000));
    g.send(0, [1]);
    const { device } = g.machine.model;
    expect([device.broken, device.failure]).toEqual([true, expect.stringContaining("indicators")]);
    // Configuration has indicators of its own, and says so.
    expect([g.peek(place.indicators + 15, 1), device.status & 0x40]).toEqual([[1], 0x40]);
  });

  it("knows its queues, and forgets its indicators with a reset", () => {
    const g = new Guest(ccwMachine());
    g.up();
    expect([g.sch.kick(1), g.sch.kick(2)]).toEqual([true, false]);
    g.must(0x33, []);
    g.machine.log.length = 0;
    g.must(0x31, [7]);
    g.machine.model.device.configChanged();
    expect(g.peek(place.indicators, 24)).toEqual(new Array(24).fill(0));
    expect(g.command(0x43, be64(place.indicators)).sense).toBeUndefined();
  });

  it("does not interrupt by a subchannel that is disabled", () => {
    const g = new Guest(ccwMachine());
    g.up();
    g.enable(0);
    g.machine.log.length = 0;
    g.machine.model.device.configChanged();
    expect(g.machine.log).toEqual([]);
  });
});

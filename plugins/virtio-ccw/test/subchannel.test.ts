// The I/O instructions and what they leave behind (z/Architecture Principles of Operation, chapters 14 and 16).
import { describe, expect, it } from "vitest";
import { done, flag, Guest, place, status } from "./support/guest.ts";
import { ccwMachine, type Options } from "./support/machine.ts";

const nop = { code: 0x03, flags: flag.sli, count: 1 };

function enabled(options: Options = {}): Guest {
  const guest = new Guest(ccwMachine(options));
  expect(guest.enable()).toBe(0);
  return guest;
}

describe("a subchannel", () => {
  it("is stored as it is after power-on, and as a program modifies it", () => {
    const guest = new Guest(ccwMachine({ busId: "fe.1.00a5" }));
    expect(guest.stored()).toMatchObject({ flags: 1, devno: 0xa5, masks: [0x80, 0, 0, 0x80], intparm: 0, chars: 0 });
    guest.view.setUint32(place.schib, 0xabcd);
    guest.view.setUint16(place.schib + 6, 0x1234);
    guest.view.setUint16(place.schib + 4, 0x80 | (5 << 11));
    guest.view.setUint8(place.schib + 8, 0xc0);
    guest.view.setUint32(place.schib + 24, 7);
    guest.view.setBigUint64(place.schib + 40, 0x7000n);
    expect(guest.sch.modifySubchannel(place.schib)).toBe(0);
    // Valid and the device number are not the program's.
    expect(guest.stored()).toMatchObject({
      intparm: 0xabcd,
      flags: 0x81 | (5 << 11),
      devno: 0xa5,
      masks: [0xc0, 0, 0, 0x80],
      chars: 7,
      mba: 0x7000n,
    });
    expect([guest.sch.cssid, guest.sch.ssid, guest.sch.devno, guest.sch.schid]).toEqual([0xfe, 1, 0xa5, 0]);
  });

  it("refuses what a block cannot say", () => {
    const guest = enabled();
    expect(guest.enable(0x0060)).toBe("operand");
    expect(guest.enable(0x8000)).toBe("operand");
    expect(guest.enable(0x0100)).toBe("operand");
    expect(guest.stored().flags).toBe(0x81 | (3 << 11));
    expect(guest.start({ ctrl0: 0x0084 })).toBe("operand");
    expect(guest.start({ ctrl1: 0x20 })).toBe("operand");
    expect(guest.start({ at: 0x8000_0000 })).toBe("operand");
    expect(guest.machine.log).toEqual([]);
  });

  it("is not operational until it is enabled", () => {
    const guest = new Guest(ccwMachine());
    const { sch } = guest;
    expect(guest.start()).toBe(3);
    expect([guest.test().outcome, sch.haltSubchannel(), sch.clearSubchannel(), sch.resumeSubchannel()]).toEqual([
      3, 3, 3, 3,
    ]);
    guest.enable();
    expect(guest.start({ lpm: 0x40 })).toBe(3);
  });

  it("is pending with status after a program, once", () => {
    const guest = enabled();
    guest.program([nop]);
    expect(guest.start({ intparm: 99 })).toBe(0);
    expect(guest.machine.log).toEqual(["io 0 99 3"]);
    expect(guest.stored()).toMatchObject({ ctrl: 0x4000 | done, intparm: 99 });
    expect([guest.start(), guest.enable(), guest.sch.resumeSubchannel(), guest.sch.haltSubchannel()]).toEqual([
      1, 1, 1, 1,
    ]);
    expect(guest.test()).toEqual({
      outcome: 0,
      flags: 0x0080,
      ctrl: 0x4000 | done,
      cpa: place.program + 8,
      dstat: 0x0c,
      cstat: 0,
      count: 0,
      path: 0x80,
      sense: undefined,
    });
    expect(guest.test()).toMatchObject({ outcome: 1, ctrl: 0, dstat: 0x0c, path: 0 });
    expect([guest.enable(), guest.sch.resumeSubchannel()]).toEqual([0, 2]);
    expect(guest.machine.log).toHaveLength(1);
  });

  it("is halted and cleared", () => {
    const guest = enabled();
    expect(guest.sch.haltSubchannel()).toBe(0);
    expect(guest.test()).toMatchObject({ outcome: 0, ctrl: 0x2000 | status.pending, dstat: 0x04 });
    guest.program([nop]);
    guest.start();
    expect(guest.sch.clearSubchannel()).toBe(0);
    expect(guest.test()).toMatchObject({ outcome: 0, ctrl: 0x1000 | status.pending, dstat: 0, cpa: 0, flags: 0 });
    expect(guest.test()).toMatchObject({ outcome: 1, ctrl: 0 });
    expect(guest.machine.log).toHaveLength(3);
    expect(guest.stored().masks).toEqual([0x80, 0, 0x80, 0x80]);
  });

  it("answers SENSE ID, and shows sense with the response or to SENSE", () => {
    const guest = enabled();
    expect(guest.command(0xe4, new Array(256).fill(9))).toMatchObject({ dstat: 0x0c, cstat: 0, count: 0 });
    expect(guest.peek(place.data, 10)).toEqual([0xff, 0x38, 0x32, 30, 0, 0, 0, 0, 0, 0]);
    expect(guest.command(0x42, [0])).toMatchObject({
      flags: 0x0082,
      ctrl: 0x4000 | done | status.alert,
      dstat: 0x02,
      cstat: 0,
      sense: 0x80,
    });
    // It was in the response already.
    expect(guest.must(0x04, new Array(32).fill(9))).toEqual(new Array(32).fill(0));
    guest.enable(0x80, 0);
    expect(guest.command(0x42, [0])).toMatchObject({ flags: 0x0080, dstat: 0x02, count: 0, sense: undefined });
    expect(guest.must(0x04, new Array(32).fill(9))).toEqual([0x80, ...new Array(31).fill(0)]);
    expect(guest.must(0x04, new Array(32).fill(9))[0]).toBe(0);
  });

  it("is as after power-on when the machine is reset", () => {
    const guest = new Guest(ccwMachine({ schid: 7 }));
    guest.up();
    guest.send(0, [1]);
    guest.machine.offer.reset();
    expect(guest.stored()).toMatchObject({ flags: 1, intparm: 0, chars: 0, ctrl: 0 });
    expect([guest.sch.schid, guest.machine.model.device.status, guest.machine.model.served]).toEqual([7, 0, 0]);
    guest.enable();
    expect(guest.command(0x31, [3]).sense).toBe(0x80);
  });
});

// The machine's registers for I/O instructions, with subchannels that only note what they are asked.
import { MigrationError } from "@godwit/core";
import type { Outcome, Subchannel } from "@godwit/virtio-ccw";
import { describe, expect, it } from "vitest";
import { ChannelReports, checkReports } from "../src/machine/channel-reports.ts";
import { checkChannelIo } from "../src/machine/channel-section.ts";
import { ChannelSubsystem, opcode } from "../src/machine/channel-subsystem.ts";
import * as map from "../src/memory-map.ts";

const unmapped = 0x9000;

function rig() {
  const log: string[] = [];
  const written: { address: number; words: number[] }[] = [];
  const reports = new ChannelReports(() => log.push("machine check"));
  const channels = new ChannelSubsystem({
    reports,
    interrupt: () => log.push("interrupt"),
    memory: {
      read: () => new Uint8Array(0),
      write(address, bytes) {
        if (address >= unmapped) throw new MigrationError("MEMORY_UNMAPPED", "no memory");
        const view = new DataView(bytes.buffer, bytes.byteOffset);
        written.push({ address, words: Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i)) });
      },
    } as ConstructorParameters<typeof ChannelSubsystem>[0]["memory"],
  });
  const subchannel = (schid: number, outcome: Outcome): Subchannel => {
    const told = (name: string) => (address?: number) => {
      log.push(`${schid} ${name}${address === undefined ? "" : ` ${address.toString(16)}`}`);
      return outcome;
    };
    return {
      cssid: 0xfe,
      ssid: 0,
      schid,
      devno: schid,
      startSubchannel: told("SSCH"),
      testSubchannel: told("TSCH"),
      storeSubchannel: told("STSCH"),
      modifySubchannel: told("MSCH"),
      haltSubchannel: told("HSCH"),
      clearSubchannel: told("CSCH"),
      resumeSubchannel: told("RSCH"),
      kick: (queue) => {
        log.push(`${schid} kick ${queue}`);
        return queue < 2;
      },
    };
  };
  channels.add(subchannel(0, 0));
  channels.add(subchannel(7, 2));
  channels.add(subchannel(9, "operand"));
  const set = (offset: number, value: number) => expect(channels.write(offset, 4, value)).toBe(true);
  const outcome = () => channels.read(map.CHANNEL_OUTCOME, 4);
  const instruct = (code: number, id = 0x1_0000, operand = 0x100) => {
    set(map.CHANNEL_SUBSYSTEM_ID, id);
    set(map.CHANNEL_OPERAND, operand);
    set(map.CHANNEL_INSTRUCTION, code);
    return outcome();
  };
  const kick = (id: number, queue: number) => {
    set(map.CHANNEL_SUBSYSTEM_ID, id);
    set(map.CHANNEL_NOTIFY, queue);
    return outcome();
  };
  const io = (schid: number, isc: number, intparm = 0x77) =>
    channels.ioInterrupt({ cssid: 0xfe, ssid: 0, schid, intparm, isc });
  const letThrough = (mask: number) => set(map.CHANNEL_SUBCLASSES, mask);
  return { channels, reports, log, written, instruct, kick, io, letThrough };
}

describe("I/O instructions", () => {
  it("go to the subchannel that register 1 names, with their operand, and give its condition code", () => {
    const { instruct, log } = rig();
    const { start, test, store, modify, halt, clear, resume } = opcode;
    expect([start, test, store, modify, halt, clear, resume].map((code) => instruct(code))).toEqual(Array(7).fill(0));
    expect(log).toEqual(["0 SSCH 100", "0 TSCH 100", "0 STSCH 100", "0 MSCH 100", "0 HSCH", "0 CSCH", "0 RSCH"]);
    expect(instruct(start, 0x1_0007, 0x200)).toBe(2);
    expect(log.at(-1)).toBe("7 SSCH 200");
    expect(instruct(start, 0x1_0008)).toBe(3);
    expect(log.at(-1)).toBe("7 SSCH 200");
  });

  it("tell of operand and addressing exceptions", () => {
    const { instruct, channels, letThrough } = rig();
    expect(instruct(opcode.start, 0x1_0009)).toBe(4);
    expect(instruct(opcode.start, 0x0000)).toBe(4);
    expect(instruct(opcode.start, 0x3_0000)).toBe(4);
    expect(instruct(0xb277)).toBe(4);
    letThrough(0xff);
    channels.adapterInterrupt(5);
    expect(instruct(opcode.testPendingInterruption, 0, unmapped)).toBe(5);
    // Nothing was stored, and nothing is lost.
    expect(instruct(opcode.testPendingInterruption, 0)).toBe(1);
  });

  it("notify queues", () => {
    const { kick, log } = rig();
    expect([kick(0x1_0007, 1), kick(0x1_0007, 2), kick(0x1_0001, 0)]).toEqual([0, 3, 3]);
    expect(log).toEqual(["7 kick 1", "7 kick 2"]);
  });

  it("are words, in registers that are there", () => {
    const { channels } = rig();
    expect([channels.read(map.CHANNEL_OUTCOME, 1), channels.read(0x18, 4)]).toEqual([undefined, undefined]);
    expect([channels.write(map.CHANNEL_NOTIFY, 2, 0), channels.write(0x18, 4, 0)]).toEqual([false, false]);
    expect(channels.write(map.CHANNEL_OUTCOME, 4, 0)).toBe(false);
  });
});

describe("interruptions", () => {
  const tpi = opcode.testPendingInterruption;

  it("wait until their subclass is let through, and come in the order of subclasses", () => {
    const { io, channels, log, letThrough, instruct, written } = rig();
    io(7, 6, 0xabcd);
    channels.adapterInterrupt(5);
    io(0, 3);
    expect([log, instruct(tpi)]).toEqual([[], 0]);
    letThrough(0x80 >> 6);
    letThrough((0x80 >> 6) | (0x80 >> 5));
    letThrough(0xff);
    expect(log).toEqual(["interrupt", "interrupt", "interrupt"]);
    letThrough(0xff);
    expect(log).toHaveLength(3);
    expect([1, 2, 3, 4].map(() => instruct(tpi, 0, 0x40))).toEqual([1, 1, 1, 0]);
    expect(written).toEqual([
      { address: 0x40, words: [0x1_0000, 0x77, 3 << 27] },
      { address: 0x40, words: [0, 0, (0x8000_0000 | (5 << 27)) >>> 0] },
      { address: 0x40, words: [0x1_0007, 0xabcd, 6 << 27] },
    ]);
  });

  it("are one a subchannel and one an adapter subclass, and go with the status", () => {
    const { io, channels, log, letThrough, instruct, written } = rig();
    letThrough(0xff);
    io(0, 3, 1);
    io(0, 3, 2);
    channels.adapterInterrupt(3);
    channels.adapterInterrupt(3);
    expect(log).toEqual(["interrupt", "interrupt"]);
    // TSCH of another subchannel, and one that finds no status, leave it.
    io(7, 3);
    instruct(opcode.test, 0x1_0007);
    expect(channels.save().pending).toHaveLength(2);
    channels.load({ ...channels.save(), pending_count: 1, pending: channels.save().pending.slice(0, 1) });
    expect(channels.save().pending).toEqual([{ schid: 0, intparm: 2, isc: 3 }]);
    instruct(opcode.test);
    expect(channels.save().pending).toEqual([]);
    expect([instruct(tpi), instruct(tpi)]).toEqual([1, 0]);
    expect(written.at(-1)?.words[2]).toBe((0x8000_0000 | (3 << 27)) >>> 0);
  });

  it("travel with the registers", () => {
    const one = rig();
    one.letThrough(0xf0);
    one.io(7, 1, 0xffff_fffe);
    one.channels.adapterInterrupt(7);
    one.instruct(opcode.start, 0x1_0007, 0xffff_f000);
    const state = one.channels.save();
    expect(state).toEqual({
      subsystem_id: 0x1_0007,
      operand: 0xffff_f000,
      outcome: 2,
      subclasses: 0xf0,
      adapters: 0x01,
      pending_count: 1,
      pending: [{ schid: 7, intparm: 0xffff_fffe, isc: 1 }],
    });
    const two = rig();
    two.io(0, 2);
    two.channels.load(state);
    expect(two.channels.save()).toEqual(state);
    two.channels.reset();
    expect(two.channels.save()).toEqual(rig().channels.save());
  });

  it("are refused where they cannot be", () => {
    const state = rig().channels.save();
    const check =
      (...pending: { schid: number; intparm: number; isc: number }[]) =>
      () =>
        checkChannelIo({ ...state, pending_count: pending.length, pending });
    expect(check({ schid: 1, intparm: 0, isc: 7 }, { schid: 2, intparm: 0, isc: 7 })()).toBeUndefined();
    expect(check({ schid: 1, intparm: 0, isc: 8 })).toThrow(/pending\[0\]\.isc/);
    expect(check({ schid: 1, intparm: 0, isc: 1 }, { schid: 1, intparm: 0, isc: 2 })).toThrow(/pending\[1\]\.schid/);
  });
});

describe("channel reports", () => {
  const { resetChannelPath, storeChannelReport } = opcode;

  it("come for each reset of the path, behind one machine check until none is found", () => {
    const { instruct, log, written } = rig();
    expect([instruct(resetChannelPath, 0), instruct(resetChannelPath, 0xfe_0000)]).toEqual([0, 0]);
    expect(log).toEqual(["machine check"]);
    expect([1, 2, 3].map(() => instruct(storeChannelReport, 0, 0x80))).toEqual([0, 0, 1]);
    expect(written.map(({ words }) => words[0])).toEqual([0x4402_0000, 0x4402_0000, 0]);
    instruct(resetChannelPath, 0);
    expect(log).toEqual(["machine check", "machine check"]);
    expect([instruct(resetChannelPath, 1), instruct(resetChannelPath, 0x01_0000)]).toEqual([3, 3]);
    expect(instruct(resetChannelPath, 0x100)).toBe(4);
    // One that cannot be stored stays.
    expect([instruct(storeChannelReport, 0, unmapped), instruct(storeChannelReport, 0)]).toEqual([5, 0]);
  });

  it("say that others were lost where nobody takes them", () => {
    const { instruct, reports, written } = rig();
    for (let i = 0; i < 65; i++) instruct(resetChannelPath, 0);
    expect(reports.save()).toMatchObject({ crws_lost: true, do_crw_mchk: false });
    for (let i = 0; i < 63; i++) instruct(storeChannelReport, 0);
    instruct(resetChannelPath, 0);
    expect([1, 2, 3].map(() => instruct(storeChannelReport, 0))).toEqual([0, 0, 1]);
    expect(written.slice(-3).map(({ words }) => words[0])).toEqual([0x4402_0000, 0x6402_0000, 0]);
  });

  it("travel, and with them whether the guest knows; another subsystem is refused", () => {
    const { instruct, reports } = rig();
    instruct(resetChannelPath, 0);
    const state = reports.save();
    expect(state.pending_crws).toEqual([{ crw: { flags: 0x4402, rsid: 0 } }]);
    const lost = { ...state, crws_lost: true };
    const three = rig();
    three.reports.load(lost);
    expect(three.reports.save()).toEqual(lost);
    const two = rig();
    expect(checkReports(state)).toBeUndefined();
    two.reports.load(state);
    expect(two.reports.save()).toEqual(state);
    two.instruct(resetChannelPath, 0);
    expect(two.log).toEqual([]);
    expect(() => checkReports({ ...state, default_cssid: 0 })).toThrow(/another channel subsystem/);
    expect(() => checkReports({ ...state, chnmon_area: 8n })).toThrow(/another channel subsystem/);
    const many = Array.from({ length: 65 }, () => ({ crw: { flags: 0x4402, rsid: 0 } }));
    expect(() => checkReports({ ...state, pending_crws: many })).toThrow(/at most 64/);
  });
});

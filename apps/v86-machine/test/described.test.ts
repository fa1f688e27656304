// What is described is what the guest gets: one value of a stream is changed, and the guest shows it.
import { type AnyRecord, type Description, decodeState, type StateOf } from "@godwit/core";
import { afterEach, describe, expect, vi } from "vitest";
import { dma } from "../src/devices/dma.ts";
import { i8254 } from "../src/devices/i8254.ts";
import { i8259 } from "../src/devices/i8259.ts";
import { mc146818rtc } from "../src/devices/mc146818rtc.ts";
import { rest } from "../src/devices/rest.ts";
import { serial } from "../src/devices/serial.ts";
import { fwCfg, port92 } from "../src/devices/small.ts";
import { x86Cpu } from "../src/devices/x86-cpu.ts";
import { countersAddress, countersBytes, guestCounters } from "../src/guest/counters.ts";
import { judge } from "../src/guest/evidence.ts";
import type { Seabios } from "../src/host/seabios.ts";
import type { MachineOptions, V86Machine } from "../src/machine.ts";
import {
  countingMachine,
  linesOf,
  machineWith,
  refusal,
  type SectionOf,
  sectionsOf,
  stateIn,
  streamOf,
  withState,
} from "./support/machines.ts";
import { itWithSeabios } from "./support/seabios.ts";

let counting: Promise<{ readonly stream: Uint8Array; readonly sent: string; readonly line: Uint8Array }> | undefined;

/** One guest for all of these tests, saved in the middle of a line. */
function saved(seabios: Seabios) {
  counting ??= (async () => {
    const machine = await countingMachine(seabios);
    const line = machine.ram().slice(countersAddress, countersAddress + countersBytes);
    return { stream: await streamOf(machine), sent: machine.sent(), line };
  })();
  return counting;
}

async function loaded(
  seabios: Seabios,
  stream: Uint8Array,
  options: Partial<MachineOptions> = {},
): Promise<V86Machine> {
  const machine = await machineWith(seabios, options);
  await machine.kernel.load(stream);
  return machine;
}

interface Ran {
  readonly ticks: number;
  readonly rtc: number;
  readonly lines: number;
}

/** Lets the guest run until `done`, which sees what has happened since. */
async function letRun(machine: V86Machine, done: (ran: Ran) => boolean): Promise<Ran> {
  const before = guestCounters(machine.ram());
  const since = (): Ran => {
    const { ticks, rtc } = guestCounters(machine.ram());
    return { ticks: ticks - before.ticks, rtc: rtc - before.rtc, lines: linesOf(machine) };
  };
  await machine.runUntil(() => done(since()));
  return since();
}

/** What may still come of an interrupt that is no longer let through: one that was on its way. */
const onItsWay = 1;
const many = 60;

describe("a described value", () => {
  itWithSeabios("unchanged leaves the guest ticking on both interrupts, and counting", async (seabios) => {
    const machine = await loaded(seabios, (await saved(seabios)).stream);
    const ran = await letRun(machine, ({ ticks, rtc, lines }) => ticks >= many && rtc >= many && lines >= 5);
    expect(ran.ticks).toBeGreaterThanOrEqual(4 * 4);
  });

  itWithSeabios("of the first 8259 masks the timer, and only the timer", async (seabios) => {
    const section = { idstr: "i8259", description: i8259 };
    const { stream } = await saved(seabios);
    const masked = withState(stream, section, (state) => ({ ...state, imr: state.imr | 1, irr: state.irr & ~1 }));
    const ran = await letRun(await loaded(seabios, masked), ({ rtc }) => rtc >= many);
    expect(ran.ticks).toBeLessThanOrEqual(onItsWay);
  });

  itWithSeabios("of the second 8259 masks the clock, and only the clock", async (seabios) => {
    const section = { idstr: "i8259", instance: 1, description: i8259 };
    const { stream } = await saved(seabios);
    const masked = withState(stream, section, (state) => ({ ...state, imr: state.imr | 1, irr: state.irr & ~1 }));
    const ran = await letRun(await loaded(seabios, masked), ({ ticks }) => ticks >= many);
    expect(ran.rtc).toBeLessThanOrEqual(onItsWay);
  });

  itWithSeabios("of the 8254 stops channel 0", async (seabios) => {
    const section = { idstr: "i8254", description: i8254 };
    const { stream } = await saved(seabios);
    const still = withState(stream, section, ({ channels }) => ({
      channels: channels.map((one, index) => (index === 0 ? { ...one, enabled: 0 } : one)),
    }));
    const ran = await letRun(await loaded(seabios, still), ({ rtc }) => rtc >= many);
    expect(ran.ticks).toBeLessThanOrEqual(onItsWay);
  });

  itWithSeabios("of the real-time clock ends its periodic interrupt", async (seabios) => {
    const section = { idstr: "mc146818rtc", description: mc146818rtc };
    const { stream } = await saved(seabios);
    const still = withState(stream, section, (state) => {
      const cmos_data = state.cmos_data.slice();
      cmos_data[11] = (cmos_data[11] as number) & ~0x40;
      return { ...state, cmos_data };
    });
    const ran = await letRun(await loaded(seabios, still), ({ ticks }) => ticks >= many);
    expect(ran.rtc).toBeLessThanOrEqual(onItsWay);
  });

  itWithSeabios("of the serial port loops what it sends back to it", async (seabios) => {
    const { stream } = await saved(seabios);
    const looped = withState(stream, { idstr: "serial", description: serial }, (s) => ({ ...s, mcr: s.mcr | 0x10 }));
    const machine = await loaded(seabios, looped);
    await letRun(machine, ({ ticks }) => ticks >= many);
    expect(machine.sent()).toBe("");
    expect(machine.engine.cpu.devices.uart0.input.length).toBeGreaterThan(0);
  });

  itWithSeabios("of the processor shuts all interrupts out", async (seabios) => {
    const { stream } = await saved(seabios);
    const deaf = withState(stream, { idstr: "cpu", description: x86Cpu }, (state) => ({
      ...state,
      eflags: state.eflags & ~0x200,
    }));
    let looks = 0;
    const ran = await letRun(await loaded(seabios, deaf), () => ++looks > many);
    expect(ran).toEqual({ ticks: 0, rtc: 0, lines: 0 });
  });

  itWithSeabios("of RAM changes the number of the guest's next line", async (seabios) => {
    const { stream, sent, line } = await saved(seabios);
    const at = Buffer.from(stream).indexOf(line);
    expect(at).toBeGreaterThan(0);
    const changed = stream.slice();
    changed[at] = (changed[at] as number) ^ 0x80;
    const machine = await loaded(seabios, changed);
    await machine.runUntil(() => linesOf(machine) >= 3);
    expect(judge(sent + machine.sent()).problem).toMatch(/^line \d+ has number/);
  });

  itWithSeabios("of DMA, port 0x92 and the firmware's port is what the guest reads there", async (seabios) => {
    const { stream } = await saved(seabios);
    const selected = Uint8Array.of(7, 8, 9, 10);
    const source = await loaded(seabios, stream);
    source.inside(() => source.engine.cpu.io.port_write8(0x92, 2));
    Object.assign(source.engine.cpu, { fw_value: selected, fw_pointer: 2 });
    const changed = withState(await streamOf(source), { idstr: "dma", description: dma }, (state) => ({
      ...state,
      channel_page: state.channel_page.map((page, channel) => (channel === 2 ? 0x5a : page)),
    }));
    const machine = await loaded(seabios, changed);
    const { io } = machine.engine.cpu;
    expect([io.port_read8(0x81), io.port_read8(0x92), io.port_read8(0x511)]).toEqual([0x5a, 2, 9]);
    const of = (idstr: string) => sectionsOf(changed).find(({ head }) => head.idstr === idstr)?.value as Uint8Array;
    expect(decodeState(port92, of("port92"))).toEqual({ outport: 2 });
    expect(decodeState(fwCfg, of("fw_cfg"))).toEqual({ cur_offset: 2, value_size: 4, value: selected });
  });
});

describe("every described value", () => {
  const segment = (index: number) => ({
    selector: 0x100 + index,
    base: 0x8000_0000 + index,
    limit: 0xfff0_0000 + index,
    access: 0x90 + index,
    null_selector: index === 5,
  });
  const channel = (index: number) => ({
    count: 1000 + index,
    count_load_value: 900 + index,
    count_load_time: 123_456_789_012n + BigInt(index),
    latched_count: 500 + index,
    count_latched: 2 - index,
    next_low: index & 1,
    rw_mode: 1 + index,
    mode: 5 - index,
    enabled: (index + 1) & 1,
  });
  const controller = {
    last_irr: 0x11,
    irr: 0x22,
    imr: 0x33,
    isr: 0x44,
    priority_add: 0,
    irq_base: 0x68,
    read_reg_select: 1,
    poll: 0,
    special_mask: 1,
    init_state: 2,
    auto_eoi: 1,
    rotate_on_auto_eoi: 0,
    special_fully_nested_mode: 0,
    init4: 1,
    single_mode: 0,
    elcr: 0x88,
  };
  const channelsOf = (from: number) => Array.from({ length: 8 }, (_, index) => from + index);
  const words = (length: number, from: number) => Uint32Array.from({ length }, (_, index) => from + index);

  itWithSeabios("is in the machine that it was loaded into, and in its next save", async (seabios) => {
    const { stream } = await saved(seabios);
    const cmos = Uint8Array.from({ length: 128 }, (_, index) => (7 * index + 3) & 0xff);
    // Frozen, since a date that follows the host's moves on between load and save.
    const zero = { seconds: 0n, nanoseconds: 0 };
    const wall = { follows: false, clock_offset: { seconds: -5n, nanoseconds: 6 }, host_offset: zero };
    const states = [
      change({ idstr: "i8259", description: i8259 }, controller),
      change({ idstr: "i8259", instance: 1, description: i8259 }, { ...controller, irr: 0x55, irq_base: 0x70 }),
      change({ idstr: "i8254", description: i8254 }, { channels: [channel(0), channel(1), channel(2)] }),
      change(
        { idstr: "mc146818rtc", description: mc146818rtc },
        {
          cmos_data: cmos,
          cmos_index: 99,
          nmi_disabled: 1,
          wall,
          periodic_timer: 987_654_321n,
          update_timer: null,
          next_alarm_time: 1_700_000_000_000_000_000n,
        },
      ),
      change(
        { idstr: "serial", description: serial },
        {
          ...{ divider: 0x1234, ier: 1, iir: 2, lcr: 3, mcr: 4, lsr: 5, msr: 6, scr: 7, fcr: 8, ints: 0x1010 },
          recv_fifo: { count: 0, data: new Uint8Array(0) },
        },
      ),
      change(
        { idstr: "dma", description: dma },
        {
          channel_page: Uint8Array.from(channelsOf(10)),
          channel_pagehi: Uint8Array.from(channelsOf(20)),
          channel_addr: Uint16Array.from(channelsOf(1000)),
          channel_addr_init: Uint16Array.from(channelsOf(2000)),
          channel_count: Uint16Array.from(channelsOf(3000)),
          channel_count_init: Uint16Array.from(channelsOf(4000)),
          channel_mask: Uint8Array.from(channelsOf(30)),
          channel_mode: Uint8Array.from(channelsOf(40)),
          lsb_msb_flipflop: 1,
        },
      ),
      change(
        { idstr: "cpu", description: x86Cpu },
        {
          regs: words(8, 0xf000_0001),
          eip: 0x1234_5678,
          eflags: 0x0000_0ad7,
          halted: true,
          cpl: 3,
          protected_mode: true,
          code_32: true,
          stack_32: true,
          tss_32: true,
          segs: channelsOf(0).map(segment),
          gdt: { base: 0xfe00_0000, limit: 0xff },
          idt: { base: 0xfd00_0000, limit: 0x7ff },
          cr: words(8, 0x8000_0011),
          dr: words(8, 0xffff_0ff0),
          pdpte: BigUint64Array.of(1n, 2n << 32n, 3n << 60n, 0xffff_ffff_ffff_fff4n),
          sysenter_cs: 0x60,
          sysenter_esp: 0xc000_0001,
          sysenter_eip: 0xc000_0002,
          tsc: 0x7654_3210_fedc_ba98n,
          fpu: {
            ...{ fpuc: 0x37f, fpus: 0x4321, fpstt: 5, fptag: 0xa5, fpop: 0x7ff },
            ...{ fpip: 0x8000_0001, fpcs: 8, fpdp: 0x8000_0002, fpds: 16 },
            fpregs: channelsOf(1).map((one) => ({ mantissa: BigInt(one) << 60n, exponent: 0xc000 + one })),
          },
          xmm_regs: words(32, 0xe000_0000),
          mxcsr: 0x3f80,
        },
      ),
    ];
    const changed = states.reduce((bytes, { into }) => into(bytes), stream);
    const again = await streamOf(await loaded(seabios, changed, { date: "freeze" }));
    for (const { name, of } of states) {
      const { tsc: before, ...expected } = of(changed) as AnyRecord;
      const { tsc: after, ...found } = of(again) as AnyRecord;
      expect(found, name).toEqual(expected);
      // v86 counts its own readings.
      if (before !== undefined) expect(Number((after as bigint) - (before as bigint))).toBeLessThan(1000);
    }
  });

  /** The section with this state, to be put into a stream and to be read from one. */
  function change<D extends Description>(section: SectionOf<D>, state: StateOf<D>) {
    const instance = section.instance ?? 0;
    const name = `${section.idstr}/${instance}`;
    return {
      name,
      into: (bytes: Uint8Array) => withState(bytes, section, () => state),
      of: (bytes: Uint8Array): unknown => stateIn(bytes, section),
    };
  }
});

describe("an interrupt of the clock that was to come in an hour", () => {
  const dayMs = 86_400_000;
  const hourMs = 3_600_000;
  const marginMs = 60_000;
  afterEach(() => {
    vi.restoreAllMocks();
  });

  /** A guest whose clock has this one interrupt before it. Register B, and what C says once it has come. */
  const kinds = {
    periodic: { b: 0x42, c: 0xc0, arm: { periodic_interrupt: true, update_interrupt: false } },
    alarm: { b: 0x22, c: 0xa0, arm: { periodic_interrupt: false, update_interrupt: false } },
    update: { b: 0x12, c: 0x90, arm: { periodic_interrupt: false, update_interrupt: true } },
  } as const;

  itWithSeabios.each([
    ["periodic", -10, "follow", 1],
    ["periodic", 10, "follow", 1],
    ["update", -10, "follow", 1],
    ["update", 10, "follow", 1],
    ["alarm", -10, "freeze", 1],
    ["alarm", 10, "freeze", 1],
    // An alarm is a date: where the date follows the host's, ten days back it is ten days and an hour away.
    ["alarm", -10, "follow", 241],
  ] as const)("comes then on another host (%s)", async (seabios, [kind, days, date, hours]) => {
    const { b, c, arm } = kinds[kind];
    const source = await countingMachine(seabios, { date });
    const sourceRtc = source.engine.cpu.devices.rtc;
    source.kernel.resume();
    const inAnHour = Date.now() + hourMs;
    Object.assign(sourceRtc, arm, { cmos_b: b, cmos_c: 0, next_interrupt: inAnHour, update_interrupt_time: inAnHour });
    sourceRtc.next_interrupt_alarm = kind === "alarm" ? inAnHour : 0;
    source.kernel.pause();
    const stream = await streamOf(source);

    const base = Date.now() + days * dayMs;
    const hostNow = vi.spyOn(Date, "now").mockReturnValue(base);
    const machine = await loaded(seabios, stream, { date });
    const { rtc } = machine.engine.cpu.devices;
    // In one turn: v86's own loop does not run meanwhile.
    machine.kernel.resume();
    const registerCAt = (ms: number) => {
      hostNow.mockReturnValue(base + ms);
      rtc.timer();
      return rtc.cmos_c;
    };
    const due = hours * hourMs;
    expect([registerCAt(0), registerCAt(due - marginMs), registerCAt(due + marginMs)]).toEqual([0, 0, c]);
    machine.kernel.pause();
    const ran = await letRun(machine, (since) => since.rtc >= 1);
    expect(ran.rtc).toBeGreaterThanOrEqual(1);
  });
});

describe("channel 0 of the 8254", () => {
  itWithSeabios("holds 65535 where the guest writes 0, and never counts from 0", async (seabios) => {
    const { stream } = await saved(seabios);
    const section = { idstr: "i8254", description: i8254 };
    const machine = await loaded(seabios, stream);
    const written = (...bytes: number[]) => {
      machine.inside(() => {
        machine.engine.cpu.io.port_write8(0x43, 0x34);
        for (const byte of bytes) machine.engine.cpu.io.port_write8(0x40, byte);
      });
    };
    written(0, 0);
    const whole = await streamOf(machine);
    expect(stateIn(whole, section).channels[0]).toMatchObject({ count: 65535, count_load_value: 65535, enabled: 1 });
    written(5, 0);
    written(0);
    const half = await streamOf(machine);
    expect(stateIn(half, section).channels[0]).toMatchObject({ count: 0, enabled: 1, next_low: 0 });
    await machine.kernel.load(half);
    const zero = withState(whole, section, ({ channels }) => ({
      channels: channels.map((one, index) => (index === 0 ? { ...one, count: 0 } : one)),
    }));
    const error = await refusal(() => machine.kernel.load(zero));
    expect([error.code, error.location.section, error.location.path]).toEqual([
      "DEVICE_CHECK",
      "i8254/0",
      "channels[0].count",
    ]);
  });
});

describe("the section of all other devices", () => {
  itWithSeabios("has none of the described ones in it", async (seabios) => {
    const { stream } = await saved(seabios);
    const body = sectionsOf(stream).find(({ head }) => head.idstr === "v86-rest")?.value as Uint8Array;
    const { blob } = decodeState(rest, body);
    const infoBytes = new DataView(blob.buffer, blob.byteOffset).getInt32(12, true);
    const info = JSON.parse(Buffer.from(blob.subarray(16, 16 + infoBytes)).toString()) as {
      state: [string, unknown][];
    };
    const names = info.state.map(([name]) => name);
    expect(names).toEqual(["vga", "ps2", "fdc", "ide", "pci", "net", "sb16", "vmware", "parallel0"]);
  });

  itWithSeabios("is refused as a whole where v86 would take it in half", async (seabios) => {
    const { stream, sent } = await saved(seabios);
    const section = { idstr: "v86-rest", description: rest };
    const broken = withState(stream, section, (state) => {
      const text = Buffer.from(state.blob).toString("latin1").replace('["ps2",[', '["ps3",[');
      return { ...state, blob: new Uint8Array(Buffer.from(text, "latin1")) };
    });
    const target = await loaded(seabios, stream);
    const error = await refusal(() => target.kernel.load(broken));
    expect([error.code, error.location.section, error.location.path]).toEqual(["DEVICE_CHECK", "v86-rest/0", "blob"]);
    expect(error.found).toBe("vga,ps3,fdc,ide,pci,net,sb16,vmware,parallel0");
    const torn = withState(stream, section, (state) => ({ ...state, blob: state.blob.with(0, 0) }));
    expect(await refusal(() => target.kernel.load(torn))).toMatchObject({ code: "DEVICE_CHECK" });
    // Nothing of either has reached the machine.
    await target.runUntil(() => linesOf(target) >= 5);
    expect(judge(sent + target.sent()).problem).toBeUndefined();
  });

  itWithSeabios("is refused where one slot is of another kind", async (seabios) => {
    const { stream } = await saved(seabios);
    let at = -1;
    const other = withState(stream, { idstr: "v86-rest", description: rest }, (state) => {
      const infoBytes = new DataView(state.blob.buffer, state.blob.byteOffset).getInt32(12, true);
      const info = JSON.parse(Buffer.from(state.blob.subarray(16, 16 + infoBytes)).toString()) as {
        state: [string, unknown[]][];
      };
      const slots = info.state.find(([name]) => name === "vga")?.[1] as unknown[];
      at = slots.findIndex((slot) => typeof slot === "object" && slot !== null && !Array.isArray(slot));
      slots[at] = 0;
      const blob = state.blob.slice();
      blob.set(Buffer.from(JSON.stringify(info).padEnd(infoBytes)), 16);
      return { ...state, blob };
    });
    const target = await loaded(seabios, stream);
    const error = await refusal(() => target.kernel.load(other));
    expect(at).toBeGreaterThanOrEqual(0);
    expect([error.code, error.location.section, error.location.path]).toEqual([
      "DEVICE_CHECK",
      "v86-rest/0",
      `blob.vga[${at}]`,
    ]);
    expect(error.found).toBe("value");
  });

  itWithSeabios("is taken back as a whole where v86 throws after all", async (seabios) => {
    const { stream, sent } = await saved(seabios);
    const deep = withState(stream, { idstr: "v86-rest", description: rest }, (state) => {
      const infoBytes = new DataView(state.blob.buffer, state.blob.byteOffset).getInt32(12, true);
      const info = JSON.parse(Buffer.from(state.blob.subarray(16, 16 + infoBytes)).toString()) as {
        state: [string, unknown[]][];
      };
      const channel = info.state.find(([name]) => name === "ide")?.[1].find(Array.isArray) as unknown[];
      channel.fill(null, 0, channel.findIndex(Array.isArray) + 1);
      const blob = state.blob.slice();
      blob.set(Buffer.from(JSON.stringify(info).padEnd(infoBytes)), 16);
      return { ...state, blob };
    });
    const target = await loaded(seabios, stream);
    const error = await refusal(() => target.kernel.load(deep));
    expect([error.code, error.location.section]).toEqual(["DEVICE_FAILED", "v86-rest/0"]);
    await target.runUntil(() => linesOf(target) >= 5);
    expect(judge(sent + target.sent()).problem).toBeUndefined();
  });
});

// What v86's own save_state and restore_state get wrong, each beside what Godwit makes of the same machine.
import { afterEach, describe, expect, vi } from "vitest";
import type { Emulator } from "../src/emulator/emulator.ts";
import type { V86Cpu } from "../src/emulator/v86-objects.ts";
import { guestCounters } from "../src/guest/counters.ts";
import { judge } from "../src/guest/evidence.ts";
import type { Seabios } from "../src/host/seabios.ts";
import { countingMachine, linesOf, machineWith, refusal, sectionsOf, streamOf } from "./support/machines.ts";
import { ownRestore, ownSave, type PlainMachine, plainMachine, slot, slotsOf, withSlots } from "./support/own-save.ts";
import { itWithSeabios } from "./support/seabios.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

/** The same instant of the same guest, saved both ways; `change` comes before. */
async function savedBothWays(seabios: Seabios, change: (cpu: V86Cpu) => void = () => {}) {
  const source = await countingMachine(seabios);
  source.inside(() => change(source.engine.cpu));
  return { source, blob: ownSave(source), stream: await streamOf(source) };
}

function ramOf({ engine: { cpu } }: PlainMachine): Uint8Array {
  return new Uint8Array(cpu.wasm_memory.buffer, cpu.mem8.byteOffset, cpu.mem8.length);
}

/** Lets a machine without Godwit run until `done`. */
async function runUntil(machine: PlainMachine, done: () => boolean): Promise<void> {
  machine.engine.run();
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 2));
}

const cycles = ({ store_current_tsc, current_tsc }: V86Cpu): number => {
  store_current_tsc();
  return (current_tsc[1] as number) * 2 ** 32 + (current_tsc[0] as number);
};

function daysLater(days: number): void {
  const now = Date.now;
  vi.spyOn(Date, "now").mockImplementation(() => now() + days * 86_400_000);
}

describe("v86's own save", () => {
  itWithSeabios("goes on in another machine, too, while nothing is out of the ordinary", async (seabios) => {
    const { source, blob } = await savedBothWays(seabios);
    const target = await plainMachine(seabios);
    ownRestore(target, blob);
    await runUntil(target, () => target.sent().length > 500);
    expect(judge(source.sent() + target.sent()).problem).toBeUndefined();
  });

  itWithSeabios("saves three registers that its restore never gives to the processor", async (seabios) => {
    const { source, blob, stream } = await savedBothWays(seabios, (cpu) => {
      // As between a comparison and the branch on it: v86 computes the flags when they are asked for.
      cpu.flags_changed[0] = 0x8d5;
      cpu.last_result[0] = 5;
      cpu.last_op1[0] = 7;
      cpu.last_op_size[0] = 31;
      cpu.mxcsr[0] = 0x7f80;
      cpu.fpu_status_word[0] = 0x4300;
    });
    const seen = (cpu: V86Cpu, registers: { mxcsr: number; status: number }) => {
      const memory = new DataView(cpu.wasm_memory.buffer);
      return {
        eflags: cpu.get_eflags(),
        mxcsr: memory.getUint32(registers.mxcsr, true),
        status: memory.getUint16(registers.status, true),
      };
    };
    const { cpu } = source.engine;
    const registers = { mxcsr: cpu.mxcsr.byteOffset, status: cpu.fpu_status_word.byteOffset };
    const before = seen(cpu, registers);
    expect([before.mxcsr, before.status]).toEqual([0x7f80, 0x4300]);

    const own = await plainMachine(seabios);
    ownRestore(own, blob);
    const zeroFlag = 0x40;
    expect(before.eflags & zeroFlag).toBe(0);
    expect(seen(own.engine.cpu, registers)).toMatchObject({ mxcsr: 0x1f80, status: 0 });
    expect(own.engine.cpu.get_eflags() & zeroFlag).toBe(zeroFlag);
    // And what it saves from then on is what was once restored, whatever the guest does.
    new DataView(own.engine.cpu.wasm_memory.buffer).setUint32(registers.mxcsr, 0x3f80, true);
    const again = await plainMachine(seabios);
    ownRestore(again, ownSave(own));
    expect(again.engine.cpu.mxcsr[0]).toBe(0x7f80);
    expect(slotsOf(blob)[slot.mxcsr]).toHaveProperty("buffer_id");

    const ours = await machineWith(seabios);
    await ours.kernel.load(stream);
    expect(seen(ours.engine.cpu, registers)).toEqual(before);
  });

  itWithSeabios("loses the bytes that wait in the serial port, but not the bit that says so", async (seabios) => {
    const { blob, stream } = await savedBothWays(seabios, ({ devices: { uart0 } }) => {
      uart0.input.push(0x47, 0x6f);
      uart0.lsr |= 1;
    });
    const received = ({ io }: V86Cpu) => {
      const bytes: number[] = [];
      for (; (io.port_read8(0x3fd) & 1) !== 0 && bytes.length < 4; ) bytes.push(io.port_read8(0x3f8));
      return bytes;
    };
    const own = await plainMachine(seabios);
    ownRestore(own, blob);
    expect(own.inside(() => received(own.engine.cpu))).toEqual([0]);
    const ours = await machineWith(seabios);
    await ours.kernel.load(stream);
    expect(ours.inside(() => received(ours.engine.cpu))).toEqual([0x47, 0x6f]);
  });

  itWithSeabios("forgets port 0x92, and how far the firmware's configuration was read", async (seabios) => {
    const { blob, stream } = await savedBothWays(seabios, (cpu) => {
      cpu.io.port_write8(0x92, 2);
      cpu.fw_value = [1, 2, 3, 4];
      cpu.fw_pointer = 3;
    });
    const seen = ({ io }: V86Cpu) => [io.port_read8(0x92), io.port_read8(0x511)];
    const own = await plainMachine(seabios);
    ownRestore(own, blob);
    expect(own.inside(() => seen(own.engine.cpu))).toEqual([0, 1]);
    const ours = await machineWith(seabios);
    await ours.kernel.load(stream);
    expect(ours.inside(() => seen(ours.engine.cpu))).toEqual([2, 4]);
  });

  itWithSeabios("is restored a second time with another count of cycles", async (seabios) => {
    const { source, blob, stream } = await savedBothWays(seabios);
    const saved = source.inside(() => cycles(source.engine.cpu));
    const own = await machineWith(seabios);
    const read = () => own.inside(() => cycles(own.engine.cpu));
    ownRestore(own, blob);
    expect(Math.abs(read() - saved)).toBeLessThan(1000);
    ownRestore(own, blob);
    expect(Math.abs(read() - saved)).toBeGreaterThan(1_000_000);

    const ours = await machineWith(seabios);
    for (let turn = 0; turn < 3; turn++) {
      await ours.kernel.load(stream);
      expect(Math.abs(ours.inside(() => cycles(ours.engine.cpu)) - saved)).toBeLessThan(1000);
    }
  });

  itWithSeabios("holds times of the host: a timer that fires once fires at once", async (seabios) => {
    // Channel 0, mode 0, the longest count: 55 ms from now, and the machine stands.
    const { source, blob, stream } = await savedBothWays(seabios, ({ io }) => {
      for (const [port, value] of [
        [0x43, 0x30],
        [0x40, 0xff],
        [0x40, 0xff],
      ] as const) {
        io.port_write8(port, value);
      }
    });
    // What v86's loop asks each time: fires what is due, and says how long the next one takes. Milliseconds.
    const untilNext = ({ inside, engine }: Emulator) =>
      inside(() => engine.cpu.devices.pit.timer(engine.constructor.microtick(), false));
    const counting = ({ engine }: Emulator) => engine.cpu.devices.pit.counter_enabled[0];
    expect([Math.round(untilNext(source)), counting(source)]).toEqual([55, 1]);

    const own = await plainMachine(seabios);
    ownRestore(own, blob);
    untilNext(own);
    // The process is younger than the one before: v86 takes a start in the future for one long past.
    expect(counting(own)).toBe(0);

    const ours = await machineWith(seabios);
    await ours.kernel.load(stream);
    expect([Math.round(untilNext(ours)), counting(ours)]).toEqual([55, 1]);
  });

  itWithSeabios("holds times of the host: on one ten days behind, the clock's interrupts end", async (seabios) => {
    const { blob, stream } = await savedBothWays(seabios);
    daysLater(-10);
    const own = await plainMachine(seabios);
    ownRestore(own, blob);
    const before = guestCounters(ramOf(own));
    await runUntil(own, () => guestCounters(ramOf(own)).ticks >= before.ticks + 200);
    expect(guestCounters(ramOf(own)).rtc - before.rtc).toBeLessThanOrEqual(1);

    const ours = await machineWith(seabios);
    await ours.kernel.load(stream);
    await ours.runUntil(() => guestCounters(ours.ram()).ticks >= before.ticks + 200);
    expect(guestCounters(ours.ram()).rtc - before.rtc).toBeGreaterThan(4);
  });

  itWithSeabios("is taken into a machine of another RAM size, wholly or by half", async (seabios) => {
    const { blob, stream } = await savedBothWays(seabios);
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    const large = await plainMachine(seabios, { ramBytes: 8 * 1024 * 1024 });
    ownRestore(large, blob);
    // No error. From here on the guest of a machine of 8 MiB has 4.
    expect([large.engine.cpu.mem8.length, large.engine.cpu.memory_size[0]]).toEqual([8 << 20, 4 << 20]);
    expect(warn).toHaveBeenCalledWith("Note: Memory size mismatch. we=8388608 state=4194304");

    const small = await plainMachine(seabios, { ramBytes: 2 * 1024 * 1024 });
    const eip = small.engine.cpu.instruction_pointer[0];
    expect(() => ownRestore(small, blob)).toThrow();
    // Registers and devices are the other machine's by then, RAM is nobody's.
    expect(small.engine.cpu.instruction_pointer[0]).not.toBe(eip);

    for (const ramBytes of [8, 2].map((mebibytes) => mebibytes * 1024 * 1024)) {
      const ours = await machineWith(seabios, { ramBytes });
      const before = ours.engine.cpu.instruction_pointer[0];
      const { code, location } = await refusal(() => ours.kernel.load(stream));
      expect([code, location.section, location.path]).toEqual(["RAM_BLOCK_MISMATCH", "ram/0", "blocks[0].used_length"]);
      expect(ours.engine.cpu.instruction_pointer[0]).toBe(before);
    }
  });

  itWithSeabios("breaks off in the middle where it lacks a device, and drops one that is too many", async (seabios) => {
    const one = await savedBothWays(seabios);
    const two = await countingMachine(seabios, { secondSerial: true });
    const lacking = await plainMachine(seabios, { secondSerial: true });
    const eip = lacking.engine.cpu.instruction_pointer[0];
    expect(() => ownRestore(lacking, one.blob)).toThrow(TypeError);
    expect(lacking.engine.cpu.instruction_pointer[0]).not.toBe(eip);
    const dropping = await plainMachine(seabios);
    ownRestore(dropping, ownSave(two));
    expect(dropping.engine.cpu.devices.uart1).toBeUndefined();

    for (const { stream, secondSerial, code } of [
      { stream: one.stream, secondSerial: true, code: "SECTION_MISSING" },
      { stream: await streamOf(two), secondSerial: false, code: "SECTION_UNKNOWN" },
    ]) {
      const ours = await countingMachine(seabios, { secondSerial });
      const error = await refusal(() => ours.kernel.load(stream));
      expect([error.code, error.location.section]).toEqual([code, "serial/1"]);
      // It was not touched: its own guest counts on.
      await ours.runUntil(() => linesOf(ours) >= 25);
      expect(judge(ours.sent()).problem).toBeUndefined();
    }
  });

  itWithSeabios("may lack slots, or hold anything in them: that is seen when the guest runs", async (seabios) => {
    const { blob, stream } = await savedBothWays(seabios);
    const short = await plainMachine(seabios);
    ownRestore(
      short,
      withSlots(blob, (slots) => {
        (slots[slot.pit] as unknown[]).length = 7;
      }),
    );
    expect(short.engine.cpu.devices.pit.counter_start_time).toBeUndefined();
    const odd = await plainMachine(seabios);
    ownRestore(
      odd,
      withSlots(blob, (slots) => {
        (slots[slot.uart0] as unknown[])[3] = "ready";
      }),
    );
    expect(odd.engine.cpu.devices.uart0.lsr).toBe("ready");

    // Ours without the timer's section, and with a later version of it.
    const ours = await machineWith(seabios);
    const pit = sectionsOf(stream).find(({ head }) => head.idstr === "i8254");
    if (pit === undefined) throw new Error("no section i8254");
    const without = new Uint8Array(stream.length - pit.bytes);
    without.set(stream.subarray(0, pit.offset));
    without.set(stream.subarray(pit.offset + pit.bytes), pit.offset);
    expect(await refusal(() => ours.kernel.load(without))).toMatchObject({
      code: "SECTION_MISSING",
      location: { section: "i8254/0" },
    });
    const later = stream.slice();
    const versionByte = pit.offset + 1 + 4 + 1 + "i8254".length + 4 + 3;
    expect(later[versionByte]).toBe(1);
    later[versionByte] = 2;
    expect(await refusal(() => ours.kernel.load(later))).toMatchObject({
      code: "SECTION_VERSION",
      location: { section: "i8254/0" },
    });
  });

  itWithSeabios("has one version for everything: another one refuses the whole save", async (seabios) => {
    const { blob } = await savedBothWays(seabios);
    const versioned = blob.slice(0);
    expect(new Int32Array(versioned, 0, 4)[1]).toBe(6);
    new Int32Array(versioned, 0, 4)[1] = 5;
    const own = await plainMachine(seabios);
    expect(() => ownRestore(own, versioned)).toThrow("Version mismatch: dump=5 we=6");
  });
});

describe("the guest's date", () => {
  itWithSeabios("follows the host's, or stands while the machine lies in a file", async (seabios) => {
    const days = (milliseconds: number) => Math.round(milliseconds / 86_400_000);
    for (const [date, passed] of [
      ["follow", 10],
      ["freeze", 0],
    ] as const) {
      const source = await countingMachine(seabios, { date });
      const stream = await streamOf(source);
      const before = source.engine.cpu.devices.rtc.rtc_time;
      daysLater(10);
      const target = await machineWith(seabios, { date });
      await target.kernel.load(stream);
      await target.runUntil(() => linesOf(target) >= 5);
      expect(days(target.engine.cpu.devices.rtc.rtc_time - before)).toBe(passed);
      expect(judge(source.sent() + target.sent()).problem).toBeUndefined();
      vi.restoreAllMocks();
    }
  });
});

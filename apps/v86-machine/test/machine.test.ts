import { type AnyRecord, recordDecoder } from "@godwit/core";
import { StreamReader } from "@godwit/core/stream";
import { type RamSection, ramWalker } from "@godwit/ram-dirty-tracker";
import { describe, expect } from "vitest";
import { dma } from "../src/devices/dma.ts";
import { i8254 } from "../src/devices/i8254.ts";
import { i8259 } from "../src/devices/i8259.ts";
import { mc146818rtc } from "../src/devices/mc146818rtc.ts";
import { rest } from "../src/devices/rest.ts";
import { serial } from "../src/devices/serial.ts";
import { fwCfg, port92 } from "../src/devices/small.ts";
import { x86Cpu } from "../src/devices/x86-cpu.ts";
import { bootDisk } from "../src/guest/boot-disk.ts";
import { countersAddress } from "../src/guest/counters.ts";
import { judge } from "../src/guest/evidence.ts";
import type { V86Machine } from "../src/machine.ts";
import { countingMachine, eventsOf, joined, linesOf, machineWith, sectionsOf, streamOf } from "./support/machines.ts";
import { itWithSeabios } from "./support/seabios.ts";

const moreLines = (machine: V86Machine, lines: number) => {
  const before = linesOf(machine);
  return machine.runUntil(() => linesOf(machine) >= before + lines);
};

describe("a machine of v86's", () => {
  itWithSeabios("goes on in another machine, and in the next, as if it had never been moved", async (seabios) => {
    const source = await countingMachine(seabios);
    let sent = source.sent();
    let from = source;
    for (let hop = 0; hop < 3; hop++) {
      const target = await machineWith(seabios);
      const report = await target.kernel.load(await streamOf(from));
      expect(report.loadOrder.slice(0, 4)).toEqual(["timer/0", "i8259/0", "i8259/1", "cpu/0"]);
      await moreLines(target, 20);
      sent += target.sent();
      from = target;
    }
    const moved = judge(sent);
    expect([moved.problem, moved.lines.length >= 80]).toEqual([undefined, true]);
    // The same lines as of a guest that stayed where it was, from the first to the last.
    const stayed = await machineWith(seabios);
    await stayed.runUntil(() => linesOf(stayed) >= moved.lines.length);
    const content = (lines: typeof moved.lines) => lines.map(({ seq, hash }) => [seq, hash]);
    const { lines, problem } = judge(stayed.sent());
    expect([problem, content(lines.slice(0, moved.lines.length))]).toEqual([undefined, content(moved.lines)]);
    // Timer and clock go on in every machine.
    const [first, last] = [judge(source.sent()).lines.at(-1), moved.lines.at(-1)];
    expect(last?.ticks).toBeGreaterThanOrEqual((first?.ticks ?? 0) + 4 * 60);
    expect(last?.rtc).toBeGreaterThan(first?.rtc ?? 0);
  });

  itWithSeabios("is saved while it runs, and goes on itself", async (seabios) => {
    const machine = await countingMachine(seabios);
    const { kernel } = machine;
    kernel.resume();
    const attempt = kernel.outgoing();
    const chunks: Uint8Array[] = [];
    const take = (some: Iterable<Uint8Array>) => {
      for (const chunk of some) chunks.push(chunk.slice());
    };
    take(attempt.setup());
    // Rounds of pages, the guest counting on between them.
    for (let round = 0; round < 5; round++) {
      const before = linesOf(machine);
      take(attempt.iterate(256 * 1024));
      await machine.runUntil(() => linesOf(machine) >= before + 5);
      expect(attempt.pending(true).mustPrecopyBytes).toBeGreaterThan(0);
    }
    kernel.pause();
    const sentAtSave = machine.sent();
    take(attempt.complete());
    attempt.end(true);
    const target = await machineWith(seabios);
    await target.kernel.load(joined(chunks));
    await moreLines(target, 20);
    await moreLines(machine, 20);
    const [moved, stayed] = [judge(sentAtSave + target.sent()), judge(machine.sent())];
    expect([moved.problem, stayed.problem]).toEqual([undefined, undefined]);
    expect(Math.min(moved.lines.length, stayed.lines.length)).toBeGreaterThanOrEqual(65);
    // The page with the guest's counters was sent in the first round, and again because the guest went on.
    const counters: string[] = [];
    sectionsOf(joined(chunks), {
      onRecord: (record) => {
        if (record.kind === "page" && record.offset === countersAddress) counters.push(record.block.idstr);
      },
    });
    expect(counters.length).toBeGreaterThanOrEqual(2);
    expect(new Set(counters)).toEqual(new Set(["pc.ram"]));
  });

  itWithSeabios("goes back to a snapshot, and counts the same lines again", async (seabios) => {
    const machine = await countingMachine(seabios);
    const snapshot = machine.kernel.snapshot();
    const before = machine.sent();
    for (let turn = 0; turn < 3; turn++) {
      const from = machine.sent().length;
      machine.kernel.restore(snapshot);
      await moreLines(machine, 10);
      const { lines, problem } = judge(before + machine.sent().slice(from));
      expect([problem, lines.length >= 29]).toEqual([undefined, true]);
    }
  });

  itWithSeabios(
    "keeps its timers and its counter of cycles while it is paused, loaded and taken back",
    async (seabios) => {
      const source = await countingMachine(seabios);
      const stream = await streamOf(source);
      const target = await countingMachine(seabios);
      const seen = (machine: V86Machine) =>
        machine.inside(() => {
          const { io, store_current_tsc, current_tsc } = machine.engine.cpu;
          io.port_write8(0x43, 0);
          const count = io.port_read8(0x40) | (io.port_read8(0x40) << 8);
          store_current_tsc();
          return [count, (current_tsc[1] as number) * 2 ** 32 + (current_tsc[0] as number)] as const;
        });
      const [count, cycles] = seen(source);
      // Twice: what a machine was before must not shine through.
      for (let turn = 0; turn < 2; turn++) {
        await target.kernel.load(stream);
        const [sameCount, sameCycles] = seen(target);
        expect(Math.abs(sameCount - count)).toBeLessThanOrEqual(1);
        // v86 counts its own readings while its clock stands still.
        expect(Math.abs(sameCycles - cycles)).toBeLessThan(1000);
      }
    },
  );

  itWithSeabios("forgets the code that v86 has compiled of the guest before", async (seabios) => {
    const stream = await streamOf(await countingMachine(seabios));
    // Another program at the same addresses: its digits above 9 are capitals.
    const disk = bootDisk();
    const lowerCase = Uint8Array.of(0x80, 0xc3, 0x27);
    const at = Buffer.from(disk).indexOf(lowerCase);
    expect(at).toBeGreaterThan(0);
    disk[at + 2] = 0x07;
    const target = await machineWith(seabios, { disk });
    await target.runUntil(() => linesOf(target) >= 250);
    expect(target.sent()).toMatch(/[A-F]/);
    const { length } = target.sent();
    await target.kernel.load(stream);
    await moreLines(target, 20);
    expect(target.sent().slice(length)).toMatch(/^[0-9a-f \n]+$/);
  });
});

describe("its stream", () => {
  itWithSeabios("opens for a tool that knows nothing of v86, by its own description", async (seabios) => {
    const stream = await streamOf(await countingMachine(seabios));
    const full = sectionsOf(stream).filter(({ phase }) => phase === "full");
    const names = ["timer", "i8259", "i8259", "cpu", "i8254", "mc146818rtc", "serial", "dma", "port92", "fw_cfg"];
    expect(full.map(({ head }) => head.idstr)).toEqual([...names, "v86-rest"]);
    expect(new Set(full.map(({ delimitedBy }) => delimitedBy))).toEqual(new Set(["vmdesc"]));
    const described = eventsOf(stream).flatMap((event) => (event.type === "vmdesc" ? event.vmdesc.devices : []));
    expect(described.map(({ name }) => name)).toEqual([...names, "v86-rest"]);
    const registers = described.find(({ name }) => name === "i8259")?.fields?.map(({ name }) => name);
    expect(registers).toContain("irq_base");
  });

  itWithSeabios("decodes by the descriptions alone, without the machine", async (seabios) => {
    const stream = await streamOf(await countingMachine(seabios));
    const descriptions = [i8259, x86Cpu, i8254, mc146818rtc, serial, dma, port92, fwCfg, rest];
    const walker = ramWalker();
    const reader = new StreamReader({
      open: ({ idstr, version }, phase, previous) => {
        if (idstr === "ram" && phase !== "full") return walker.decoder(phase, previous as RamSection);
        const description = descriptions.find(({ name }) => name === idstr);
        return description === undefined ? undefined : recordDecoder(description, version);
      },
    });
    const sections = [...reader.push(stream), ...reader.end()].flatMap((event) =>
      event.type === "section" && event.phase === "full" ? [event] : [],
    );
    expect(sections.filter(({ delimitedBy }) => delimitedBy === "description").length).toBe(10);
    const of = (idstr: string, instance = 0) => {
      return sections.find(({ head }) => head.idstr === idstr && head.instance === instance)?.value as AnyRecord;
    };
    // What the boot sector has programmed.
    expect(of("i8259")).toMatchObject({ irq_base: 0x50, imr: 0xea });
    expect(of("i8259", 1)).toMatchObject({ irq_base: 0x58, imr: 0xfe });
    expect(of("serial")).toMatchObject({ divider: 1, ier: 2, lcr: 3, mcr: 0x0b });
    expect(of("i8254")).toMatchObject({ channels: [{ count: 1193, mode: 2, enabled: 1 }, {}, {}] });
    expect((of("mc146818rtc")["cmos_data"] as Uint8Array).subarray(10, 12)).toEqual(Uint8Array.of(0x26, 0x42));
  });
});

// What RTAS calls answer, call after call. The sequences were played to QEMU 7.2 (pseries-7.2) by a guest of a few
// instructions; the answers are QEMU's.
import { describe, expect, it } from "vitest";
import { PendingEvents } from "../src/events.ts";
import { drcIndex, eventMask, hotplugLog } from "../src/index.ts";
import { cpu, deepTree, Guest, lmb, logBuffer, machine, pci, toldOf, workArea } from "./support/machine.ts";

type Play = (guest: Guest, index: number) => readonly (readonly [answer: number, call: () => number])[];

/** Plays calls in order, and tells the first that is answered otherwise. */
function play(index: number, prepare: (on: ReturnType<typeof machine>) => void, calls: Play): Guest {
  const on = machine();
  prepare(on);
  const guest = new Guest(on);
  guest.aim(index);
  calls(guest, index).forEach(([answer, call], at) => {
    expect([at, call()]).toEqual([at, answer]);
  });
  return guest;
}

const hot = (index: number) => (on: ReturnType<typeof machine>) => on.drc.plug(index, deepTree(index));
const cold = (index: number) => (on: ReturnType<typeof machine>) =>
  on.drc.attach(index, deepTree(index), { cold: true });
const leaving = (index: number) => (on: ReturnType<typeof machine>) => {
  cold(index)(on);
  on.drc.requestUnplug(index);
};

describe("a logical connector", () => {
  it("that was hot-plugged is made usable, unisolated and configured, in this order", () => {
    play(cpu, hot(cpu), (guest, i) => {
      const next = () => guest.configure().status;
      const sense = () => guest.sense(i)[1] as number;
      return [
        [2, sense],
        [-3, () => guest.unisolate(i)],
        [-9003, next],
        [-3, () => guest.call("set-indicator", 9003, i, 2)],
        [-3, () => guest.call("set-indicator", 9003, i, 3)],
        [0, () => guest.unusable(i)],
        [0, () => guest.isolate(i)],
        [0, () => guest.usable(i)],
        [1, sense],
        [0, () => guest.usable(i)],
        [-9003, next],
        [0, () => guest.isolate(i)],
        [0, () => guest.unisolate(i)],
        [0, () => guest.unisolate(i)],
        [0, () => guest.usable(i)],
        [-3, () => guest.unusable(i)],
        [2, next],
        [3, next],
        [3, next],
        [0, () => guest.unisolate(i)],
        [-3, () => guest.isolate(i)],
        [1, sense],
        [3, next],
        [-3, () => guest.unusable(i)],
        [0, () => guest.usable(i)],
        [2, next],
      ];
    });
  });

  it("that is empty can be made nothing of", () => {
    play(
      lmb,
      () => {},
      (guest, i) => [
        [-3, () => guest.usable(i)],
        [0, () => guest.unusable(i)],
        [0, () => guest.isolate(i)],
        [-3, () => guest.unisolate(i)],
        [2, () => guest.sense(i)[1] as number],
        [-3, () => guest.light(i, 1)],
        [-9003, () => guest.configure().status],
      ],
    );
  });

  it("that was there at boot is configured, and can be given back", () => {
    play(cpu, cold(cpu), (guest, i) => [
      [-3, () => guest.unusable(i)],
      [0, () => guest.usable(i)],
      [1, () => guest.sense(i)[1] as number],
      [2, () => guest.configure().status],
      [3, () => guest.configure().status],
      [0, () => guest.isolate(i)],
      [1, () => guest.sense(i)[1] as number],
      [0, () => guest.isolate(i)],
      [-9003, () => guest.configure().status],
      [0, () => guest.unusable(i)],
      [-3, () => guest.unisolate(i)],
      [0, () => guest.usable(i)],
      [-9003, () => guest.configure().status],
    ]);
  });

  it("leaves when it becomes unusable, unless the guest refuses while it is configured", () => {
    const on = machine();
    leaving(cpu)(on);
    const guest = new Guest(on);
    expect([guest.isolate(cpu), guest.sense(cpu)[1], guest.unusable(cpu), guest.sense(cpu)[1]]).toEqual([0, 1, 0, 2]);
    expect([guest.usable(cpu), on.drc.connector(cpu)?.attached]).toEqual([-3, false]);
    const other = machine();
    leaving(cpu)(other);
    expect(new Guest(other).unisolate(cpu)).toBe(0);
    expect(other.drc.connector(cpu)).toMatchObject({ attached: true, unplugRequested: false, state: 4 });
    const third = machine();
    leaving(cpu)(third);
    const late = new Guest(third);
    expect([late.isolate(cpu), late.unisolate(cpu)]).toEqual([0, 0]);
    expect(third.drc.connector(cpu)).toMatchObject({ attached: true, unplugRequested: true, state: 3 });
  });
});

describe("a physical connector", () => {
  it("has a light, no allocation, and is isolated only when it is configured", () => {
    play(pci, hot(pci), (guest, i) => {
      const next = () => guest.configure().status;
      return [
        [1, () => guest.sense(i)[1] as number],
        [-3, () => guest.usable(i)],
        [-3, () => guest.unusable(i)],
        [0, () => guest.isolate(i)],
        [0, () => guest.light(i, 0)],
        [0, () => guest.light(i, 3)],
        [-3, () => guest.light(i, 4)],
        [-3, () => guest.light(i, 9)],
        [-9003, next],
        [0, () => guest.unisolate(i)],
        [0, () => guest.unisolate(i)],
        [-3, () => guest.isolate(i)],
        [0, () => guest.unisolate(i)],
        [2, next],
        [3, next],
        [0, () => guest.unisolate(i)],
        [3, next],
        [-3, () => guest.isolate(i)],
        [3, next],
        [0, () => guest.configureAll().at(-1)?.status as number],
        [2, next],
        [0, () => guest.isolate(i)],
        [-9003, next],
        [1, () => guest.sense(i)[1] as number],
        [0, () => guest.unisolate(i)],
        [2, next],
      ];
    });
  });

  it("that is empty senses empty, and cannot be unisolated", () => {
    play(
      pci,
      () => {},
      (guest, i) => [
        [0, () => guest.sense(i)[1] as number],
        [-3, () => guest.unisolate(i)],
        [0, () => guest.light(i, 1)],
      ],
    );
  });

  it("lets its device go when it is isolated; unisolating it is no refusal", () => {
    play(pci, leaving(pci), (guest, i) => [
      [1, () => guest.sense(i)[1] as number],
      [0, () => guest.unisolate(i)],
      [2, () => guest.configure().status],
      [0, () => guest.isolate(i)],
      [0, () => guest.sense(i)[1] as number],
      [-3, () => guest.unisolate(i)],
      [-9003, () => guest.configure().status],
    ]);
  });
});

describe("a device that the guest never took", () => {
  it.each([pci, cpu])("leaves at once, without an event (%i)", (index) => {
    const gone: number[] = [];
    const on = machine({ released: (of) => gone.push(of) });
    on.drc.plug(index, deepTree(index));
    on.drc.requestUnplug(index);
    expect(gone).toEqual([index]);
    expect(on.drc.pendingEvents()).toHaveLength(1);
    expect(on.drc.connector(index)?.attached).toBe(false);
  });
});

describe("calls", () => {
  const guest = new Guest(machine());
  it.each([
    ["set-indicator", [9001, 0x4000_0999, 1], [-3]],
    ["set-indicator", [77, pci, 1], [-3]],
    ["set-indicator", [9001, pci, 9], [-3]],
    ["set-indicator", [9001, pci, 1, 1], [-3]],
    ["get-sensor-state", [9003, 1], [-3, 0]],
    ["get-sensor-state", [1, pci], [-3, 0]],
    ["get-sensor-state", [9003], [-3, 0]],
    ["ibm,configure-connector", [workArea], [-3]],
    ["ibm,configure-connector", [0x3000, 0], [-3]],
    ["check-exception", [0x500, 0, 0x4000_0000], [-3]],
    ["check-exception", [0x500, 0, 0x4000_0000, 0, logBuffer, 2048], [1]],
    ["event-scan", [0xffff_ffff, 0, logBuffer, 2048], [1]],
  ] as const)("%s %j answers %j", (name, words, answer) => {
    const on = machine();
    expect(on.drc.rtas(name, words)).toEqual(answer);
    expect(guest.call(name, ...words)).toBe(answer[0]);
  });

  it("fetch events by their source, oldest first, each once, and cut at the buffer's end", () => {
    const on = machine();
    on.drc.plug(pci, deepTree(pci));
    on.drc.plug(cpu, deepTree(cpu));
    const reader = new Guest(on);
    expect(reader.fetch(0x1000_0000).status).toBe(1);
    expect(on.drc.rtas("event-scan", [0xffff_ffff, 0, logBuffer, 2048])).toEqual([1]);
    on.memory.write(logBuffer, new Uint8Array(116).fill(0xaa));
    const short = reader.fetch(0x4000_0000, 12).log;
    expect([...short.subarray(0, 13)]).toEqual([6, 0x34, 0x60, 0xe5, 0, 0, 0, 108, 0x86, 0, 0x8e, 0, 0xaa]);
    // The platform log id counts events.
    expect([...reader.fetch().log.subarray(64, 68)]).toEqual([1, 0, 0, 0]);
    expect(reader.fetch().status).toBe(1);
    const dedicated = machine({ hotplugSource: "hot-plug" });
    dedicated.drc.plug(pci, deepTree(pci));
    const other = new Guest(dedicated);
    expect([other.fetch(0x4000_0000).status, other.fetch(0x5000_0000).status]).toEqual([1, 0]);
  });

  it("fetch the event that was asked for, and leave those of other sources in their order", () => {
    const on = machine();
    const events = new PendingEvents("hot-plug");
    const log = { extended_length: 0, extended_log: new Uint8Array(0) };
    const [unknown, epow] = [0x0634_6001, 0x0634_6040].map((summary) => ({ summary, ...log }));
    const hotplug = hotplugLog({ action: "add", target: { index: pci }, logId: 0, time: 0n });
    const all = [unknown, epow, hotplug] as const;
    events.load(all as never);
    const fetch = (mask: number) => [events.check(on.memory, mask, logBuffer, 2048), events.entries.length];
    expect(fetch(eventMask.HOTPLUG)).toEqual([0, 2]);
    expect(events.entries).toEqual([unknown, epow]);
    expect(fetch(eventMask.HOTPLUG)).toEqual([1, 2]);
    expect(fetch(eventMask.EPOW)).toEqual([0, 1]);
    expect(fetch(0xffff_ffff)).toEqual([1, 1]);
    expect(events.entries).toEqual([unknown]);
  });

  it("keep an event whose buffer is not in memory", () => {
    const on = machine();
    on.drc.plug(pci, deepTree(pci));
    const call = () => on.drc.rtas("check-exception", [0x500, 0, 0x4000_0000, 0, 0x7fff_0000, 2048]);
    expect(call).toThrow(expect.objectContaining({ code: "MEMORY_UNMAPPED" }));
    expect(on.drc.pendingEvents()).toHaveLength(1);
  });

  it("keep a token that could not be told", () => {
    const on = machine();
    on.drc.plug(pci, deepTree(pci));
    const reader = new Guest(on);
    reader.unisolate(pci);
    // The index is in memory, the rest of the work area is not.
    on.memory.write(0x7ffc, Uint8Array.of(0x40, 0, 0, 0x10));
    expect(() => on.drc.rtas("ibm,configure-connector", [0x7ffc, 0])).toThrow("MEMORY_UNMAPPED");
    reader.aim(pci);
    expect(reader.configureAll()).toEqual(toldOf(pci));
  });
});

describe("the machine", () => {
  it("is told of a mistake of its own", () => {
    const on = machine();
    const invalid = expect.objectContaining({ code: "DEFINITION_INVALID" });
    expect(() => on.drc.attach(0x4000_0999, deepTree(pci))).toThrow(invalid);
    expect(() => on.drc.requestUnplug(pci)).toThrow(invalid);
    expect(() => on.drc.detach(pci)).toThrow(invalid);
    on.drc.attach(pci, deepTree(pci));
    expect(() => on.drc.attach(pci, deepTree(pci))).toThrow(invalid);
    expect(() => drcIndex("cpu", 2 ** 28)).toThrow(invalid);
    expect(() => machine({ connectors: [pci, pci] })).toThrow(invalid);
    expect(() => machine({ connectors: [0x3000_0000] })).toThrow(invalid);
    expect(on.drc.connector(5)).toBeUndefined();
  });

  it("resets to what is there: configured, or gone where that was asked for", () => {
    const on = machine();
    on.drc.plug(pci, deepTree(pci));
    leaving(cpu)(on);
    const guest = new Guest(on);
    guest.aim(pci);
    guest.unisolate(pci);
    guest.configure();
    on.drc.reset();
    expect(on.drc.pendingEvents()).toEqual([]);
    expect(on.drc.connector(pci)).toMatchObject({ state: 8, attached: true, indicator: 1, walk: undefined });
    expect(on.drc.connector(cpu)).toMatchObject({ state: 1, attached: false });
    on.drc.detach(pci);
    expect(on.drc.connector(pci)).toMatchObject({ state: 6, attached: false });
  });
});

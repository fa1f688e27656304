// A guest that is in the middle of a hot-plug when its machine moves: what it had on the source holds on the destination.
import { isMigrationError, type MigrationError } from "@godwit/core";
import { describe, expect, it } from "vitest";
import { drcState, hotplugLog, plainPlatform, platformState } from "../src/index.ts";
import { cpu, deepTree, Guest, lmb, machine, pci, saved, type TestMachine, toldOf } from "./support/machine.ts";

const ccs = { ccs: true } as const;

async function refusal(work: Promise<unknown>): Promise<MigrationError> {
  try {
    await work;
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

/** Two machines of the same make; the destination has the same devices from the start, as its assembler gave them. */
function pair(options = {}): { source: TestMachine; target: TestMachine } {
  const [source, target] = [machine({ ...ccs, ...options }), machine({ ...ccs, ...options })];
  target.drc.attach(pci, deepTree(pci), { cold: true });
  return { source, target };
}

async function move(source: TestMachine, target: TestMachine): Promise<Guest> {
  await target.kernel.load(await saved(source.kernel));
  return new Guest(target);
}

describe("an event that is pending", () => {
  it("is fetched on the destination, once, and its device configured", async () => {
    const signals: string[] = [];
    const { source } = pair();
    const target = machine({ ...ccs, signal: () => signals.push("signal") });
    target.drc.attach(pci, deepTree(pci), { cold: true });
    source.drc.plug(pci, deepTree(pci));
    const guest = await move(source, target);
    expect(signals).toEqual([]);
    target.kernel.resume();
    expect(signals).toEqual(["signal"]);
    const { status, log } = guest.fetch();
    expect(status).toBe(0);
    const made = hotplugLog({
      action: "add",
      target: { index: pci },
      logId: 0,
      time: 1_795_266_732_000_000_000n,
    });
    expect([...log]).toEqual([0x06, 0x34, 0x60, 0xe5, 0, 0, 0, 108, ...made.extended_log]);
    expect(guest.fetch().status).toBe(1);
    // Hot-plugged and not asked for: the connector of the destination is no more configured than the source's was.
    expect(target.stateOf(pci)).toBe(drcState.PHYSICAL_POWERON);
    expect(target.drc.connector(pci)?.indicator).toBe(0);
    guest.aim(pci);
    expect(guest.configure().status).toBe(-9003);
    expect(guest.unisolate(pci)).toBe(0);
    expect(guest.configureAll()).toEqual(toldOf(pci));
    expect(target.stateOf(pci)).toBe(drcState.PHYSICAL_CONFIGURED);
  });

  it("keeps its place among others, and its connectors theirs", async () => {
    const { source, target } = pair();
    target.drc.attach(cpu, deepTree(cpu), { cold: true });
    target.drc.attach(lmb, deepTree(lmb), { cold: true });
    source.drc.plug(pci, deepTree(pci));
    source.drc.plug(cpu, deepTree(cpu));
    source.drc.attach(lmb, deepTree(lmb));
    source.drc.announce("add", { count: 1, type: "lmb" });
    new Guest(source).fetch();
    // What the destination had of its own is gone with the state that it had.
    target.drc.announce("add", { count: 9, type: "lmb" });
    const guest = await move(source, target);
    expect(target.drc.pendingEvents()).toEqual(source.drc.pendingEvents());
    const types = [guest.fetch(), guest.fetch()].map(({ log }) => [...log.subarray(104, 112)]);
    expect(types).toEqual([
      [1, 1, 2, 0, 0x10, 0, 0, 1],
      [2, 1, 3, 0, 0, 0, 0, 1],
    ]);
    expect([pci, cpu, lmb].map(target.stateOf)).toEqual([6, 1, 1]);
    expect(guest.sense(cpu)).toEqual([0, 2]);
  });
});

describe("a tree that is half fetched", () => {
  const all = toldOf(pci);

  it.each(all.map((_, calls) => calls))("after %i calls goes on with the right rest", async (calls) => {
    const { source, target } = pair();
    source.drc.plug(pci, deepTree(pci));
    const before = new Guest(source);
    before.aim(pci);
    before.unisolate(pci);
    const told = Array.from({ length: calls }, () => before.configure());
    expect(source.drc.connector(pci)?.walk === undefined).toBe(calls === 0);
    const after = await move(source, target);
    expect(target.drc.connector(pci)?.walk).toEqual(source.drc.connector(pci)?.walk);
    expect([...told, ...after.configureAll()]).toEqual(all);
    expect(target.drc.connector(pci)).toEqual({
      index: pci,
      state: drcState.PHYSICAL_CONFIGURED,
      attached: true,
      unplugRequested: false,
      indicator: 0,
      walk: undefined,
    });
    // The source is where it was.
    expect(before.configureAll()).toEqual(all.slice(calls));
  });

  it("moves there and back, one token a machine, several walks at once", async () => {
    let here = machine(ccs);
    for (const index of [pci, cpu]) here.drc.plug(index, deepTree(index));
    const first = new Guest(here);
    first.unisolate(pci);
    first.usable(cpu);
    first.unisolate(cpu);
    const told: Record<number, unknown[]> = { [pci]: [], [cpu]: [] };
    for (let at = 0; at < all.length; at++) {
      for (const index of [pci, cpu]) {
        const guest = new Guest(here);
        guest.aim(index);
        told[index]?.push(guest.configure());
      }
      const there = machine(ccs);
      for (const index of [pci, cpu]) there.drc.attach(index, deepTree(index), { cold: true });
      await move(here, there);
      here = there;
    }
    expect(told).toEqual({ [pci]: toldOf(pci), [cpu]: toldOf(cpu) });
    expect([here.stateOf(pci), here.stateOf(cpu)]).toEqual([8, 4]);
  });

  it("survives snapshot and restore of the same machine", () => {
    const here = machine(ccs);
    here.drc.plug(pci, deepTree(pci));
    const guest = new Guest(here);
    guest.aim(pci);
    guest.unisolate(pci);
    for (let i = 0; i < 5; i++) guest.configure();
    const slot = here.kernel.snapshot();
    expect(guest.configureAll()).toEqual(all.slice(5));
    here.kernel.restore(slot);
    expect(guest.configureAll()).toEqual(all.slice(5));
    // A walk that had not begun then is over.
    const done = here.kernel.snapshot();
    for (let i = 0; i < 3; i++) guest.configure();
    here.kernel.restore(done);
    expect(here.drc.connector(pci)?.walk).toBeUndefined();
    expect(guest.configureAll()).toEqual(all);
  });
});

describe("a device that was given back to the firmware", () => {
  it("is configured again on the destination, from the tree's first token", async () => {
    const { source, target } = pair();
    source.drc.plug(pci, deepTree(pci));
    const before = new Guest(source);
    before.aim(pci);
    before.unisolate(pci);
    before.configureAll();
    // It begins a second walk, and gives the device back in the middle of it.
    for (let i = 0; i < 4; i++) before.configure();
    expect(before.isolate(pci)).toBe(0);
    expect(source.drc.connector(pci)).toMatchObject({
      state: drcState.PHYSICAL_POWERON,
      attached: true,
      walk: undefined,
    });
    const after = await move(source, target);
    expect(target.stateOf(pci)).toBe(drcState.PHYSICAL_POWERON);
    expect(after.configure().status).toBe(-9003);
    expect(after.unisolate(pci)).toBe(0);
    expect(after.configureAll()).toEqual(toldOf(pci));
  });

  it("is logical: usable again on the destination, and configured", async () => {
    const [source, target] = [machine(ccs), machine(ccs)];
    for (const one of [source, target]) one.drc.attach(cpu, deepTree(cpu), { cold: true });
    const before = new Guest(source);
    expect([before.isolate(cpu), before.unusable(cpu)]).toEqual([0, 0]);
    const after = await move(source, target);
    expect(target.stateOf(cpu)).toBe(drcState.LOGICAL_UNUSABLE);
    expect([after.unisolate(cpu), after.usable(cpu), after.unisolate(cpu)]).toEqual([-3, 0, 0]);
    after.aim(cpu);
    expect(after.configureAll()).toEqual(toldOf(cpu));
  });

  it("leaves the destination where its removal was asked for on the source", async () => {
    const gone: number[] = [];
    const [source, target] = [machine(ccs), machine({ ...ccs, released: (index) => gone.push(index) })];
    for (const one of [source, target]) one.drc.attach(cpu, deepTree(cpu), { cold: true });
    source.drc.requestUnplug(cpu);
    expect(source.stateOf(cpu)).toBe(drcState.LOGICAL_CONFIGURED);
    const after = await move(source, target);
    expect(target.drc.connector(cpu)?.unplugRequested).toBe(true);
    expect([...after.fetch().log.subarray(104, 112)]).toEqual([1, 2, 2, 0, 0x10, 0, 0, 1]);
    expect([after.isolate(cpu), gone.length, after.unusable(cpu)]).toEqual([0, 0, 0]);
    expect(gone).toEqual([cpu]);
    expect(target.drc.connector(cpu)).toMatchObject({ state: 1, attached: false, unplugRequested: false });
    expect(source.drc.connector(cpu)).toMatchObject({ state: 4, attached: true });
  });
});

describe("a walk that cannot go on", () => {
  /** A stream with one walk under way: of the PCI connector, whose next token is at offset 32 of its structure block. */
  async function streamOf(calls = 1): Promise<Uint8Array> {
    const source = machine(ccs);
    source.drc.plug(pci, deepTree(pci));
    const guest = new Guest(source);
    guest.aim(pci);
    guest.unisolate(pci);
    for (let i = 0; i < calls; i++) guest.configure();
    return saved(source.kernel);
  }

  /** The list's only element, in the stream: three words. */
  function elementAt(stream: Uint8Array): DataView {
    const at = Buffer.from(stream.buffer, stream.byteOffset, stream.length).indexOf("spaprccslist") + 12 + 4 + 1;
    return new DataView(stream.buffer, stream.byteOffset + at, 12);
  }

  it.each([
    ["a connector that is not there", 0, 0x4000_0011, "drc_index", "0x40000011"],
    ["a connector that is empty", 0, cpu, "drc_index", "0x10000001"],
    ["an offset inside of a token", 4, 25, "fdt_offset", "25"],
    ["an offset of a word that is no token", 4, 28, "fdt_offset", "28"],
    ["an offset before the connector's node", 4, 0, "fdt_offset", "0"],
    ["an offset beyond the tree", 4, 0x7fff_fff0, "fdt_offset", "2147483632"],
    ["a negative offset", 4, -8, "fdt_offset", "-8"],
    ["a depth that the token has not", 8, 2, "fdt_depth", "2"],
    ["a depth of a walk that has not begun", 8, 0, "fdt_depth", "0"],
  ])("%s: ccs-fdt-mismatch, and nothing has changed", async (_, word, value, field, found) => {
    const stream = await streamOf();
    const element = elementAt(stream);
    expect([element.getUint32(0), element.getInt32(4), element.getInt32(8)]).toEqual([pci, 24, 1]);
    element.setInt32(word, value | 0);
    const { target } = pair();
    const error = await refusal(target.kernel.load(stream));
    expect([error.code, error.location.section, error.location.path, error.found]).toEqual([
      "ccs-fdt-mismatch",
      "spapr/0",
      `spaprccslist.ccs_list[0].${field}`,
      found,
    ]);
    expect(error.location.offset).toBe(element.byteOffset + word);
    expect(target.drc.connector(pci)).toMatchObject({ state: drcState.PHYSICAL_CONFIGURED, walk: undefined });
    expect(target.drc.pendingEvents()).toEqual([]);
  });

  it("every place but a token's, with its depth, is told", () => {
    const source = machine(ccs);
    source.drc.attach(pci, deepTree(pci), { cold: true });
    const guest = new Guest(source);
    guest.aim(pci);
    const boundaries = new Map<number, number>([[8, 0]]);
    for (let i = 1; i < toldOf(pci).length; i++) {
      guest.configure();
      const walk = source.drc.connector(pci)?.walk;
      boundaries.set(walk?.offset as number, walk?.depth as number);
    }
    expect(boundaries.size).toBe(toldOf(pci).length);
    const snapshot = source.kernel.snapshot();
    const element = elementAt(snapshot);
    const { target } = pair();
    const wrong: unknown[] = [];
    let accepted = 0;
    for (let offset = 0; offset < 260; offset++) {
      // No token begins at an odd byte, so one depth is enough to say so.
      for (const depth of offset % 4 === 0 ? [-1, 0, 1, 2, 3, 4] : [1]) {
        element.setInt32(4, offset);
        element.setInt32(8, depth);
        const isRight = boundaries.get(offset) === depth;
        let code = "loaded";
        try {
          target.kernel.restore(snapshot);
          accepted++;
        } catch (error) {
          code = (error as MigrationError).code;
        }
        if (code !== (isRight ? "loaded" : "ccs-fdt-mismatch")) wrong.push([offset, depth, code]);
      }
    }
    expect(wrong).toEqual([]);
    expect(accepted).toBe(boundaries.size);
  });

  it("a second one of the same tree is refused", async () => {
    const stream = await streamOf();
    const at = elementAt(stream).byteOffset;
    const again = stream.slice(at - 1, at + 12);
    const twice = Uint8Array.from([...stream.subarray(0, at + 12), ...again, ...stream.subarray(at + 12)]);
    const error = await refusal(pair().target.kernel.load(twice));
    expect([error.code, error.location.path]).toEqual(["ccs-fdt-mismatch", "spaprccslist.ccs_list[1].drc_index"]);
  });

  it("a destination that does not know the list says so, and names it", async () => {
    const target = machine();
    target.drc.attach(pci, deepTree(pci), { cold: true });
    const error = await refusal(target.kernel.load(await streamOf()));
    expect([error.code, error.found, error.location.section]).toEqual([
      "SUBSECTION_UNKNOWN",
      "spaprccslist",
      "spapr/0",
    ]);
    expect(target.stateOf(pci)).toBe(drcState.PHYSICAL_CONFIGURED);
  });

  it("a stream without the list loads anywhere: the walk begins anew", async () => {
    for (const knows of [false, true]) {
      const source = machine();
      source.drc.plug(pci, deepTree(pci));
      const before = new Guest(source);
      before.aim(pci);
      before.unisolate(pci);
      before.configure();
      const stream = await saved(source.kernel);
      expect(Buffer.from(stream).includes("spaprccslist\0")).toBe(false);
      const target = machine({ ccs: knows });
      target.drc.attach(pci, deepTree(pci), { cold: true });
      await target.kernel.load(stream);
      expect(new Guest(target).configureAll()).toEqual(toldOf(pci));
    }
  });

  it("an empty list does not travel, so that merged QEMU's destination loads it", async () => {
    const source = machine(ccs);
    source.drc.plug(pci, deepTree(pci));
    const stream = await saved(source.kernel);
    const target = machine();
    target.drc.attach(pci, deepTree(pci), { cold: true });
    await target.kernel.load(stream);
    expect(target.stateOf(pci)).toBe(drcState.PHYSICAL_POWERON);
  });
});

describe("a connector's section", () => {
  it("is refused where nothing is attached, or the state is another kind's", async () => {
    const source = machine(ccs);
    source.drc.plug(pci, deepTree(pci));
    const stream = await saved(source.kernel);
    const empty = await refusal(machine(ccs).kernel.load(stream));
    expect([empty.code, empty.location.section, empty.location.path]).toEqual([
      "DEVICE_CHECK",
      `spapr_drc/${pci}`,
      "state",
    ]);
    const state = (empty.location.offset as number) + 3;
    const { target } = pair();
    const wrong = await refusal(target.kernel.load(stream.with(state, 4)));
    expect([wrong.code, wrong.found, wrong.expected]).toEqual(["DEVICE_CHECK", "4", "5, 6, 7, 8"]);
    const light = Buffer.from(stream.buffer).lastIndexOf("spapr_drc/physical\x40\0\0\x10\0\0\0\x01") + 26;
    const lit = await refusal(target.kernel.load(stream.with(light + 3, 4)));
    expect([lit.code, lit.location.path, lit.found]).toEqual(["DEVICE_CHECK", "dr_indicator", "4"]);
  });

  it("holds on the wire nothing that says of a state that it does not travel", async () => {
    const source = machine(ccs);
    source.drc.plug(pci, deepTree(pci));
    const stream = await saved(source.kernel);
    const text = Buffer.from(stream.buffer);
    for (const [name, field, absent] of [
      ["spapr_drc\x40\0\0\x10\0\0\0\x01", "state", 0],
      ["spapr_drc/physical\x40\0\0\x10\0\0\0\x01", "dr_indicator", 0xffff_ffff],
    ] as const) {
      const at = text.lastIndexOf(name) + name.length;
      const wrong = stream.slice();
      new DataView(wrong.buffer).setUint32(at, absent);
      const error = await refusal(pair().target.kernel.load(wrong));
      expect([error.code, error.location.path, error.location.offset, error.found]).toEqual([
        "FIELD_CHECK",
        field,
        at,
        String(absent),
      ]);
    }
  });

  it("does not travel at rest, and brings back what rests", async () => {
    const { source, target } = pair();
    source.drc.attach(pci, deepTree(pci), { cold: true });
    const stream = Buffer.from(await saved(source.kernel));
    expect(stream.lastIndexOf("spapr_drc\x40\0\0\x10")).toBe(-1);
    const guest = new Guest(target);
    guest.isolate(pci);
    guest.light(pci, 2);
    await target.kernel.load(new Uint8Array(stream));
    expect(target.drc.connector(pci)).toMatchObject({ state: 8, indicator: 1 });
  });
});

describe("capabilities", () => {
  it("must not be more on the source than on the destination", async () => {
    const error = await refusal(machine().kernel.load(await saved(machineWith("capCfpc", 2).kernel)));
    expect([error.code, error.location.path, error.found, error.expected]).toEqual([
      "DEVICE_CHECK",
      "capCfpc.value",
      "2",
      "at most 1",
    ]);
    const target = machineWith("capCfpc", 2);
    await target.kernel.load(await saved(machineWith("capCfpc", 0).kernel));
    // Less is no harm, and the destination keeps what it has.
    expect(Buffer.from(await saved(target.kernel)).includes("spapr/cap/cfpc\0\0\0\x01\x02")).toBe(true);
  });
});

function machineWith(key: "capCfpc", value: number): TestMachine {
  return machine({ platform: plainPlatform({ ...platformState(), [key]: { value } }) });
}

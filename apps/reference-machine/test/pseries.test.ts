// The profile pseries: cards are plugged while the guest works, and the machine moves in the middle of it.
import { isMigrationError, type MigrationError } from "@godwit/core";
import { findVmdesc } from "@godwit/core/stream";
import { drcState, spaprSection, spaprStandard } from "@godwit/spapr-drc-ccs";
import { describe, expect, it } from "vitest";
import { haveGoneOn, reportCards } from "../src/card-evidence.ts";
import type { BootParameters } from "../src/guest/boot-block.ts";
import { type CardStatus, readCardBlocks } from "../src/guest/card-block.ts";
import { readStatusBlock } from "../src/guest/status-block.ts";
import type { ReferenceMachine } from "../src/machine/machine.ts";
import { CARD_STAGE_IN_USE, CARD_STAGE_RELEASED, CARD_STAGE_WALKING, ERROR_DEVICE_TREE } from "../src/memory-map.ts";
import { type CardName, cardNames, cards } from "../src/profiles/cards.ts";
import type { Hotplug } from "../src/profiles/pseries.ts";
import { evidence, runUntil, type SharedHost, sharedHost } from "./shared-host.ts";
import { readByOwnVmdesc, withState } from "./support/own-vmdesc.ts";

const seed = 23;
const make = { profile: "pseries", memoryBytes: 1 << 20 } as const;
const guest: BootParameters = {
  seed,
  useIommu: false,
  dirtyPagesPerSecond: 2000,
  blocksPerSecond: 500,
  maxBlocks: 0,
};

const hotplugOf = (machine: ReferenceMachine): Hotplug => machine.hotplug as Hotplug;
const cardIn = (machine: ReferenceMachine, name: CardName): CardStatus | undefined =>
  readCardBlocks(machine.ram()).find(({ connector }) => connector === cards[name].connector);

/** Throws where the guest reports an error, or does not get there. */
async function until(machine: ReferenceMachine, enough: () => boolean): Promise<void> {
  const endMs = Date.now() + 30_000;
  while (!enough()) {
    const status = readStatusBlock(machine.ram());
    if (status !== undefined && status.errorCount > 0)
      throw new Error(`guest error ${status.errorCode} detail 0x${status.errorDetail.toString(16)}`);
    if (Date.now() > endMs) throw new Error(`the guest is stuck at ${JSON.stringify(readCardBlocks(machine.ram()))}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** A guest at work. */
async function working(host: SharedHost, more = {}): Promise<ReferenceMachine> {
  const machine = host.machine({ ...make, ...more });
  machine.boot(guest);
  machine.kernel.resume();
  await runUntil(machine, 5);
  return machine;
}

/** Card a is returned to firmware, card b's walk has got so far, card c's event waits. */
async function inTheMiddle(host: SharedHost, tokens: number, more = {}): Promise<ReferenceMachine> {
  const machine = await working(host, more);
  const hotplug = hotplugOf(machine);
  hotplug.plug("a");
  await until(machine, () => cardIn(machine, "a")?.stage === CARD_STAGE_IN_USE);
  hotplug.ready("b", tokens);
  hotplug.plug("b");
  await until(machine, () => stands(machine, tokens));
  hotplug.plug("c");
  return machine;
}

/** Firmware has said that it is busy since the guest had this many tokens. */
function stands(machine: ReferenceMachine, tokens: number): boolean {
  const b = cardIn(machine, "b");
  return (
    b?.stage === CARD_STAGE_WALKING &&
    b.tokens === tokens &&
    b.busy > tokens &&
    cardIn(machine, "a")?.stage === CARD_STAGE_RELEASED
  );
}

async function stop(machine: ReferenceMachine): Promise<void> {
  await machine.kernel.quiesce();
  machine.kernel.pause();
}

/** The machine stands before and after. */
async function streamOf(machine: ReferenceMachine): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of machine.kernel.save()) chunks.push(chunk.slice());
  return new Uint8Array(Buffer.concat(chunks));
}

async function refusal(work: Promise<unknown>): Promise<MigrationError> {
  try {
    await work;
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("was not refused");
}

/** Lets the guest go on until every card has been configured and used here, and stops it. */
async function goOn(machine: ReferenceMachine): Promise<void> {
  const before = readCardBlocks(machine.ram());
  machine.kernel.resume();
  await until(machine, () => haveGoneOn(reportCards(before, readCardBlocks(machine.ram()))));
  await stop(machine);
}

describe("a pseries machine", () => {
  it("is cut at every token of a walk, with an event pending and a card returned to firmware; all go on", async () => {
    const host = sharedHost(seed);
    const source = await inTheMiddle(host, 0);
    const { tokens } = cards.b.figures;
    expect(tokens).toBe(36);
    for (let cut = 0; cut < tokens; cut++) {
      await until(source, () => stands(source, cut));
      await stop(source);
      expect(evidence(host, source, seed).clean).toBe(true);
      const stream = await streamOf(source);
      const there = host.fork();

      const target = there.machine({ ...make, present: cardNames });
      const { notes } = await target.kernel.load(stream);
      expect(notes).toEqual([]);
      const hotplug = hotplugOf(target);
      expect(hotplug.pendingEvents()).toBe(1);
      expect(cardNames.map((name) => hotplug.connector(name)?.state)).toEqual([
        drcState.PHYSICAL_POWERON,
        drcState.PHYSICAL_UNISOLATE,
        drcState.PHYSICAL_POWERON,
      ]);
      const walk = hotplug.connector("b")?.walk;
      expect(walk === undefined).toBe(cut === 0);
      const before = readCardBlocks(target.ram());
      expect(before.map(({ stage }) => stage)).toEqual([CARD_STAGE_RELEASED, CARD_STAGE_WALKING]);
      expect(before[1]).toMatchObject({ tokens: cut, walks: 0, packetsCompleted: 0 });
      await goOn(target);
      const { clean, verdicts, status } = evidence(there, target, seed);
      expect({ cut, clean, errors: status.errorCount }).toEqual({ cut, clean: true, errors: 0 });
      expect(verdicts).toMatchObject({ trees: { missing: [], repeated: [] } });
      for (const name of cardNames) {
        const { nodes, properties, checksum } = cards[name].figures;
        expect(cardIn(target, name)).toMatchObject({ events: 1, slot: cards[name].devfn, nodes, properties, checksum });
      }
      // Meanwhile the source stood: what it does from here on, this host alone sees.
      hotplugOf(source).ready("b", 1);
      source.kernel.resume();
    }
    // Having been looked at so often, the source comes to the tree's end as well.
    hotplugOf(source).ready("b", undefined);
    await goOn(source);
    expect(evidence(host, source, seed)).toMatchObject({ clean: true, status: { errorCount: 0 } });
  }, 180_000);

  it("moves again and again while cards come, go to firmware and come back", async () => {
    const host = sharedHost(seed);
    let from = await inTheMiddle(host, 11);
    for (let hop = 0; hop < 4; hop++) {
      await stop(from);
      const target = host.machine({ ...make, present: cardNames });
      await target.kernel.load(await streamOf(from));
      expect(Buffer.compare(target.ram(), from.ram())).toBe(0);
      await goOn(target);
      expect(evidence(host, target, seed)).toMatchObject({ clean: true, status: { errorCount: 0 } });
      target.kernel.resume();
      from = target;
    }
    await stop(from);
    expect(readCardBlocks(from.ram()).every(({ releases }) => releases > 2)).toBe(true);
  }, 60_000);

  it("is refused by a destination that does not know walks, which it names; the guest goes on at the source", async () => {
    const host = sharedHost(seed);
    const source = await inTheMiddle(host, 7);
    await stop(source);
    const stream = await streamOf(source);
    const target = host.machine({ ...make, present: cardNames, walksTravel: false });
    const untouched = target.kernel.snapshot();
    const error = await refusal(target.kernel.load(stream));
    expect(error).toMatchObject({ code: "SUBSECTION_UNKNOWN", location: { section: "spapr/0" } });
    expect(error.message).toContain("spaprccslist");
    expect(Buffer.compare(target.kernel.snapshot(), untouched)).toBe(0);
    hotplugOf(source).ready("b", undefined);
    await goOn(source);
    expect(evidence(host, source, seed)).toMatchObject({ clean: true, status: { errorCount: 0 } });
  }, 60_000);

  it("is refused where the card whose tree is walked is not in its slot", async () => {
    const host = sharedHost(seed);
    const source = await inTheMiddle(host, 7);
    await stop(source);
    const stream = await streamOf(source);
    const target = host.machine({ ...make, present: ["a", "c"] });
    const untouched = target.kernel.snapshot();
    const error = await refusal(target.kernel.load(stream));
    const section = `0000:${cards.b.slot}/virtio-net/0`;
    expect(error).toMatchObject({ code: "SECTION_UNKNOWN", location: { section } });
    expect(Buffer.compare(target.kernel.snapshot(), untouched)).toBe(0);
  }, 60_000);

  it.each(["fdt_offset", "fdt_depth"] as const)(
    "is refused where a walk cannot go on: %s",
    async (field) => {
      const host = sharedHost(seed);
      const source = await inTheMiddle(host, 7);
      await stop(source);
      const stream = await streamOf(source);
      const spapr = spaprSection({ ...spaprStandard, ccs: true });
      const moved = withState(stream, "spapr", spapr, (state) => {
        const [walk] = state.spaprccslist?.ccs_list ?? [];
        if (walk === undefined) throw new Error("no walk");
        return { ...state, spaprccslist: { ccs_list: [{ ...walk, [field]: walk[field] + 1 }] } };
      });
      const target = host.machine({ ...make, present: cardNames });
      const untouched = target.kernel.snapshot();
      expect(await refusal(target.kernel.load(moved))).toMatchObject({
        code: "ccs-fdt-mismatch",
        location: { section: "spapr/0", path: `spaprccslist.ccs_list[0].${field}` },
      });
      expect(Buffer.compare(target.kernel.snapshot(), untouched)).toBe(0);
      // It was the stream: the one that was not touched loads into the very same machine.
      await target.kernel.load(stream);
      await goOn(target);
      expect(evidence(host, target, seed)).toMatchObject({ clean: true, status: { errorCount: 0 } });
    },
    60_000,
  );

  it("would notice a walk that did not travel: the canary", async () => {
    const host = sharedHost(seed);
    const source = await inTheMiddle(host, 7, { walksTravel: false });
    await stop(source);
    const target = host.machine({ ...make, present: cardNames, walksTravel: false });
    await target.kernel.load(await streamOf(source));
    target.kernel.resume();
    await expect(until(target, () => (cardIn(target, "b")?.walks ?? 0) > 0)).rejects.toThrow(
      `guest error ${ERROR_DEVICE_TREE} detail 0x${cards.b.connector.toString(16)}`,
    );
    await stop(target);
    const { clean, verdicts } = evidence(host, target, seed);
    expect(clean).toBe(false);
    expect(verdicts.trees?.torn.map(({ number }) => number)).toEqual([cards.b.connector]);
  }, 60_000);

  it("writes a stream in which a reader finds every section by nothing but the stream's own description", async () => {
    const source = await inTheMiddle(sharedHost(seed), 20);
    await stop(source);
    const stream = await streamOf(source);
    const { sections, described } = readByOwnVmdesc(stream);
    const found = sections.map(({ idstr }) => idstr);
    expect(sections.map(({ delimitedBy }) => delimitedBy)).toEqual(found.map(() => "vmdesc"));
    expect(described.map(({ name }) => name)).toEqual(found);
    expect(found).toEqual([
      "timer",
      "riscv-hart",
      "godwit-irqchip",
      "riscv-mtimer",
      "0000:00:02.0/virtio-blk",
      "0000:00:03.0/virtio-net",
      ...cardNames.flatMap(() => ["spapr_drc", "spapr_drc/physical"]),
      "spapr",
      ...cardNames.map((name) => `0000:${cards[name].slot}/virtio-net`),
    ]);
    const vmdesc = findVmdesc(stream)?.vmdesc;
    const spapr = vmdesc?.devices.find(({ name }) => name === "spapr");
    const names = (spapr?.subsections ?? []).map(({ vmsd_name }) => vmsd_name);
    expect(names).toEqual(expect.arrayContaining(["spapr_pending_events", "spaprccslist"]));
  }, 60_000);
});

// The devices beside disk and network card, all at work while the machine moves, and what would be noticed if one had not.
import { decodeState } from "@godwit/core";
import { StreamReader } from "@godwit/core/stream";
import { vtd } from "@godwit/iommu-vtd";
import { ramWalker } from "@godwit/ram-dirty-tracker";
import { type VfioSection, vfioWalker } from "@godwit/vfio-config-subflag";
import { describe, expect, it } from "vitest";
import { isClean } from "../src/evidence.ts";
import type { BootParameters } from "../src/guest/boot-block.ts";
import { type GuestStatus, readStatusBlock } from "../src/guest/status-block.ts";
import type { HostWork } from "../src/host/host-work.ts";
import type { ReferenceMachine } from "../src/machine/machine.ts";
import { ERROR_LOST_INTERRUPT, ERROR_SCSI_DATA, ERROR_VTD_FAULT, PAGE_BYTES, RAM_BASE } from "../src/memory-map.ts";
import { checkJobs, checkLines, expectedLine, expectedPiece, LINE_BYTES } from "../src/peripheral-evidence.ts";
import type { Peripherals } from "../src/profiles/peripherals.ts";
import { evidence, runUntil, type SharedHost, sharedHost } from "./shared-host.ts";

const guest: BootParameters = {
  seed: 0x1234_5678,
  useIommu: true,
  dirtyPagesPerSecond: 5_000,
  blocksPerSecond: 0,
  maxBlocks: 0,
};

function statusOf(machine: ReferenceMachine): GuestStatus {
  const status = readStatusBlock(machine.ram());
  if (status === undefined) throw new Error("the guest has not begun");
  return status;
}

function peripheralsOf(machine: ReferenceMachine): Required<Peripherals> {
  const { peripherals } = machine;
  if (peripherals?.accelerator === undefined) throw new Error("no accelerator");
  return { ...peripherals, accelerator: peripherals.accelerator };
}

async function waitUntil(what: string, holds: () => boolean): Promise<void> {
  const until = Date.now() + 30_000;
  while (!holds()) {
    if (Date.now() > until) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A request of the balloon is under way. */
function hasAsked(machine: ReferenceMachine): Promise<void> {
  return waitUntil("a request", () => statusOf(machine).balloonGiven !== statusOf(machine).balloonActual);
}

/** Every device has done so much more than `before`. */
function haveAllWorked(before: GuestStatus, after: GuestStatus, least: number): boolean {
  const counts = ["draws", "linesCompleted", "linesTaken", "scsiCompleted", "jobsCompleted", "balloonReturns"] as const;
  return counts.every((name) => after[name] >= before[name] + least);
}

async function workedOn(machine: ReferenceMachine, before: GuestStatus, least: number): Promise<void> {
  await waitUntil("all devices at work", () => {
    const status = statusOf(machine);
    if (status.errorCount > 0) throw new Error(`guest error ${status.errorCode} detail ${status.errorDetail}`);
    return haveAllWorked(before, status, least);
  });
}

async function booted(
  host: SharedHost,
  more: Parameters<SharedHost["machine"]>[0] = {},
  parameters: Partial<BootParameters> = {},
): Promise<{ machine: ReferenceMachine; work: HostWork }> {
  const machine = host.machine(more);
  machine.boot({ ...guest, ...parameters });
  machine.kernel.resume();
  await runUntil(machine, 1);
  const work = host.work(machine);
  work.start();
  return { machine, work };
}

/** Sends a running machine in rounds, and loads it into another. Nothing is said between its standing and its end. */
async function move(source: ReferenceMachine, target: ReferenceMachine, justBefore: () => Promise<void>) {
  const attempt = source.kernel.outgoing();
  const incoming = target.kernel.incoming();
  const push = (chunks: Iterable<Uint8Array>) => {
    for (const chunk of chunks) incoming.push(chunk.slice());
  };
  const phases: string[] = [];
  let completed = false;
  try {
    push(attempt.setup());
    for (let round = 0; round < 3; round++) {
      attempt.pending(true);
      for (const chunk of attempt.iterate(512 * 1024)) {
        incoming.push(chunk.slice());
        // The guest goes on between two chunks.
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    await source.kernel.quiesce();
    await justBefore();
    source.kernel.pause();
    push(attempt.complete());
    completed = true;
  } finally {
    attempt.end(completed);
  }
  for (const { idstr, phase } of attempt.sections) if (idstr.endsWith("/vfio")) phases.push(phase);
  incoming.end();
  await incoming.prepare();
  const report = await incoming.commit();
  return { report, phases };
}

/** The host asks for nothing more, and all that it has asked for is done. */
async function settled(machine: ReferenceMachine, work: HostWork): Promise<void> {
  work.finish();
  await waitUntil("what the host asked for", () => work.isSettled());
  work.stop();
  await machine.kernel.quiesce();
  machine.kernel.pause();
}

describe("all devices of q35", () => {
  it.each([true, false])("move three times under load, evidence whole (IOMMU: %s)", async (useIommu) => {
    const host = sharedHost(guest.seed);
    let { machine, work } = await booted(host, {}, { useIommu });
    await workedOn(machine, { ...statusOf(machine) }, 5);
    for (let hop = 0; hop < 3; hop++) {
      const target = host.machine();
      // Wanted when nothing is served any more: the guest hears of it, and its request is under way when the machine stands.
      const { phases } = await move(machine, target, () => {
        work.changeTarget();
        return hasAsked(machine);
      });
      work.stop();
      // Configuration space and pages of device memory travel while the device works.
      expect(phases[0]).toBe("start");
      expect(phases).toContain("part");
      expect(phases.slice(-2)).toEqual(["end", "full"]);
      const before = statusOf(target);
      const arrived = evidence(host, target, guest.seed);
      // Of what the guest has been sent, some may wait in its rings.
      for (const [what, verdict] of Object.entries(arrived.verdicts)) {
        if (what !== "linesIn") expect([what, isClean(verdict)]).toEqual([what, true]);
      }
      const { accelerator, balloon } = peripheralsOf(target);
      expect(Number(accelerator.jobs)).toBe(before.jobsSubmitted);
      expect(balloon.target).toBe(peripheralsOf(machine).balloon.target);
      target.kernel.resume();
      machine = target;
      work = host.work(target);
      work.start();
      await workedOn(target, before, 5);
    }
    await settled(machine, work);
    const { clean, status, verdicts } = evidence(host, machine, guest.seed);
    expect({ verdicts, clean, errors: status.errorCount }).toMatchObject({ clean: true, errors: 0 });
    expect(status.interruptsRemapped).toBe(useIommu);
    const { balloon } = peripheralsOf(machine);
    expect([status.balloonActual, status.balloonGiven, status.balloonTarget]).toEqual(
      new Array(3).fill(balloon.target),
    );
    expect(balloon.actual).toBe(balloon.target);
    expect(verdicts.balloon?.intact).toBe(status.balloonPages);
    // A piece that came for a machine that had gone is nobody's, one a move at most; in the end one is held, and two may lie
    // in the ring. All others were drawn, once each.
    expect(host.pieces.length - status.draws).toBeLessThanOrEqual(6);
    expect(host.serialIn).toBeGreaterThanOrEqual(20 * LINE_BYTES);
  });

  it("answers a request of the balloon, and one for entropy, that wait when the machine stands", async () => {
    const host = sharedHost(guest.seed);
    const { machine, work } = await booted(host);
    await workedOn(machine, statusOf(machine), 1);
    work.stop();
    const { balloon } = peripheralsOf(machine);
    await waitUntil("no request", () => balloon.actual === balloon.target);
    const target = host.machine();
    const pieces = host.pieces.length;
    await move(machine, target, () => {
      balloon.setTarget(balloon.target > 20 ? 0 : 40);
      return hasAsked(machine);
    });
    const before = statusOf(target);
    expect(before.balloonGiven).toBeGreaterThan(before.balloonActual);
    expect(before.balloonTarget).toBe(balloon.target);
    expect(isClean(evidence(host, target, guest.seed).verdicts.balloon ?? neverClean)).toBe(true);
    target.kernel.resume();
    const on = host.work(target);
    await waitUntil("the request's end", () => on.isSettled());
    await waitUntil("more entropy", () => statusOf(target).draws > before.draws + 10);
    await target.kernel.quiesce();
    target.kernel.pause();
    const { status, clean } = evidence(host, target, guest.seed);
    expect({ clean, errors: status.errorCount }).toEqual({ clean: true, errors: 0 });
    expect(status.balloonActual).toBe(balloon.target);
    expect(host.pieces.length).toBeGreaterThan(pieces);
  });

  it("tears no line of which the host has taken a part", async () => {
    const host = sharedHost(guest.seed);
    const { machine } = await booted(host);
    const isWithinLine = () => host.serialOut.length % LINE_BYTES !== 0;
    await waitUntil("half a line", () => host.serialOut.length > 10 * LINE_BYTES && isWithinLine());
    machine.kernel.pause();
    await machine.kernel.quiesce();
    expect(isWithinLine()).toBe(true);
    const target = host.machine();
    await target.kernel.load(machine.kernel.snapshot());
    const before = statusOf(target);
    target.kernel.resume();
    await waitUntil("more lines", () => statusOf(target).linesCompleted > before.linesCompleted + 10);
    await target.kernel.quiesce();
    target.kernel.pause();
    expect(evidence(host, target, guest.seed)).toMatchObject({ clean: true, status: { errorCount: 0 } });
  });

  it("does a job that the guest's first instructions here order", async () => {
    const host = sharedHost(guest.seed);
    const { machine, work } = await booted(host);
    await waitUntil("jobs", () => statusOf(machine).jobsCompleted > 2);
    work.stop();
    await machine.kernel.quiesce();
    machine.kernel.pause();
    // A few instructions at a time, until the job is on its way and its order is not.
    const steps = host.machine({ sliceSteps: 3 });
    await steps.kernel.load(await savedBy(machine));
    steps.kernel.resume();
    const { accelerator } = peripheralsOf(steps);
    await waitUntil("an order", () => Number(accelerator.jobs) < statusOf(steps).jobsSubmitted);
    steps.kernel.pause();
    await steps.kernel.quiesce();
    const target = host.machine();
    await target.kernel.load(await savedBy(steps));
    const before = statusOf(target);
    expect(Number(peripheralsOf(target).accelerator.jobs)).toBe(before.jobsSubmitted - 1);
    target.kernel.resume();
    await waitUntil("more jobs", () => statusOf(target).jobsCompleted > before.jobsSubmitted + 2);
    await target.kernel.quiesce();
    target.kernel.pause();
    expect(evidence(host, target, guest.seed)).toMatchObject({ clean: true, status: { errorCount: 0 } });
  });

  it("finishes what it was given to do", async () => {
    const host = sharedHost(guest.seed);
    const { machine, work } = await booted(host, {}, { maxBlocks: 40 });
    await waitUntil("the end", () => host.console.includes("godwit guest: finished"));
    work.stop();
    machine.kernel.pause();
    expect(statusOf(machine)).toMatchObject({
      blocksCompleted: 40,
      linesCompleted: 10,
      scsiCompleted: 10,
      jobsCompleted: 10,
    });
  });
});

const neverClean = { intact: 0, missing: [0], repeated: [], torn: [], unexpected: [] };

/** A machine that has worked for a while, and stands. */
async function standing(host: SharedHost, more: Parameters<SharedHost["machine"]>[0] = {}) {
  const { machine, work } = await booted(host, more);
  await workedOn(machine, statusOf(machine), 4);
  await settled(machine, work);
  return machine;
}

describe("the evidence would show", () => {
  it("a line that is lost, repeated, torn or made up", async () => {
    const host = sharedHost(guest.seed);
    const machine = await standing(host);
    const { linesCompleted: completed, linesSubmitted: submitted } = statusOf(machine);
    const bytes = Uint8Array.from(host.serialOut);
    const check = (changed: ArrayLike<number>) =>
      checkLines(Uint8Array.from(changed), guest.seed, { completed, submitted });
    const without = (from: number, to: number) => [...bytes.subarray(0, from), ...bytes.subarray(to)];
    expect(isClean(check(bytes))).toBe(true);
    expect(check(without(2 * LINE_BYTES, 3 * LINE_BYTES))).toMatchObject({ missing: [3], torn: [], repeated: [] });
    expect(check(bytes.subarray(0, (completed - 1) * LINE_BYTES))).toMatchObject({ missing: [completed] });
    expect(check([...bytes.subarray(0, 2 * LINE_BYTES), ...bytes.subarray(LINE_BYTES)])).toMatchObject({
      missing: [],
      torn: [],
      repeated: [2],
    });
    expect(check(without(70, 71))).toMatchObject({ missing: [], repeated: [], torn: [{ number: 3 }] });
    // Two halves of two lines, as when the second half was lost with one process and the first with the other.
    expect(check(without(47, 47 + LINE_BYTES)).torn.length).toBe(1);
    const more = expectedLine("guest", submitted + 1, guest.seed);
    const all = Array.from({ length: submitted }, (_, i) => [...expectedLine("guest", i + 1, guest.seed)]).flat();
    expect(check([...all, ...more])).toMatchObject({ unexpected: [submitted + 1] });
    expect(check([...all, ...more.subarray(0, 5)])).toMatchObject({ unexpected: [submitted + 1] });
    expect(check([...all, 0x41])).toMatchObject({ torn: [{ reason: "beginning" }] });
  });

  it.each([
    ["a line of the host that is lost", (n: number) => expectedLine("host", n + 2, guest.seed), "missing"],
    ["one that is repeated", (n: number) => expectedLine("host", n, guest.seed), "repeated"],
    ["one that is torn", (n: number) => expectedLine("host", n + 1, guest.seed ^ 1), "torn"],
    [
      "half a one",
      (n: number) => Uint8Array.of(...expectedLine("host", n + 1, guest.seed).subarray(0, 20), 10),
      "torn",
    ],
  ] as const)("%s", async (_, line, what) => {
    const host = sharedHost(guest.seed);
    const { machine, work } = await booted(host);
    await waitUntil("a line", () => statusOf(machine).linesTaken > 0);
    work.finish();
    await waitUntil("the last of them", () => work.isSettled());
    const { linesTaken } = statusOf(machine);
    expect(peripheralsOf(machine).serial.send(line(linesTaken))).toBeGreaterThan(LINE_BYTES / 2);
    const found = () => evidence(host, machine, guest.seed).verdicts.linesIn ?? neverClean;
    await waitUntil("the guest to notice", () => found()[what].length > 0);
    work.stop();
    machine.kernel.pause();
  });

  it("a piece of entropy that is drawn twice, and one that is torn", async () => {
    const host = sharedHost(guest.seed);
    let handedOut = 0;
    const entropy = {
      async read() {
        await new Promise((resolve) => setTimeout(resolve, 1));
        const number = ++handedOut;
        const piece = expectedPiece(number === 8 ? 7 : number, guest.seed);
        if (number === 11) piece[5] = 0x55;
        return piece;
      },
    };
    const { machine, work } = await booted(host, { entropy });
    await waitUntil("pieces", () => statusOf(machine).drawsLastNumber >= 20);
    work.stop();
    machine.kernel.pause();
    host.pieces.push(...Array.from({ length: handedOut }, (_, i) => i + 1));
    const { draws } = evidence(host, machine, guest.seed).verdicts;
    expect(draws?.repeated.length).toBe(1);
    expect(draws?.torn.length).toBe(1);
    host.pieces.length = 3;
    expect(evidence(host, machine, guest.seed).verdicts.draws?.unexpected.length).toBe(1);
  });

  it("a SCSI block in the wrong place, to the host and to the guest", async () => {
    const host = sharedHost(guest.seed);
    const machine = await standing(host);
    const whole = evidence(host, machine, guest.seed);
    expect(whole.clean).toBe(true);
    host.scsiImage.copyWithin(512, 0, 512);
    expect(evidence(host, machine, guest.seed).verdicts.scsiDisk).toMatchObject({ missing: [2], repeated: [1] });
    host.scsiImage.set(host.image.subarray(512, 1024), 512);
    expect(evidence(host, machine, guest.seed).verdicts.scsiDisk?.torn).toMatchObject([{ at: 1, reason: "seed" }]);

    const image = new Uint8Array(1 << 16);
    const scsiDisk = {
      sizeBytes: image.length,
      read: (sector: number, into: Uint8Array) => into.set(image.subarray(512 * sector, 512 * sector + into.length)),
      write: (sector: number, bytes: Uint8Array) => image.set(bytes, 512 * (sector === 3 ? 4 : sector)),
      flush: () => {},
    };
    const other = sharedHost(guest.seed);
    const { machine: wrong, work } = await booted(other, { scsiDisk });
    await waitUntil("an error", () => statusOf(wrong).errorCount > 0);
    work.stop();
    wrong.kernel.pause();
    expect(statusOf(wrong)).toMatchObject({ errorCode: ERROR_SCSI_DATA, errorDetail: 4 });
  });

  it("a page that was given up and not discarded, and one that came back spoiled", async () => {
    const host = sharedHost(guest.seed);
    const { machine, work } = await booted(host);
    work.stop();
    const { balloon } = peripheralsOf(machine);
    balloon.setTarget(10);
    await waitUntil("ten pages", () => balloon.actual === 10 && statusOf(machine).balloonGiven === 10);
    await machine.kernel.quiesce();
    machine.kernel.pause();
    const verdict = () => evidence(host, machine, guest.seed).verdicts.balloon ?? neverClean;
    expect(isClean(verdict())).toBe(true);
    const { balloonOffset } = statusOf(machine);
    machine.ram()[balloonOffset + 3 * PAGE_BYTES + 77] = 1;
    expect(verdict()).toMatchObject({ missing: [3], torn: [] });
    machine.ram().fill(0, balloonOffset + 12 * PAGE_BYTES, balloonOffset + 13 * PAGE_BYTES);
    expect(verdict()).toMatchObject({ missing: [3], torn: [{ at: 12, reason: "blank" }] });
  });

  it("a job that is lost, repeated or wrong, and a page of device memory that did not come", async () => {
    const host = sharedHost(guest.seed);
    const machine = await standing(host);
    const status = statusOf(machine);
    const { accelerator } = peripheralsOf(machine);
    const { jobs, checksum } = accelerator;
    const view = (more: object) => ({ jobs, checksum, memory: () => accelerator.memory().slice(), ...more });
    expect(isClean(checkJobs(view({}), status))).toBe(true);
    const { jobsCompleted: done, jobsSubmitted: ordered } = status;
    expect(checkJobs(view({ jobs: BigInt(done) - 1n }), status).missing).toEqual([done]);
    expect(checkJobs(view({ jobs: BigInt(ordered) + 1n }), status).repeated).toEqual([ordered + 1]);
    expect(checkJobs(view({ checksum: checksum ^ 1 }), status).torn).toMatchObject([{ reason: "checksum" }]);
    const memory = accelerator.memory().slice();
    memory[7 * 1024 + 5] = (memory[7 * 1024 + 5] as number) ^ 0x80;
    expect(checkJobs(view({ memory: () => memory }), status).torn).toMatchObject([{ at: 7, reason: "device memory" }]);
    expect(checkJobs(view({}), { ...status, jobsWrong: 2 }).torn.length).toBe(2);
  });
});

async function savedBy(machine: ReferenceMachine): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of machine.kernel.save()) chunks.push(chunk.slice());
  return new Uint8Array(Buffer.concat(chunks));
}

/** With what the stream says of itself, and the two walkers of what no vmdesc describes. */
function readPlainly(stream: Uint8Array) {
  const [memory, vfio] = [ramWalker(), vfioWalker()];
  const reader = new StreamReader({
    open: ({ idstr, version }, phase, previous) => {
      if (idstr.endsWith("/vfio")) return vfio.decoder(phase, version, previous as VfioSection | undefined);
      if (idstr !== "ram" || phase === "full") return undefined;
      return memory.decoder(phase, previous as Parameters<typeof memory.decoder>[1]);
    },
  });
  return [...reader.push(stream), ...reader.end()];
}

describe("interrupt remapping", () => {
  it("is what interrupts go through: entries of the guest's own table, each for its device", async () => {
    const host = sharedHost(guest.seed);
    const { machine, work } = await booted(host);
    await workedOn(machine, statusOf(machine), 2);
    work.stop();
    await machine.kernel.quiesce();
    machine.kernel.pause();
    const stream = await savedBy(machine);
    const section = readPlainly(stream).find((event) => event.type === "section" && event.head.idstr === "iommu-intel");
    const state = decodeState(vtd, (section as { value: unknown } | undefined)?.value as Uint8Array);
    expect(state).toMatchObject({ intr_enabled: true, intr_size: 256, qi_enabled: true });
    expect(state.iq_head).toBe(state.iq_tail);
    const table = Number(state.intr_root) - RAM_BASE;
    const entry = (ram: Uint8Array, irq: number) => new DataView(ram.buffer, ram.byteOffset + table + 16 * irq, 16);
    const word = (irq: number, index: number) => entry(machine.ram(), irq).getUint32(4 * index, true);
    // The disk's queue: irq 2, function 00:02.0; the accelerator: irq 28, function 00:08.0.
    expect([word(2, 0), word(2, 1), word(2, 2), word(2, 3)]).toEqual([0x0022_0001, 0, 0x4_0010, 0]);
    expect([word(28, 0), word(28, 2)]).toEqual([0x003c_0001, 0x4_0040]);

    // Nothing is cached where the machine arrives: without its entry, the accelerator cannot interrupt there.
    const target = host.machine();
    await target.kernel.load(stream);
    entry(target.ram(), 28).setUint32(0, 0, true);
    target.kernel.resume();
    await waitUntil("an error", () => statusOf(target).errorCount > 0);
    target.kernel.pause();
    // Function and reason, the entry is not present; or the guest has missed the interrupt before it saw the fault.
    const { errorCode, errorDetail } = statusOf(target);
    expect([
      [ERROR_VTD_FAULT, 0x4022],
      [ERROR_LOST_INTERRUPT, 28],
    ]).toContainEqual([errorCode, errorDetail]);
  });
});

describe("a plain reader of vmdesc", () => {
  it("finds every section of the stream, with no description but the stream's own", async () => {
    const host = sharedHost(guest.seed);
    const machine = await standing(host);
    const events = readPlainly(await savedBy(machine));
    const sections = events.flatMap((event) => (event.type === "section" ? [event] : []));
    const full = sections.filter(({ phase }) => phase === "full");
    const described = events.flatMap((event) => (event.type === "vmdesc" ? event.vmdesc.devices : []));
    expect(described.map(({ name }) => name)).toEqual(full.map(({ head }) => head.idstr));
    expect(full.length).toBe(13);
    for (const { head, delimitedBy } of full) {
      expect([head.idstr, delimitedBy]).toEqual([head.idstr, head.idstr.endsWith("/vfio") ? "description" : "vmdesc"]);
    }
    // The proposal's order: configuration space ahead of the data, interrupts enabled by the record.
    const records = sections.filter(({ head }) => head.idstr === "0000:00:08.0/vfio");
    expect(records.map(({ phase }) => phase)).toEqual(["start", "end", "full"]);
  });
});

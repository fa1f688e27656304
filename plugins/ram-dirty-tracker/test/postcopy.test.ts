// Post-copy of RAM: what is discarded, requested, trapped, placed once, and taken up again after a lost connection.
import { type OutgoingAttempt, Writer } from "@godwit/core";
import { multifdSender } from "@godwit/ram-dirty-tracker";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { inflateRaw } from "./support/codecs.ts";
import { command, discardOf, discardPayload, type PostcopyMachine, postcopyMachine } from "./support/postcopy.ts";
import { page, pattern } from "./support/rig.ts";

const none = new Uint8Array(0);
const listen = { command: command.listen, payload: none };
const run = { command: command.run, payload: none };

function fill({ blocks }: PostcopyMachine, seed: number, pages: Iterable<number>): void {
  for (const at of pages) blocks[0]?.write(at * page, pattern(seed + at));
}

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

/** A source whose machine stands, behind the package; what it sent so far. */
function switched(
  source: PostcopyMachine,
  dirtied: readonly number[],
): { attempt: OutgoingAttempt; sent: Uint8Array[] } {
  const attempt = source.kernel.outgoing();
  const sent = [...attempt.setup(), ...attempt.iterate(2 ** 24)];
  fill(source, 100, dirtied);
  sent.push(...attempt.switchOver());
  for (const { idstr, ranges } of source.offer.postcopySource.discards()) {
    sent.push(attempt.command({ command: command.discard, payload: discardPayload(idstr, ranges) }));
  }
  sent.push(attempt.package([listen], [run]));
  return { attempt, sent };
}

interface Target extends PostcopyMachine {
  readonly attempt: ReturnType<PostcopyMachine["kernel"]["incoming"]>;
  readonly told: [string, number, number][];
}

function receiving(machine = postcopyMachine()): Target {
  const told: [string, number, number][] = [];
  let nowMs = 0;
  const attempt = machine.kernel.incoming({
    onCommand({ command: number, payload }) {
      const { postcopyDestination } = machine.offer;
      if (number === command.discard) {
        const { idstr, ranges } = discardOf(payload);
        postcopyDestination.discard(idstr, ranges);
      } else if (number === command.listen) {
        postcopyDestination.listen(
          (...place) => told.push(place),
          () => nowMs++,
        );
      }
    },
  });
  return { ...machine, attempt, told };
}

async function running(source: PostcopyMachine, dirtied: readonly number[], machine = postcopyMachine()) {
  const { attempt, sent } = switched(source, dirtied);
  const target = receiving(machine);
  for (const chunk of sent) target.attempt.push(chunk);
  await target.attempt.prepare();
  await target.attempt.commit();
  return { outgoing: attempt, target };
}

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return "nothing thrown";
}

function thrownBy(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return error;
  }
}

const same = (a: PostcopyMachine, b: PostcopyMachine): boolean =>
  a.blocks.every(({ memory }, at) => Buffer.compare(memory(), b.blocks[at]?.memory() as Uint8Array) === 0);

describe("what is discarded", () => {
  it("is what went before and is dirty again, and what has not gone, in whole ranges", () => {
    const source = postcopyMachine();
    fill(source, 0, numbers(0, 64));
    const attempt = source.kernel.outgoing();
    const sent = [...attempt.setup(), ...attempt.iterate(20 * page)];
    const went = source.offer.statistics().sent?.normalPages as number;
    expect(went).toBeGreaterThan(10);
    fill(source, 100, [1, 2, 3, 5, went - 1, went]);
    expect(sent.length).toBeGreaterThan(0);
    expect([...attempt.switchOver()]).toEqual([]);
    const [ram, ...others] = [...source.offer.postcopySource.discards()];
    const blockBytes = source.offer.blocks.map(({ length }) => length);
    expect(ram).toEqual({
      idstr: "mach.ram",
      ranges: [
        { start: page, length: 3 * page },
        { start: 5 * page, length: page },
        // What has not gone: the other side may have content of its own there, as a QEMU has in its ROMs.
        { start: (went - 1) * page, length: (blockBytes[0] as number) - (went - 1) * page },
      ],
    });
    expect(others.map(({ ranges }) => ranges)).toEqual(blockBytes.slice(1).map((length) => [{ start: 0, length }]));
    expect(codeOf(() => [...source.offer.postcopySource.discards()])).toBe("RAM_ORDER");
    attempt.end(false);
  });

  it("is not there any more, though it was sent, and a zero page behind it is zero", async () => {
    const source = postcopyMachine();
    fill(source, 0, numbers(0, 64));
    const attempt = source.kernel.outgoing();
    const target = receiving();
    for (const chunk of [...attempt.setup(), ...attempt.iterate(2 ** 24)]) target.attempt.push(chunk);
    source.blocks[0]?.write(7 * page, new Uint8Array(page));
    for (const chunk of attempt.switchOver()) target.attempt.push(chunk);
    for (const { idstr, ranges } of source.offer.postcopySource.discards()) {
      target.attempt.push(attempt.command({ command: command.discard, payload: discardPayload(idstr, ranges) }));
    }
    target.attempt.push(attempt.package([listen], [run]));
    expect(target.offer.postcopyDestination.missingPages).toBe(1);
    for (const chunk of attempt.finish()) target.attempt.push(chunk);
    target.attempt.end();
    await target.attempt.prepare();
    await target.attempt.commit();
    expect(
      target.blocks[0]
        ?.memory()
        .subarray(7 * page, 8 * page)
        .every((byte) => byte === 0),
    ).toBe(true);
    expect(same(source, target)).toBe(true);
  });

  it("is of whole pages of a block that is here, before LISTEN", async () => {
    const source = postcopyMachine();
    const { target } = await running(source, [3]);
    const { postcopyDestination } = target.offer;
    expect(codeOf(() => postcopyDestination.discard("mach.ram", [{ start: 0, length: page }]))).toBe("RAM_ORDER");
    const other = receiving();
    for (const chunk of switchedChunks()) other.attempt.push(chunk);
    const into = other.offer.postcopyDestination;
    expect(codeOf(() => into.discard("no.ram", [{ start: 0, length: page }]))).toBe("RAM_BLOCK_UNKNOWN");
    expect(codeOf(() => into.discard("mach.ram", [{ start: 100, length: page }]))).toBe("RAM_OFFSET");
    expect(codeOf(() => into.discard("mach.ram", [{ start: 63 * page, length: 2 * page }]))).toBe("RAM_OFFSET");
    expect(codeOf(() => into.discard("mach.ram", [{ start: 0, length: 0 }]))).toBe("RAM_OFFSET");
  });
});

/** A stream as far as its first PART. */
function switchedChunks(): Uint8Array[] {
  const attempt = postcopyMachine().kernel.outgoing();
  return [...attempt.setup(), ...attempt.iterate(2 ** 24)];
}

describe("a page that has not come", () => {
  it("traps reads and writes before any effect, is asked for once, and is what was sent when it comes", async () => {
    const source = postcopyMachine();
    fill(source, 0, numbers(0, 64));
    const { outgoing, target } = await running(source, [4, 5, 6]);
    const { memory, postcopyDestination } = target.offer;
    const before = target.blocks[0]?.memory().slice();
    for (const touch of [
      () => memory.read(4 * page + 8, 4),
      () => memory.write(4 * page + 8, new Uint8Array(4)),
      // The page before it is there: all or nothing.
      () => memory.write(4 * page - 8, new Uint8Array(16).fill(9)),
      () => memory.read(3 * page, 2 * page),
    ]) {
      expect(touch).toThrow(expect.objectContaining({ code: "PAGE_ABSENT" }));
    }
    expect(target.blocks[0]?.memory()).toEqual(before);
    expect(target.told).toEqual([["mach.ram", 4 * page, page]]);
    expect(target.offer.absent()?.words[0]?.[0]).toBe(0b1110000);
    expect(target.offer.absent()?.pages).toBe(3);
    expect(codeOf(() => target.kernel.snapshot())).toBe("ATTEMPT_ACTIVE");

    const waiting = postcopyDestination.arrived("mach.ram", 4 * page);
    source.offer.postcopySource.request("mach.ram", 4 * page, page);
    for (const chunk of outgoing.iterate(1)) target.attempt.push(chunk);
    await waiting;
    expect(memory.read(4 * page, page)).toEqual(pattern(104));
    for (const chunk of outgoing.finish()) target.attempt.push(chunk);
    target.attempt.end();
    expect(same(source, target)).toBe(true);
    expect(target.offer.absent()).toBeUndefined();
    const statistics = postcopyDestination.statistics();
    expect(statistics).toMatchObject({ faults: 4, requestedPages: 1, unaskedPages: 2, ignoredPages: 0 });
    expect(statistics.latenciesMs()).toEqual({ count: 1, meanMs: 1, medianMs: 1, p95Ms: 1, p99Ms: 1, maxMs: 1 });
    target.kernel.snapshot();
  });

  it("comes once: what the guest has written to it since stays", async () => {
    const source = postcopyMachine();
    fill(source, 0, numbers(0, 64));
    const { outgoing, target } = await running(source, [4, 5, 6]);
    const urgent = target.offer.postcopyDestination.urgent();
    const out = new Writer();
    source.offer.postcopySource.request("mach.ram", 4 * page, 2 * page);
    expect(source.offer.postcopySource.urgent(out, 1)).toBe(false);
    expect(source.offer.postcopySource.requestedPages).toBe(1);
    expect(source.offer.postcopySource.urgent(out, 2 ** 20)).toBe(true);
    source.offer.postcopySource.urgentEnd(out);
    const records = out.flush();
    const half = records.length - page / 2;
    urgent.push(records.subarray(0, half));
    expect(() => target.offer.memory.read(5 * page, 1)).toThrow("PAGE_ABSENT");
    target.offer.memory.write(4 * page, Uint8Array.of(1, 2, 3));
    urgent.push(records.subarray(half));
    expect([urgent.isEnded, target.offer.absent()?.pages]).toEqual([true, 1]);
    // The same pages once more, by the other way: as a record of zeros, whole, and in two halves.
    const again = target.offer.postcopyDestination.urgent();
    again.push(records.subarray(0, half));
    target.offer.memory.write(5 * page, Uint8Array.of(7));
    again.push(records.subarray(half));
    expect(target.offer.memory.read(4 * page, 4)).toEqual(Uint8Array.of(1, 2, 3, pattern(104)[3] as number));
    expect(target.offer.memory.read(5 * page, 1)).toEqual(Uint8Array.of(7));
    expect(target.offer.postcopyDestination.statistics().ignoredPages).toBe(2);
    expect(codeOf(() => again.push(Uint8Array.of(0)))).toBe("STREAM_TRAILING");
    const cut = target.offer.postcopyDestination.urgent();
    cut.push(records.subarray(0, 20));
    expect(codeOf(() => cut.end())).toBe("STREAM_TRUNCATED");
    for (const chunk of outgoing.finish()) target.attempt.push(chunk);
    target.attempt.end();
  });

  it("never comes when the attempt is thrown away: whoever waits is told, and it traps on", async () => {
    const source = postcopyMachine();
    fill(source, 0, numbers(0, 64));
    const { target } = await running(source, [4]);
    const waiting = target.offer.postcopyDestination.arrived("mach.ram", 4 * page);
    target.attempt.discard();
    await expect(waiting).rejects.toMatchObject({ code: "ATTEMPT_ENDED" });
    expect(() => target.offer.memory.read(4 * page, 1)).toThrow("PAGE_ABSENT");
    expect(target.offer.memory.read(3 * page, page)).toEqual(pattern(3));
  });

  it("is not missed by a machine whose load failed, and has its old memory", async () => {
    const source = postcopyMachine();
    fill(source, 0, numbers(0, 64));
    const { sent } = switched(source, [4]);
    const target = receiving();
    const old = target.blocks[0]?.memory();
    let fails = true;
    const uart = target.states;
    const set = uart.set.bind(uart);
    uart.set = (key, value) => {
      if (!fails) return set(key, value);
      fails = false;
      throw new Error("planted");
    };
    for (const chunk of sent) target.attempt.push(chunk);
    await target.attempt.prepare();
    await expect(target.attempt.commit()).rejects.toMatchObject({ code: "DEVICE_FAILED" });
    expect(target.blocks[0]?.memory()).toBe(old);
    expect(target.offer.absent()).toBeUndefined();
    expect(target.offer.memory.read(4 * page, 1)).toEqual(Uint8Array.of(0));
  });
});

describe("a machine whose pages never came", () => {
  async function lost() {
    const source = postcopyMachine();
    fill(source, 0, numbers(0, 64));
    const { outgoing, target } = await running(source, [4]);
    outgoing.end(false);
    target.attempt.discard();
    return { source, target };
  }

  function expectLost({ kernel, offer }: PostcopyMachine): void {
    expect(offer.absent()?.pages).toBe(1);
    expect(() => offer.memory.read(4 * page, 1)).toThrow("PAGE_ABSENT");
    expect(codeOf(() => kernel.snapshot())).toBe("ATTEMPT_ACTIVE");
    const outgoing = kernel.outgoing();
    expect(codeOf(() => [...outgoing.setup()])).toBe("ATTEMPT_ACTIVE");
    outgoing.end(false);
  }

  it("stays so whatever else is begun, and fails", async () => {
    const { target } = await lost();
    expectLost(target);
    const failed = receiving(target);
    const { attempt, sent } = switched(postcopyMachine(), [9]);
    for (const chunk of sent) failed.attempt.push(chunk);
    expect(() => target.offer.memory.read(4 * page, 1)).toThrow("PAGE_ABSENT");
    const set = target.states.set.bind(target.states);
    let fails = true;
    target.states.set = (key, value) => {
      if (!fails) return set(key, value);
      fails = false;
      throw new Error("planted");
    };
    await failed.attempt.prepare();
    await expect(failed.attempt.commit()).rejects.toMatchObject({ code: "DEVICE_FAILED" });
    attempt.end(false);
    expectLost(target);
    const waiting = target.offer.whenPresent(thrownBy(() => target.offer.memory.read(4 * page, 1)));
    await expect(waiting).rejects.toMatchObject({ code: "ATTEMPT_ENDED" });
  });

  it("is whole again when another takes its place", async () => {
    const { source, target } = await lost();
    const stream = source.kernel.snapshot();
    const next = target.kernel.incoming();
    next.push(stream);
    next.end();
    await next.prepare();
    expect(() => target.offer.memory.read(4 * page, 1)).toThrow("PAGE_ABSENT");
    await next.commit();
    expect(target.offer.absent()).toBeUndefined();
    expect(same(source, target)).toBe(true);
    expect(codeOf(() => target.kernel.snapshot())).toBe("nothing thrown");
  });
});

describe("waits that are refused", () => {
  it("end, and do not begin, until they are allowed again", async () => {
    const source = postcopyMachine();
    fill(source, 0, numbers(0, 64));
    const { outgoing, target } = await running(source, [4, 5]);
    const { postcopyDestination } = target.offer;
    const waiting = postcopyDestination.arrived("mach.ram", 4 * page);
    const allow = [postcopyDestination.refuseWaits(), postcopyDestination.refuseWaits()] as const;
    const refused = { code: "ATTEMPT_ENDED" };
    await expect(waiting).rejects.toMatchObject(refused);
    await expect(postcopyDestination.arrived("mach.ram", 5 * page)).rejects.toMatchObject(refused);
    await postcopyDestination.arrived("mach.ram", 6 * page);
    allow[0]();
    allow[0]();
    await expect(postcopyDestination.arrived("mach.ram", 4 * page)).rejects.toMatchObject(refused);
    allow[1]();
    const both = [4, 5].map((at) => postcopyDestination.arrived("mach.ram", at * page));
    for (const chunk of outgoing.finish()) target.attempt.push(chunk);
    await Promise.all(both);
    expect(target.told).toEqual([4, 5].map((at) => ["mach.ram", at * page, page]));
    target.attempt.end();
    expect(same(source, target)).toBe(true);
  });
});

describe("the order of pages", () => {
  /** Offsets of `mach.ram` in the order in which they arrive. */
  function arrivals(target: Target, chunks: Iterable<Uint8Array>): number[] {
    const order: number[] = [];
    const { words } = target.offer.absent() as { words: readonly Uint32Array[] };
    const absent = () =>
      numbers(0, 64).filter((at) => ((words[0] as Uint32Array)[at >>> 5] as number) & (1 << (at & 31)));
    let left = absent();
    for (const chunk of chunks) {
      for (const byte of chunk) target.attempt.push(Uint8Array.of(byte));
      const now = absent();
      order.push(...left.filter((at) => !now.includes(at)));
      left = now;
    }
    return order;
  }

  it("is: those requested, then on from the last of them", async () => {
    const source = postcopyMachine();
    fill(source, 0, numbers(0, 64));
    const { outgoing, target } = await running(source, numbers(0, 64));
    const one = page + 100;
    expect(arrivals(target, outgoing.iterate(one))).toEqual([0]);
    source.offer.postcopySource.request("mach.ram", 40 * page, page);
    source.offer.postcopySource.request("mach.ram", 20 * page, 2 * page);
    // Once, however often it is asked for; and what has gone goes no more.
    source.offer.postcopySource.request("mach.ram", 20 * page, 2 * page);
    source.offer.postcopySource.request("mach.ram", 0, page);
    expect(source.offer.postcopySource.requestedPages).toBe(3);
    const order = numbers(0, 5).flatMap(() => arrivals(target, outgoing.iterate(one)));
    expect(order).toEqual([40, 20, 21, 22, 23]);
    expect(source.offer.statistics().sent).toMatchObject({ postcopyRequests: 4, postcopyPages: 6 });
    for (const chunk of outgoing.finish()) target.attempt.push(chunk);
    target.attempt.end();
    expect(same(source, target)).toBe(true);
  });

  it("refuses by name what cannot be asked for", async () => {
    const source = postcopyMachine();
    const { request } = source.offer.postcopySource;
    const { outgoing } = await running(source, [1]);
    expect(codeOf(() => request("no.ram", 0, page))).toBe("RAM_BLOCK_UNKNOWN");
    for (const [start, length] of [
      [1, page],
      [0, 100],
      [0, 0],
      [-page, page],
      [64 * page, page],
      [63 * page, 2 * page],
    ] as const) {
      expect(codeOf(() => request("mach.ram", start, length))).toBe("RAM_OFFSET");
    }
    expect(source.offer.postcopySource.requestedPages).toBe(0);
    outgoing.end(false);
  });
});

describe("after a lost connection", () => {
  it("all that has not come is sent again, with its block's name, and told of again", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.nat(63), { minLength: 1 }),
        fc.uniqueArray(fc.nat(63)),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.boolean(),
        async (dirtied, asked, cutAt, takesEnd) => {
          const source = postcopyMachine();
          fill(source, 0, numbers(0, 64));
          const { outgoing, target } = await running(source, dirtied);
          for (const at of asked) source.offer.postcopySource.request("mach.ram", at * page, page);
          const lost = new Uint8Array(Buffer.concat([...outgoing.iterate(2 ** 24)]));
          target.attempt.push(lost.subarray(0, Math.floor(cutAt * lost.length)));
          for (const at of asked) if (dirtied.includes(at)) codeOf(() => target.offer.memory.read(at * page, 1));
          const waitedFor = target.told.splice(0);

          target.attempt.restart();
          for (const { block } of target.blocks) {
            const bitmap = target.offer.postcopyDestination.received(block.idstr);
            source.offer.postcopySource.received(block.idstr, bitmap);
          }
          target.offer.postcopyDestination.retell();
          expect(target.told).toEqual([...waitedFor].sort(([, a], [, b]) => a - b));
          const missing = target.offer.postcopyDestination.missingPages;
          expect(outgoing.pending(false)).toEqual({ mustPrecopyBytes: 0, canPostcopyBytes: missing * page });
          if (takesEnd) {
            // The END comes, and nobody hears that it did: it comes again.
            const end = [...outgoing.iterate(2 ** 24)];
            for (const chunk of end) target.attempt.push(chunk);
            target.attempt.restart();
          }
          for (const chunk of outgoing.finish()) target.attempt.push(chunk);
          target.attempt.end();
          expect(same(source, target)).toBe(true);
        },
      ),
      { seed: 6, numRuns: 60 },
    );
  });

  it("refuses a bitmap that is not the block's", async () => {
    const source = postcopyMachine();
    const { outgoing } = await running(source, [1]);
    const { received } = source.offer.postcopySource;
    expect(codeOf(() => received("mach.ram", new Uint8Array(16)))).toBe("RAM_BLOCK_MISMATCH");
    expect(codeOf(() => received("no.ram", new Uint8Array(8)))).toBe("RAM_BLOCK_UNKNOWN");
    received("mach.ram", new Uint8Array(8));
    expect(outgoing.pending(false).canPostcopyBytes).toBe(65 * page - page);
    outgoing.end(false);
  });

  it("needs everything: an END without all pages is told, and the attempt goes on", async () => {
    const source = postcopyMachine();
    fill(source, 0, numbers(0, 64));
    const { outgoing, target } = await running(source, [4]);
    for (const chunk of outgoing.iterate(2 ** 20)) void chunk;
    for (const chunk of outgoing.finish()) target.attempt.push(chunk);
    expect(() => target.attempt.end()).toThrow(
      expect.objectContaining({ code: "STREAM_TRUNCATED", found: "none at mach.ram+0x4000" }),
    );
    target.attempt.restart();
    expect(target.offer.absent()?.pages).toBe(1);
  });
});

describe("modes", () => {
  it("are of the next attempt, and stand while one is under way", () => {
    const { kernel, offer } = postcopyMachine();
    offer.sendBy({ xbzrle: { cacheBytes: 2 ** 20 }, postcopy: true });
    const attempt = kernel.outgoing();
    const sent = [...attempt.setup()];
    expect(sent).toHaveLength(1);
    expect(attempt.pending(false)).toEqual({ mustPrecopyBytes: 0, canPostcopyBytes: 72 * page });
    expect(codeOf(() => offer.sendBy({}))).toBe("ATTEMPT_ACTIVE");
    expect(offer.statistics().sent?.xbzrleCache?.["cache-size"]).toBe(2 ** 20);
    attempt.end(false);
    offer.sendBy({});
    const next = kernel.outgoing();
    expect([...next.setup()]).toHaveLength(1);
    expect(offer.statistics().sent?.xbzrleCache).toBeUndefined();
    expect(next.pending(false).mustPrecopyBytes).toBe(72 * page);
    next.end(false);
  });

  it("send no delta in post-copy, and take none", async () => {
    const source = postcopyMachine();
    source.offer.sendBy({ xbzrle: {} });
    fill(source, 0, numbers(0, 64));
    const attempt = source.kernel.outgoing();
    const target = receiving();
    const push = (chunks: Iterable<Uint8Array>) => {
      for (const chunk of chunks) target.attempt.push(chunk);
    };
    push(attempt.setup());
    push(attempt.iterate(2 ** 24));
    for (const mark of [1, 2]) {
      source.blocks[0]?.write(9 * page, [mark]);
      attempt.pending(true);
      push(attempt.iterate(2 ** 24));
    }
    const deltas = source.offer.statistics().sent?.xbzrlePages;
    source.blocks[0]?.write(9 * page, [3]);
    push(attempt.switchOver());
    for (const { idstr, ranges } of source.offer.postcopySource.discards()) {
      push([attempt.command({ command: command.discard, payload: discardPayload(idstr, ranges) })]);
    }
    push([attempt.package([listen], [run])]);
    push(attempt.finish());
    target.attempt.end();
    expect(deltas).toBe(1);
    expect(source.offer.statistics().sent?.xbzrlePages).toBe(1);
    await target.attempt.prepare();
    await target.attempt.commit();
    expect(same(source, target)).toBe(true);
    const word = new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0x40, 8, ...new TextEncoder().encode("mach.ram")]);
    const other = await running(postcopyMachine(), [1]);
    expect(codeOf(() => other.target.offer.postcopyDestination.urgent().push(word))).toBe("RAM_ENCODING");
  });

  it("take no compressed page in post-copy: two connections would bring pieces of them at a time", async () => {
    const machine = () => postcopyMachine(undefined, { inflateRaw });
    const word = new Uint8Array([0, 0, 0, 0, 0, 0, 1, 0, 8, ...new TextEncoder().encode("mach.ram")]);
    const before = receiving(machine());
    const attempt = postcopyMachine().kernel.outgoing();
    for (const chunk of attempt.setup()) before.attempt.push(chunk);
    expect(codeOf(() => before.offer.postcopyDestination.urgent().push(word))).toBe("nothing thrown");
    const { target } = await running(postcopyMachine(), [1], machine());
    expect(codeOf(() => target.offer.postcopyDestination.urgent().push(word))).toBe("RAM_ENCODING");
  });

  it("do not mix multifd and post-copy", () => {
    const source = postcopyMachine();
    source.offer.sendBy({ multifd: multifdSender({ channels: [() => {}], sync: "section", zeroPages: "records" }) });
    const attempt = source.kernel.outgoing();
    expect([...attempt.setup()]).toHaveLength(1);
    expect(codeOf(() => [...source.offer.postcopySource.discards()])).toBe("RAM_ORDER");
    attempt.end(false);
  });
});

// Simulated lines keep the rules of every transport while they are whole, and break them exactly where they are told to.

import { transportCompliance } from "@godwit/test-support/transport-compliance";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { simulatedPair, simulatedTransport, virtualTime } from "../src/transports.ts";

const seed = 20_261_121;
const pattern = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 0xff);

for (const [name, chunkBytes] of Object.entries({ whole: undefined, odd: 997, any: { least: 1, most: 30_000 } })) {
  let names = 0;
  const line = chunkBytes === undefined ? {} : { chunkBytes };
  transportCompliance(`simulated, ${name} chunks,`, {
    transport: simulatedTransport({ bufferBytes: 100_000, there: line, back: line }),
    address: () => `simulated:${names++}`,
    deadAddress: () => "simulated:nobody",
    boundBytes: 256 * 1024,
  });
}

interface Reading {
  readonly chunks: Uint8Array[];
  readonly ended: Promise<unknown>;
}

/** `ended` resolves with "end", or the error. */
function reading(channel: { receive(): AsyncIterable<Uint8Array> }): Reading {
  const chunks: Uint8Array[] = [];
  const ended = (async () => {
    try {
      for await (const chunk of channel.receive()) chunks.push(chunk);
      return "end";
    } catch (error) {
      return (error as { code?: string }).code ?? error;
    }
  })();
  return { chunks, ended };
}

const all = (chunks: readonly Uint8Array[]) => Uint8Array.from(chunks.flatMap((chunk) => [...chunk]));
const settle = async () => {
  for (let i = 0; i < 300; i++) await undefined;
};

describe("a simulated line", () => {
  it("gives one byte at a time", async () => {
    const { source, target } = simulatedPair({ there: { chunkBytes: 1 } });
    const { chunks, ended } = reading(target);
    await source.send(pattern(300));
    await source.close();
    expect(await ended).toBe("end");
    expect(chunks.map((chunk) => chunk.length)).toEqual(Array.from({ length: 300 }, () => 1));
    expect(all(chunks)).toEqual(pattern(300));
  });

  it("cuts chunks by its seed alone", async () => {
    const lengths = async (seed: number) => {
      const { source, target } = simulatedPair({ seed, there: { chunkBytes: { least: 1, most: 50 } } });
      const { chunks, ended } = reading(target);
      await source.send(pattern(1000));
      await source.close();
      await ended;
      expect(all(chunks)).toEqual(pattern(1000));
      return chunks.map((chunk) => chunk.length);
    };
    const first = await lengths(5);
    expect(await lengths(5)).toEqual(first);
    expect(await lengths(6)).not.toEqual(first);
    expect(new Set(first).size).toBeGreaterThan(5);
    expect(Math.max(...first)).toBeLessThanOrEqual(50);
  });

  it("breaks after exactly so many bytes, for both sides", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(400), fc.integer({ min: 1, max: 90 }), async (afterBytes, chunkBytes) => {
        const { source, target, there } = simulatedPair({ there: { chunkBytes, cut: { afterBytes } } });
        const { chunks, ended } = reading(target);
        const back = reading(source);
        await source.send(pattern(500)).catch(() => undefined);
        expect(await ended).toBe("TRANSPORT_CLOSED");
        expect(await back.ended).toBe("TRANSPORT_CLOSED");
        expect(all(chunks)).toEqual(pattern(500).subarray(0, afterBytes));
        expect(there.arrivedBytes).toBe(afterBytes);
        await expect(source.send(pattern(1))).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
        await expect(target.send(pattern(1))).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
      }),
      { seed, numRuns: 12 },
    );
  });

  it("ends after exactly so many bytes, as if the sender had closed", async () => {
    const { source, target } = simulatedPair({ there: { cut: { afterBytes: 7, how: "end" } } });
    const { chunks, ended } = reading(target);
    const back = reading(source);
    await source.send(pattern(20));
    expect(await ended).toBe("end");
    expect(all(chunks)).toEqual(pattern(7));
    expect(await back.ended).toBe("end");
    await expect(source.send(pattern(1))).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
    await target.send(pattern(3));
    await target.close();
  });

  it("stalls, makes the sender wait, and goes on", async () => {
    const { source, target, there } = simulatedPair({ bufferBytes: 10, there: { stallAfterBytes: 15 } });
    const { chunks, ended } = reading(target);
    let isSent = false;
    const sending = source.send(pattern(60)).then(() => {
      isSent = true;
    });
    await settle();
    expect([there.isStalled, there.arrivedBytes, isSent]).toEqual([true, 15, false]);
    there.goOn();
    await sending;
    await source.close();
    expect(await ended).toBe("end");
    expect(there.isStalled).toBe(false);
    expect(all(chunks)).toEqual(pattern(60));
  });

  it.each(["source", "target"] as const)("is broken by the %s while it stalls", async (who) => {
    const pair = simulatedPair({ there: { stallAfterBytes: 0 } });
    const { chunks, ended } = reading(pair.target);
    await pair.source.send(pattern(5));
    await settle();
    const reason = new Error("enough");
    pair[who].abort(reason);
    expect(await ended).toBe(who === "target" ? reason : "TRANSPORT_CLOSED");
    expect(chunks).toEqual([]);
  });

  it("turns over the bits that it is told to, wherever chunks begin", async () => {
    for (const chunkBytes of [1, 3, 100]) {
      const corrupt = [{ offset: 0 }, { offset: 8, bit: 7 }, { offset: 9, bit: 1 }];
      const { source, target } = simulatedPair({ there: { chunkBytes, corrupt } });
      const { chunks, ended } = reading(target);
      await source.send(new Uint8Array(12));
      await source.close();
      await ended;
      expect([...all(chunks)]).toEqual([1, 0, 0, 0, 0, 0, 0, 0, 128, 2, 0, 0]);
    }
  });

  it("does all this in its own direction only", async () => {
    const { source, target, back } = simulatedPair({ back: { chunkBytes: 2, corrupt: [{ offset: 1 }] } });
    const there = reading(target);
    const here = reading(source);
    await source.send(pattern(9));
    await target.send(new Uint8Array(5));
    await settle();
    expect(there.chunks.map((chunk) => chunk.length)).toEqual([9]);
    expect(here.chunks.map((chunk) => [...chunk])).toEqual([[0, 1], [0, 0], [0]]);
    expect(back.sentBytes).toBe(5);
    source.abort(new Error("the test is over"));
    await Promise.all([there.ended, here.ended]);
  });
});

describe("virtual time", () => {
  it("brings bytes when they are due, never one before another", async () => {
    const time = virtualTime();
    const { source, target } = simulatedPair({ time, there: { latencyNs: { least: 10, most: 1000 } } });
    const arrivals: [bigint, number][] = [];
    const receiving = (async () => {
      for await (const chunk of target.receive()) arrivals.push([time.now, chunk[0] as number]);
    })();
    const sending = (async () => {
      for (let i = 0; i < 20; i++) {
        await source.send(Uint8Array.of(i));
        await time.sleep(100n);
      }
      await source.close();
    })();
    await time.run(Promise.all([sending, receiving]));
    expect(arrivals.map(([, byte]) => byte)).toEqual(Array.from({ length: 20 }, (_, i) => i));
    const late = arrivals.map(([at], i) => at - 100n * BigInt(i));
    expect(late.every((ns) => ns >= 10n && ns <= 1000n)).toBe(true);
    expect(new Set(late).size).toBeGreaterThan(5);
  });

  it("keeps many under way at once: a burst takes as long as its slowest", async () => {
    const time = virtualTime();
    const { source, target } = simulatedPair({ time, there: { latencyNs: 500 } });
    for (let i = 0; i < 10; i++) await source.send(pattern(10));
    await source.close();
    const { chunks, ended } = reading(target);
    await time.run(ended);
    expect(time.now).toBe(500n);
    expect(all(chunks).length).toBe(100);
  });

  it("wakes those of one moment in the order in which they asked", async () => {
    const time = virtualTime();
    const woken: string[] = [];
    const sleepers = ["b", "c", "a"].map((name) =>
      time.sleep(name === "a" ? 5n : 9n).then(() => woken.push(`${name}@${time.now}`)),
    );
    await time.run(Promise.all(sleepers));
    expect(woken).toEqual(["a@5", "b@9", "c@9"]);
  });

  it("tells a dead-lock", async () => {
    const time = virtualTime();
    const { target } = simulatedPair({ time });
    await expect(time.run(reading(target).ended)).rejects.toThrow("nothing is under way");
  });

  it("is needed for latency", () => {
    expect(() => simulatedPair({ back: { latencyNs: 5 } })).toThrow(RangeError);
  });
});

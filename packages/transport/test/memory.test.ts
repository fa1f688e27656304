import { transportCompliance } from "@godwit/test-support/transport-compliance";
import { memoryPair, memoryTransport } from "@godwit/transport";
import { describe, expect, it } from "vitest";

let names = 0;
transportCompliance("memory", {
  transport: memoryTransport({ bufferBytes: 100_000 }),
  address: () => `memory:${names++}`,
  deadAddress: () => "memory:nobody",
  boundBytes: 256 * 1024,
});

describe("memoryPair", () => {
  it("holds exactly as many bytes as it was given room for", async () => {
    const [a, b] = memoryPair({ bufferBytes: 10 });
    await a.send(new Uint8Array(7));
    let resolved = false;
    const second = a.send(new Uint8Array(7).fill(2)).then(() => {
      resolved = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(resolved).toBe(false);
    const reader = b.receive()[Symbol.asyncIterator]();
    expect((await reader.next()).value?.length).toBe(7);
    await second;
    const rest = [await reader.next(), await reader.next()].map((result) => result.value?.length);
    expect(rest).toEqual([3, 4]);
  });

  it("keeps what was sent before the peer broke the channel", async () => {
    const [a, b] = memoryPair();
    await a.send(Uint8Array.of(5));
    a.abort(new Error("gone"));
    const reader = b.receive()[Symbol.asyncIterator]();
    expect((await reader.next()).value).toEqual(Uint8Array.of(5));
    await expect(reader.next()).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
  });

  it("may be closed again while its last bytes wait for room: both are told when they have it", async () => {
    const [a, b] = memoryPair({ bufferBytes: 10 });
    const sending = a.send(new Uint8Array(25));
    const closing = Promise.all([a.close(), a.close()]);
    const lengths: number[] = [];
    for await (const chunk of b.receive()) lengths.push(chunk.length);
    expect(lengths).toEqual([10, 10, 5]);
    await sending;
    expect((await closing).length).toBe(2);
  });

  it("fails when a buffer is given away while it is sent, and does not lose the rest of it", async () => {
    const [a, b] = memoryPair({ bufferBytes: 4 });
    const bytes = new Uint8Array(10);
    const sending = a.send(bytes).catch((error: unknown) => error);
    structuredClone(bytes, { transfer: [bytes.buffer] });
    const gone = { code: "TRANSPORT_CLOSED", message: "TRANSPORT_CLOSED: a buffer changed while it was sent" };
    const reader = b.receive()[Symbol.asyncIterator]();
    expect((await reader.next()).value).toEqual(new Uint8Array(4));
    expect(await sending).toMatchObject(gone);
    await expect(reader.next()).rejects.toMatchObject(gone);
  });
});

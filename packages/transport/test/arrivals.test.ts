import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { arrivalQueue } from "../src/arrivals.ts";
import { listen as listenExec } from "../src/exec.ts";
import { listen as listenFile } from "../src/file.ts";
import { type Channel, memoryPair } from "../src/index.ts";
import { tcp } from "../src/tcp.ts";

/** A copy of the first bytes that come. */
async function first(channel: Channel): Promise<Uint8Array> {
  const { value } = await channel.receive()[Symbol.asyncIterator]().next();
  return Uint8Array.from(value ?? []);
}

describe("connections that nobody has accepted yet", () => {
  it("wait in their order, as many as a QEMU opens at once, and one more is broken", async () => {
    const arrivals = arrivalQueue("tcp:127.0.0.1:4444");
    const pairs = Array.from({ length: 257 }, () => memoryPair());
    const aborts = pairs.map(([here]) => vi.spyOn(here, "abort"));
    for (const [here] of pairs) arrivals.offer(here);
    expect(aborts.flatMap((abort, i) => (abort.mock.calls.length > 0 ? [i] : []))).toEqual([256]);
    for (const [here, there] of pairs.slice(0, 256)) {
      expect(await arrivals.accept()).toBe(here);
      await here.send(Uint8Array.of(1));
      expect(await first(there)).toEqual(Uint8Array.of(1));
    }
    arrivals.close();
  });

  it("are 255 multifd channels of tcp, too", async () => {
    const listener = await tcp.listen("tcp:127.0.0.1:0");
    onTestFinished(() => listener.close());
    const opened = await Promise.all(Array.from({ length: 255 }, () => tcp.connect(listener.uri)));
    await Promise.all(opened.map((channel, i) => channel.send(Uint8Array.of(i))));
    // What was broken off instead of waiting fails here, and nobody waits for it.
    const answers = Promise.all(opened.map((channel) => first(channel)));
    answers.catch(() => {});
    const serving = (async () => {
      for (const _ of opened) {
        const channel = await listener.accept();
        await channel.send(await first(channel));
      }
    })();
    serving.catch(() => {});
    expect(await answers).toEqual(opened.map((_, i) => Uint8Array.of(i)));
    await serving;
    for (const channel of opened) channel.abort(new Error("enough"));
  });
});

describe("an address by which one connection comes", () => {
  it("tells whoever waits for a second one that nobody else comes", async () => {
    const arrivals = arrivalQueue("fd:3");
    const [only] = memoryPair();
    arrivals.offerOnly(only);
    expect(await arrivals.accept()).toBe(only);
    await expect(arrivals.accept()).rejects.toMatchObject({ code: "TRANSPORT_CLOSED", found: "fd:3" });
    arrivals.close();
    await expect(arrivals.accept()).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
  });

  it("is that of a file, and that of a command", async () => {
    const folder = await mkdtemp(join(tmpdir(), "godwit-"));
    try {
      const path = join(folder, "stream");
      await writeFile(path, "QEVM");
      for (const listener of [await listenFile(`file:${path}`), await listenExec("exec:true")]) {
        const channel = await listener.accept();
        await expect(listener.accept()).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
        channel.abort(new Error("enough"));
        await listener.close();
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

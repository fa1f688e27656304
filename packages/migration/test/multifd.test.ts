// Pages over connections of their own, between Godwit peers: as many as asked for, verified like the main one.

import {
  incomingMigration,
  type MigrationParameters,
  type OutgoingOptions,
  outgoingMigration,
} from "@godwit/migration";
import { multifdSender } from "@godwit/ram-dirty-tracker";
import { type Channel, memoryTransport } from "@godwit/transport";
import { describe, expect, it } from "vitest";
import { drive, ManualClock, turn } from "./support/clock.ts";
import { pageCompressions } from "./support/page-codecs.ts";
import { fillPages, ramMachine } from "./support/ram-machine.ts";

type Compression = MigrationParameters["multifd-compression"];

const packedBy = (method: Compression) => (method === "none" ? {} : { compression: pageCompressions[method] });

interface Setting {
  readonly channels: number;
  readonly receiverChannels?: number;
  readonly pages?: number;
  readonly outgoing?: Partial<OutgoingOptions>;
  wrap?(channel: Channel, index: number): Channel;
  /** multifd-compression of both, or of one after the other. */
  readonly compression?: Compression | readonly [Compression, Compression];
  /** Connections of pages as the destination sees them. */
  wrapHere?(channel: Channel): Channel;
}

async function migrate(setting: Setting) {
  const { channels, receiverChannels = channels, pages = 600, wrap, wrapHere, outgoing = {} } = setting;
  const { compression = "none" } = setting;
  const [packs, unpacks] = typeof compression === "string" ? [compression, compression] : compression;
  const clock = new ManualClock();
  const transport = memoryTransport({ bufferBytes: 64 * 1024 });
  const listener = await transport.listen("memory:here");
  const source = ramMachine({ pages });
  const destination = ramMachine({ pages });
  fillPages(source.memory());
  source.kernel.resume();
  let connections = 0;
  let accepted = 0;
  let mostHeldBytes = 0;
  const sending = outgoingMigration({
    machine: source.kernel,
    clock,
    ram: source.ram,
    capabilities: { multifd: true },
    parameters: { "multifd-channels": channels, "multifd-compression": packs, "downtime-limit": 1 },
    connect: async () => {
      const channel = await transport.connect("memory:here");
      return wrap?.(channel, connections++) ?? channel;
    },
    sendOver: (sinks) =>
      source.ram.sendBy({
        multifd: multifdSender({ channels: sinks, sync: "round", zeroPages: "packets", ...packedBy(packs) }),
      }),
    yieldToHost: async () => {
      clock.advance(1);
      if (source.ticks < 40) source.tick();
      mostHeldBytes = Math.max(mostHeldBytes, sending.statistics().bufferedBytes);
      await turn();
    },
    sliceBytes: 64 * 1024,
    ...outgoing,
  });
  destination.ram.receiveBy({ multifd: { channels: receiverChannels, sync: "round", ...packedBy(unpacks) } });
  const receiving = incomingMigration({
    machine: destination.kernel,
    clock,
    ram: destination.ram,
    capabilities: { multifd: true },
    parameters: { "multifd-channels": receiverChannels, "multifd-compression": unpacks },
    accept: async () => {
      const channel = await listener.accept();
      return accepted++ > 0 && wrapHere !== undefined ? wrapHere(channel) : channel;
    },
    peerTimeoutMs: 5000,
  });
  const [from, to] = await drive(Promise.all([sending.run(), receiving.run()]), clock, 50);
  await listener.close();
  expect(source.isRunning && destination.isRunning).toBe(false);
  return { source, destination, from, to, mostHeldBytes };
}

describe("multifd", () => {
  it.each([1, 2, 4, 8])("moves a machine that keeps writing over %d channels, byte for byte", async (channels) => {
    const { source, destination, from, to } = await migrate({ channels });
    expect([from.state.status, to.state.status]).toEqual(["completed", "completed"]);
    expect(destination.isRunning).toBe(true);
    expect(destination.ticks).toBe(source.ticks);
    expect(source.ticks).toBeGreaterThan(0);
    expect(Buffer.compare(destination.memory(), source.memory())).toBe(0);
    expect(from.statistics.ram["multifd-bytes"]).toBeGreaterThan(400 * 4096);
  });

  it.each(["zlib", "zstd"] as const)("packs pages with %s, and they arrive byte for byte", async (compression) => {
    const { source, destination, from, to } = await migrate({ channels: 2, compression });
    expect([from.state.status, to.state.status]).toEqual(["completed", "completed"]);
    expect(destination.ticks).toBe(source.ticks);
    expect(Buffer.compare(destination.memory(), source.memory())).toBe(0);
    const plain = await migrate({ channels: 2 });
    // One page in three is of one byte, which zstd's stored form sees only where its whole block is.
    const packedBytes = from.statistics.ram["multifd-bytes"];
    const plainBytes = plain.from.statistics.ram["multifd-bytes"];
    if (compression === "zlib") expect(packedBytes).toBeLessThan(0.9 * plainBytes);
    else expect(packedBytes).toBeGreaterThan(plainBytes);
  });

  it.each([
    ["zlib", "none"],
    ["none", "zstd"],
    ["zlib", "zstd"],
  ] as const)("refuses %s where the destination has %s, before the first page", async (packs, unpacks) => {
    const { source, from, to } = await migrate({ channels: 2, compression: [packs, unpacks] });
    expect(from.misfits).toEqual([
      {
        code: "CAPABILITY_MISMATCH",
        subject: "capability multifd",
        refuses: true,
        expected: `2 channels, compression ${unpacks}`,
        found: `2 channels, compression ${packs}`,
      },
    ]);
    expect(to.misfits).toEqual(from.misfits);
    expect(from.sections).toEqual([]);
    expect(source.isRunning).toBe(true);
  });

  it("reckons the bandwidth of all channels together, and holds all of them to the limit", async () => {
    const pages = 3000;
    const limit = 4 * 1024 * 1024;
    const { from } = await migrate({ channels: 2, pages, outgoing: { parameters: { "max-bandwidth": limit } } });
    expect(from.state.status).toBe("completed");
    // Two pages in three are not zero. The clock of the test moves only where somebody waits.
    expect(from.statistics["total-time"]).toBeGreaterThan((0.8 * 1000 * ((2 * pages) / 3) * 4096) / limit);
    expect(from.statistics.ram.mbps).toBeGreaterThan((0.5 * 8 * limit) / 1e6);
  });

  it("refuses a destination with another number of channels before the first page", async () => {
    const { source, from } = await migrate({ channels: 2, receiverChannels: 3 });
    expect(from.state).toMatchObject({ status: "failed", error: { code: "PREAMBLE_MISFIT" } });
    expect(from.misfits.map(({ code, subject }) => `${code} ${subject}`)).toEqual([
      "CAPABILITY_MISMATCH capability multifd",
    ]);
    expect(source.isRunning).toBe(true);
  });

  it("waits for a channel whose last bytes come after the main connection's last word", async () => {
    const { from, to, source, destination } = await migrate({
      channels: 2,
      // The synchronisation that ends all: what the stream needs is through, and this is late.
      wrapHere: (channel) => ({
        ...channel,
        receive: () => {
          const reader = channel.receive()[Symbol.asyncIterator]();
          return {
            [Symbol.asyncIterator]: () => ({
              async next() {
                for (let i = 0; i < 25; i++) await turn();
                return reader.next();
              },
            }),
          };
        },
      }),
    });
    expect([from.state, to.state]).toEqual([{ status: "completed" }, { status: "completed" }]);
    expect(Buffer.compare(destination.memory(), source.memory())).toBe(0);
  });

  it("finds a bit that was flipped on a channel, and the machine goes on where it is", async () => {
    let at = 0;
    const { source, from, to } = await migrate({
      channels: 2,
      wrap: (channel, index) => ({
        ...channel,
        send(bytes) {
          const began = at;
          if (index === 2) at += bytes.length;
          if (index !== 2 || began > 100_000 || at <= 100_000) return channel.send(bytes);
          const changed = bytes.slice();
          changed[100_000 - began] = (changed[100_000 - began] as number) ^ 4;
          return channel.send(changed);
        },
      }),
    });
    expect(to.state).toMatchObject({ status: "failed", error: { code: "DIGEST_MISMATCH" } });
    expect(from.state).toMatchObject({ status: "failed", error: { code: "DIGEST_MISMATCH" } });
    expect(source.isRunning).toBe(true);
  });

  it("gives a channel that breaks up, and the machine goes on where it is; a second attempt succeeds", async () => {
    let sends = 0;
    const { source, from } = await migrate({
      channels: 2,
      wrap: (channel, index) => ({
        ...channel,
        send(bytes) {
          if (index === 1 && ++sends === 9) channel.abort(new Error("cut"));
          return channel.send(bytes);
        },
      }),
    });
    expect(from.state.status).toBe("failed");
    expect(source.isRunning).toBe(true);
  });

  it("holds no more than its bound while a channel's reader takes nothing", async () => {
    const { source, from, mostHeldBytes } = await migrate({
      channels: 2,
      pages: 3000,
      // It opens, and then nothing of it ever arrives.
      wrap: (channel, index) => {
        if (index !== 1) return channel;
        let sends = 0;
        return { ...channel, send: (bytes) => (sends++ < 3 ? channel.send(bytes) : new Promise<void>(() => {})) };
      },
      outgoing: { peerTimeoutMs: 5000 },
    });
    expect(from.state).toMatchObject({ status: "failed", error: { code: "PEER_SILENT" } });
    expect(source.isRunning).toBe(true);
    expect(mostHeldBytes).toBeLessThanOrEqual(2 * 4 * 1024 * 1024);
    expect(mostHeldBytes).toBeGreaterThan(0);
  });
});

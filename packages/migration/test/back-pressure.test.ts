// What the engine holds while the destination does not read: never more than a frame, however large the machine.

import type { Channel } from "@godwit/transport";
import { describe, expect, it } from "vitest";
import { maxStreamFrameBytes } from "../src/godwit/framing.ts";
import { drive, turn } from "./support/clock.ts";
import { concat } from "./support/machine.ts";
import { Rig, type Wire } from "./support/rig.ts";

/** Counts what was given to the channel and not taken by it yet. */
class Gauge {
  heldBytes = 0;
  mostHeldBytes = 0;
  sentBytes = 0;

  wrap(channel: Channel): Channel {
    return {
      receive: () => channel.receive(),
      close: () => channel.close(),
      abort: (error) => channel.abort(error),
      send: async (bytes) => {
        this.heldBytes += bytes.length;
        this.mostHeldBytes = Math.max(this.mostHeldBytes, this.heldBytes);
        try {
          await channel.send(bytes);
        } finally {
          this.heldBytes -= bytes.length;
          this.sentBytes += bytes.length;
        }
      },
    };
  }
}

/** Lets its reader have nothing while it is shut. */
class Gate {
  isShut = false;
  #open: (() => void)[] = [];

  open(): void {
    this.isShut = false;
    for (const open of this.#open.splice(0)) open();
  }

  wrap(channel: Channel): Channel {
    const passing = async (): Promise<void> => {
      while (this.isShut) await new Promise<void>((resolve) => this.#open.push(resolve));
    };
    return {
      send: (bytes) => channel.send(bytes),
      close: () => channel.close(),
      abort: (error) => channel.abort(error),
      receive: () => {
        const reader = channel.receive()[Symbol.asyncIterator]();
        return {
          [Symbol.asyncIterator]: () => ({
            async next() {
              await passing();
              return reader.next();
            },
          }),
        };
      },
    };
  }
}

/** Between the two engines; what an operating system lets its sockets hold is its own affair. */
const memoryBufferBytes = 64 * 1024;

describe.each<Wire>(["memory", "tcp"])("over %s", (wire) => {
  it("a reader that stops stops the sender, and nothing is lost when it goes on", async () => {
    const gauge = new Gauge();
    const gate = new Gate();
    const pages = 4096;
    const rig = new Rig({
      wire,
      bufferBytes: memoryBufferBytes,
      source: { pages, dirtyPagesPerTick: 0 },
      wrapSource: (channel) => gauge.wrap(channel),
      wrapDestination: (channel) => gate.wrap(channel),
    });
    let receivedAtStop = 0;
    const stopped = new Promise<void>((resolve) => {
      rig.outgoing.events.on("status", ({ status }) => {
        if (status !== "active") return;
        gate.isShut = true;
        receivedAtStop = rig.incoming.statistics().receivedBytes;
        resolve();
      });
    });
    const both = Promise.all([rig.outgoing.run(), rig.incoming.run()]);
    both.catch(() => {});
    await stopped;
    await stillness(() => gauge.sentBytes);
    // Frame and round marker, and what lies in the transport's own buffers.
    expect(gauge.mostHeldBytes).toBeLessThanOrEqual(maxStreamFrameBytes + 1024);
    if (wire === "memory") {
      expect(gauge.sentBytes - receivedAtStop).toBeLessThanOrEqual(memoryBufferBytes + maxStreamFrameBytes);
      expect(rig.source.log.filter((step) => step === "iterate").length).toBeLessThan(10);
    }
    gate.open();
    const [source] = await drive(both, rig.clock);
    expect(source.state).toEqual({ status: "completed" });
    expect(gauge.mostHeldBytes).toBeLessThanOrEqual(maxStreamFrameBytes + 1024);
    rig.expectMoved();
    expect(concat(rig.destination.received).length).toBeGreaterThan(pages * 4096);
  });
});

/** Waits until a figure does not change any more. */
async function stillness(figure: () => number): Promise<void> {
  for (let before = -1; before !== figure(); ) {
    before = figure();
    for (let i = 0; i < 100; i++) await turn();
  }
}

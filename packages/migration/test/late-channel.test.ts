// A connection of pages that is behind the main one when that has said its last word.
import { type Channel, memoryPair } from "@godwit/transport";
import { describe, expect, it } from "vitest";
import { godwitDestinationWire } from "../src/godwit/destination-wire.ts";
import { openPageChannel } from "../src/godwit/page-channel.ts";
import { Interrupt } from "../src/interrupt.ts";
import type { PageChannel } from "../src/wire.ts";
import { drive, ManualClock, turn } from "./support/clock.ts";
import { TestMachine } from "./support/machine.ts";
import { digests, ScriptedPeer } from "./support/peer.ts";

const peerTimeoutMs = 1000;
const session = "0123456789abcdef";

/** The destination waits for the end of a stream of nothing, of which two bytes went over a channel. */
async function atTheEnd() {
  const clock = new ManualClock();
  const interrupt = new Interrupt();
  const [here, there] = memoryPair();
  const [pagesHere, pagesThere] = memoryPair();
  const wire = godwitDestinationWire(
    { channel: here, clock, interrupt, peerTimeoutMs, stream: () => undefined, roundEnded() {} },
    digests,
  );
  const peer = new ScriptedPeer(there);
  peer.read();
  const manifest = new TestMachine({ pages: 1 }).manifest();
  const agreeing = wire.agree(manifest, {});
  await peer.magic();
  await peer.say({ kind: "offer", manifest, session, modes: {}, digest: "xxh64-frames", heartbeatMs: 250 });
  await agreeing;
  await wire.accept([]);
  void readAll(wire.readPages(pagesHere)).catch(() => {});
  const sum = digests.stream();
  const page = await openPageChannel(pagesThere, digests, { session, index: 0 }, sum);
  const twoBytes = digests.stream();
  twoBytes.add(2, digests.of(Uint8Array.of(1, 2)));
  await peer.say({
    kind: "stream-end",
    sums: [...peer.sums(), { channel: 1, bytes: 2, digest: twoBytes.value() }],
  });
  let isEnded = false;
  const ended = wire.ended();
  ended.then(
    () => {
      isEnded = true;
    },
    () => {},
  );
  for (let i = 0; i < 20; i++) await turn();
  return { clock, ended, isEnded: () => isEnded, page: page as PageChannel, wire, main: there as Channel };
}

async function readAll(pages: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of pages);
}

describe("a channel that is behind", () => {
  it("is waited for, and then compared", async () => {
    const { clock, ended, isEnded, page } = await atTheEnd();
    expect(isEnded()).toBe(false);
    await page.send(Uint8Array.of(1, 2));
    await drive(ended, clock);
  });

  it("is compared when all has come: other bytes are not what was sent", async () => {
    const { clock, ended, page } = await atTheEnd();
    await page.send(Uint8Array.of(1, 3));
    await expect(drive(ended, clock)).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
  });

  it("is given up where it brings nothing more", async () => {
    const { clock, ended } = await atTheEnd();
    await expect(drive(ended, clock, 100)).rejects.toMatchObject({ code: "PEER_SILENT" });
  });
});

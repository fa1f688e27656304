// Post-copy between Godwit peers, at the destination.
import { asMigrationError, migrationError } from "../codes.ts";
import type { Channel } from "../host.ts";
import type { Interrupt } from "../interrupt.ts";
import { heartbeatMs } from "../options.ts";
import type { PageMessage } from "../postcopy/messages.ts";
import type { DestinationPagesWire, DestinationPostcopyWire } from "../postcopy/wire.ts";
import type { DestinationWireOptions } from "../wire.ts";
import type { ControlMessage } from "./control.ts";
import { Conversation } from "./conversation.ts";
import type { Digests, StreamDigest } from "./digest.ts";
import { type PageOpening, readPageChannel } from "./page-channel.ts";
import { type ChannelSum, compareSums, mainSumOf, sumsOf } from "./stream-sum.ts";

/** A piece of a bitmap: a frame of it passes a slow link well before the peer counts as silent. Bytes. */
const pieceBytes = 256 * 1024;

export interface DestinationShared {
  readonly options: DestinationWireOptions;
  readonly digests: Digests;
  session: string;
}

export interface DestinationTalk {
  readonly peer: Conversation;
  readonly sums: Map<number, StreamDigest>;
}

/** What was received when the package's end was told: pages follow it at once. */
export class PackageSums {
  #sums: readonly ChannelSum[] | undefined;

  /** Called with every message, at its place. */
  hear(message: ControlMessage, sums: ReadonlyMap<number, StreamDigest>): void {
    if (message.kind === "package-end") this.#sums = mainSumOf(sums);
  }

  get sums(): readonly ChannelSum[] | undefined {
    return this.#sums;
  }
}

/** Keeps the sums of connections of pages by their openings. `PROTOCOL_ORDER` for one that is another migration's. */
export function admitting(shared: DestinationShared, sums: Map<number, StreamDigest>) {
  return (opening: PageOpening): StreamDigest => {
    if (opening.session !== shared.session || sums.has(opening.index + 1)) {
      throw migrationError("PROTOCOL_ORDER", "a connection of pages belongs elsewhere, or came twice", {
        side: "destination",
        expected: `session ${shared.session}, each channel once`,
        found: `session ${opening.session}, channel ${opening.index}`,
      });
    }
    const sum = shared.digests.stream();
    sums.set(opening.index + 1, sum);
    return sum;
  };
}

export function destinationPostcopy(
  shared: DestinationShared,
  { peer, sums }: DestinationTalk,
): DestinationPostcopyWire {
  return {
    async say(message: PageMessage) {
      if (message.kind !== "received-bitmap") return await peer.say(message);
      const { kind, idstr, bitmap } = message;
      for (let at = 0; at < bitmap.length; at += pieceBytes) {
        await peer.say({ kind, idstr, at, of: bitmap.length, bitmap: bitmap.slice(at, at + pieceBytes) });
      }
    },
    running: (times) => peer.say({ kind: "resumed", ...times }),
    async finished(channelsEnded) {
      const sent = await peer.expect("stream-end");
      await channelsEnded();
      compareSums(sent.sums, sumsOf(sums), "destination");
    },
    complete: () => peer.say({ kind: "complete" }),
    resume: (channel, interrupt) => resume(shared, channel, interrupt),
    completeAgain: (channel, interrupt) => completeAgain(shared, channel, interrupt),
  };
}

async function resume(
  shared: DestinationShared,
  channel: Channel,
  interrupt: Interrupt,
): Promise<DestinationPagesWire> {
  const { digests, options } = shared;
  const { stream, peerTimeoutMs } = options;
  let isOurs = false;
  const peer = conversation(shared, channel, interrupt, (bytes) => {
    if (isOurs) return stream(bytes);
    const found = `${bytes.length} bytes`;
    throw migrationError("PROTOCOL_ORDER", "stream bytes came before it was agreed to go on", {
      side: "destination",
      found,
    });
  });
  const sums = new Map<number, StreamDigest>([[0, peer.link.received]]);
  try {
    const { heartbeatMs: sourceHeartbeatMs } = await expectResume(shared, peer);
    isOurs = true;
    await peer.say({ kind: "resume-accepted", heartbeatMs: heartbeatMs(peerTimeoutMs) });
    peer.link.keepAlive(sourceHeartbeatMs, () => ({ kind: "alive" }));
  } catch (error) {
    await peer.close({ kind: "failed", error: asMigrationError(error, "destination").toJSON() });
    throw error;
  }
  return {
    postcopy: destinationPostcopy(shared, { peer, sums }),
    readPages: (pages) => readPageChannel(pages, digests, admitting(shared, sums)),
    close: () => peer.close(),
  };
}

async function completeAgain(shared: DestinationShared, channel: Channel, interrupt: Interrupt): Promise<void> {
  const peer = conversation(shared, channel, interrupt, () => {
    throw migrationError("PROTOCOL_ORDER", "stream bytes came where everything is here", { side: "destination" });
  });
  try {
    await expectResume(shared, peer);
    await peer.say({ kind: "complete" });
  } finally {
    await peer.close();
  }
}

function conversation(
  { options, digests }: DestinationShared,
  channel: Channel,
  interrupt: Interrupt,
  stream: (bytes: Uint8Array) => Promise<void> | undefined,
): Conversation {
  const peer: Conversation = new Conversation({
    ...options,
    channel,
    interrupt,
    digests,
    side: "destination",
    stream,
    opened: () => {
      peer.link.sendMagic().catch((error: unknown) => interrupt.raise(asMigrationError(error, "destination")));
    },
    atOnce: () => false,
  });
  return peer;
}

/** `PROTOCOL_ORDER` where another migration wants to go on. */
async function expectResume({ session }: DestinationShared, peer: Conversation) {
  const resume = await peer.expectSoon("resume");
  if (resume.session === session) return resume;
  throw migrationError("PROTOCOL_ORDER", "another migration wants to go on here", {
    side: "destination",
    expected: `session ${session}`,
    found: `session ${resume.session}`,
  });
}

// Post-copy between Godwit peers, at the source: the package's hand-over, what the destination says of pages, recovery.
import { migrationError } from "../codes.ts";
import type { Channel } from "../host.ts";
import type { Interrupt } from "../interrupt.ts";
import { heartbeatMs } from "../options.ts";
import type { PageMessage } from "../postcopy/messages.ts";
import type { SourcePagesWire, SourcePostcopyWire } from "../postcopy/wire.ts";
import type { SourceWireOptions } from "../wire.ts";
import type { ControlMessage } from "./control.ts";
import { Conversation } from "./conversation.ts";
import type { Digests, StreamDigest } from "./digest.ts";
import { openPageChannel } from "./page-channel.ts";
import { compareSums, mainSumOf, sumsOf } from "./stream-sum.ts";

/** What the connections of one migration have in common. */
export interface SourceShared {
  readonly options: SourceWireOptions;
  readonly digests: Digests;
  /** Agreed on by the first. */
  session: string;
  epoch: number | undefined;
  handler: ((message: PageMessage) => void) | undefined;
  bitmapBytes: (idstr: string) => number | undefined;
}

/** A connection's talk, and the sums of what it has brought. */
export interface SourceTalk {
  readonly peer: Conversation;
  readonly sums: Map<number, StreamDigest>;
}

/** Puts the pieces of bitmaps together. `PROTOCOL_MESSAGE` for pieces that are none of the next of a block's. */
class Bitmaps {
  readonly #bytesOf: (idstr: string) => number | undefined;
  #idstr = "";
  #whole = new Uint8Array(0);
  #bytes = 0;

  constructor(bytesOf: (idstr: string) => number | undefined) {
    this.#bytesOf = bytesOf;
  }

  /** The whole bitmap, with its last piece. */
  add({ idstr, at, of, bitmap }: Extract<ControlMessage, { kind: "received-bitmap" }>): Uint8Array | undefined {
    const ofBytes = this.#bytesOf(idstr);
    if (at === 0) {
      this.#idstr = idstr;
      // Not of what was told, but of what is here.
      this.#whole = new Uint8Array(of === ofBytes ? of : 0);
      this.#bytes = 0;
    }
    const isNext = idstr === this.#idstr && at === this.#bytes && bitmap.length > 0;
    if (!isNext || of !== ofBytes || at + bitmap.length > of) {
      throw migrationError("PROTOCOL_MESSAGE", "a piece of a bitmap is not the next one", {
        side: "source",
        path: "received-bitmap.at",
        expected: `${this.#bytes} of ${this.#whole.length} bytes of "${this.#idstr}"`,
        found: `${bitmap.length} bytes at ${at} of ${of} of "${idstr}"`,
      });
    }
    this.#whole.set(bitmap, at);
    this.#bytes += bitmap.length;
    return this.#bytes < of ? undefined : this.#whole;
  }
}

/** What a destination says of pages is taken at once; true: it was that. */
export function pageHearing(shared: SourceShared): (message: ControlMessage) => boolean {
  const bitmaps = new Bitmaps((idstr) => shared.bitmapBytes(idstr));
  return (message) => {
    const { kind } = message;
    if (kind !== "page-request" && kind !== "received-bitmap" && kind !== "resume-ack") return false;
    if (shared.handler === undefined) {
      const detail = "the destination speaks of pages, and there is no post-copy";
      throw migrationError("PROTOCOL_ORDER", detail, { side: "source", found: kind });
    }
    if (kind !== "received-bitmap") shared.handler(message);
    else {
      const bitmap = bitmaps.add(message);
      if (bitmap !== undefined) shared.handler({ kind, idstr: message.idstr, bitmap });
    }
    return true;
  };
}

export function sourcePostcopy(shared: SourceShared, { peer, sums }: SourceTalk): SourcePostcopyWire {
  return {
    hear(handler, bitmapBytes) {
      shared.handler = handler;
      shared.bitmapBytes = bitmapBytes;
    },
    async packaged() {
      const sent = mainSumOf(sums);
      await peer.say({ kind: "package-end", sums: sent });
      compareSums(sent, (await peer.expect("prepared")).sums, "source");
    },
    async running() {
      const { epoch } = shared;
      await peer.say({ kind: "released", ...(epoch === undefined ? {} : { epoch }) });
      return await peer.expect("resumed");
    },
    async finished() {
      await peer.say({ kind: "stream-end", sums: sumsOf(sums) });
      await peer.expectSoon("complete");
    },
    resume: (channel, interrupt) => resume(shared, channel, interrupt),
  };
}

async function resume(shared: SourceShared, channel: Channel, interrupt: Interrupt): Promise<SourcePagesWire> {
  const { options, digests, session } = shared;
  const hear = pageHearing(shared);
  const peer = new Conversation({
    ...options,
    channel,
    interrupt,
    digests,
    side: "source",
    stream: () => {
      throw migrationError("PROTOCOL_FRAME", "a destination sends no stream", { side: "source" });
    },
    atOnce: (message) => message.kind === "received" || hear(message),
  });
  const sums = new Map<number, StreamDigest>([[0, peer.link.sent]]);
  let isComplete = false;
  const wire: SourcePagesWire = {
    get peerGaveUp() {
      return peer.peerGaveUp;
    },
    get isComplete() {
      return isComplete;
    },
    openPages(pages, index) {
      const sum = digests.stream();
      sums.set(index + 1, sum);
      return openPageChannel(pages, digests, { session, index }, sum);
    },
    send: (chunk) => interrupt.wait(peer.link.sendStream(chunk)),
    flush: () => interrupt.wait(peer.link.flushStream()),
    postcopy: sourcePostcopy(shared, { peer, sums }),
    close: () => peer.close(),
  };
  try {
    await interrupt.wait(peer.link.sendMagic());
    await peer.say({ kind: "resume", session, heartbeatMs: heartbeatMs(options.peerTimeoutMs) });
    const answer = await peer.expectSoon("resume-accepted", "complete");
    if (answer.kind === "complete") isComplete = true;
    else peer.link.keepAlive(answer.heartbeatMs, () => ({ kind: "alive" }));
    return wire;
  } catch (error) {
    await peer.close();
    throw error;
  }
}

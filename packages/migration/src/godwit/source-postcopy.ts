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

/** The bitmap of 2 TiB in pages of 4 KiB. Bytes. */
const longestBitmapBytes = 64 * 1024 * 1024;

/** What the connections of one migration have in common. */
export interface SourceShared {
  readonly options: SourceWireOptions;
  readonly digests: Digests;
  /** Agreed on by the first. */
  session: string;
  epoch: number | undefined;
  handler: ((message: PageMessage) => void) | undefined;
}

/** A connection's talk, and the sums of what it has brought. */
export interface SourceTalk {
  readonly peer: Conversation;
  readonly sums: Map<number, StreamDigest>;
}

/** Puts the pieces of bitmaps together. `PROTOCOL_MESSAGE` for pieces that are none of the next. */
class Bitmaps {
  #idstr = "";
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  /** The whole bitmap, with its last piece. */
  add({ idstr, at, of, bitmap }: Extract<ControlMessage, { kind: "received-bitmap" }>): Uint8Array | undefined {
    if (at === 0) {
      this.#idstr = idstr;
      this.#pieces = [];
      this.#bytes = 0;
    }
    const isNext = idstr === this.#idstr && at === this.#bytes && bitmap.length > 0;
    if (!isNext || of > longestBitmapBytes || at + bitmap.length > of) {
      throw migrationError("PROTOCOL_MESSAGE", "a piece of a bitmap is not the next one", {
        side: "source",
        path: "received-bitmap.at",
        expected: `${this.#bytes} of at most ${longestBitmapBytes} bytes of "${this.#idstr}"`,
        found: `${bitmap.length} bytes at ${at} of ${of} of "${idstr}"`,
      });
    }
    this.#pieces.push(bitmap);
    this.#bytes += bitmap.length;
    if (this.#bytes < of) return undefined;
    const whole = new Uint8Array(of);
    let from = 0;
    for (const piece of this.#pieces) {
      whole.set(piece, from);
      from += piece.length;
    }
    this.#pieces = [];
    return whole;
  }
}

/** What a destination says of pages is taken at once; true: it was that. */
export function pageHearing(shared: SourceShared): (message: ControlMessage) => boolean {
  const bitmaps = new Bitmaps();
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
    hear(handler) {
      shared.handler = handler;
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
  const wire: SourcePagesWire = {
    get peerGaveUp() {
      return peer.peerGaveUp;
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
    const answer = await peer.expectSoon("resume-accepted");
    peer.link.keepAlive(answer.heartbeatMs, () => ({ kind: "alive" }));
    return wire;
  } catch (error) {
    await peer.close();
    throw error;
  }
}

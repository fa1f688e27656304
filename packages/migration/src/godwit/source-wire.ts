// The source's side of Godwit's protocol: control messages around an unchanged stream, whose sum is compared.
import type { Manifest } from "@godwit/core";
import { migrationError } from "../codes.ts";
import { heartbeatMs } from "../options.ts";
import type { Agreement, Farewell, Resumed, SourceWire, SourceWireOptions } from "../wire.ts";
import type { ControlMessage } from "./control.ts";
import { Conversation } from "./conversation.ts";
import { type Digests, digestAlgorithm, type StreamDigest } from "./digest.ts";
import { openPageChannel } from "./page-channel.ts";
import { pageHearing, type SourceShared, sourcePostcopy } from "./source-postcopy.ts";
import { compareSums, sumsOf } from "./stream-sum.ts";

export function godwitSourceWire(options: SourceWireOptions, digests: Digests): SourceWire {
  let decodedBytes = 0;
  let sentBytes = 0;
  const shared: SourceShared = {
    options,
    digests,
    session: "",
    epoch: undefined,
    handler: undefined,
    bitmapBytes: () => undefined,
  };
  const hearPages = pageHearing(shared);
  const atOnce = (message: ControlMessage): boolean => {
    if (message.kind !== "received") return hearPages(message);
    const { bytes } = message;
    if (bytes < decodedBytes || bytes > sentBytes) {
      throw migrationError("PROTOCOL_ORDER", "the destination has received what was not sent", {
        side: "source",
        expected: `${decodedBytes} to ${sentBytes} bytes`,
        found: `${bytes} bytes`,
      });
    }
    decodedBytes = bytes;
    options.decoded(bytes);
    return true;
  };
  const peer = new Conversation({
    ...options,
    digests,
    side: "source",
    stream: () => {
      throw migrationError("PROTOCOL_FRAME", "a destination sends no stream", { side: "source" });
    },
    atOnce,
  });
  const { interrupt, peerTimeoutMs } = options;
  const sums = new Map<number, StreamDigest>([[0, peer.link.sent]]);

  return {
    runsOnLast: false,
    postcopy: sourcePostcopy(shared, { peer, sums }),
    opening: [],
    get peerGaveUp() {
      return peer.peerGaveUp;
    },
    get peerWillNever() {
      return peer.peerWillNever;
    },
    async agree(manifest, modes, ownership): Promise<Agreement> {
      shared.epoch = ownership?.epoch;
      await interrupt.wait(peer.link.sendMagic());
      const session = sessionOf(manifest, options.clock.nowMs(), ownership?.epoch, digests);
      shared.session = session;
      await peer.say({
        kind: "offer",
        manifest,
        ...(ownership === undefined ? {} : { ownership }),
        modes,
        session,
        digest: digestAlgorithm,
        heartbeatMs: heartbeatMs(peerTimeoutMs),
      });
      const answer = await peer.expectSoon("accepted", "refused");
      if (answer.kind === "refused") return { isRefused: true, misfits: answer.misfits };
      peer.link.keepAlive(answer.heartbeatMs, () => ({ kind: "alive" }));
      return { isRefused: false, misfits: answer.warnings };
    },
    openPages(channel, index) {
      const sum = digests.stream();
      sums.set(index + 1, sum);
      return openPageChannel(channel, digests, { session: shared.session, index }, sum);
    },
    async send(chunk) {
      sentBytes += chunk.length;
      await interrupt.wait(peer.link.sendStream(chunk));
    },
    flush: () => interrupt.wait(peer.link.flushStream()),
    endRound: (round) => peer.say({ kind: "round", round }),
    end: () => peer.say({ kind: "stream-end", sums: sumsOf(sums) }),
    async prepared() {
      compareSums(sumsOf(sums), (await peer.expect("prepared")).sums, "source");
    },
    async release(): Promise<Resumed> {
      const { epoch } = shared;
      await peer.say({ kind: "released", ...(epoch === undefined ? {} : { epoch }) });
      return await peer.expect("resumed");
    },
    async close(farewell: Farewell) {
      if (!peer.peerGaveUp && farewell.kind === "failed") {
        await peer.close({ kind: "failed", error: farewell.error.toJSON() });
      } else if (!peer.peerGaveUp && farewell.kind === "cancelled") await peer.close({ kind: "cancelled" });
      else await peer.close();
    },
  };
}

/** Tells this migration from others to the same destination. It need not be a secret: frames are verified, not signed. */
function sessionOf(manifest: Manifest, nowMs: number, epoch: number | undefined, digests: Digests): string {
  const text = `${nowMs} ${epoch ?? ""} ${JSON.stringify(manifest)}`;
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
  return digests.of(bytes).toString(16).padStart(16, "0");
}

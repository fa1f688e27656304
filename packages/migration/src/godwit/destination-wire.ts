// The destination's side of Godwit's protocol.
import type { Manifest } from "@godwit/core";
import type { AgreedModes } from "../capabilities.ts";
import { asMigrationError, migrationError } from "../codes.ts";
import { heartbeatMs } from "../options.ts";
import type { DestinationWire, DestinationWireOptions, Farewell, OwnershipCheck } from "../wire.ts";
import { type ControlMessage, encodeControl } from "./control.ts";
import { Conversation } from "./conversation.ts";
import { admitting, type DestinationShared, destinationPostcopy, PackageSums } from "./destination-postcopy.ts";
import { type Digests, digestAlgorithm, type StreamDigest } from "./digest.ts";
import { maxControlFrameBytes } from "./framing.ts";
import { readPageChannel } from "./page-channel.ts";
import { type Misfit, misfits, modeMisfits } from "./preamble.ts";
import { type ChannelSum, compareSums, sumsOf } from "./stream-sum.ts";

/** The source is told of received bytes at each round's end, and whenever so many came since. Bytes. */
const receivedEveryBytes = 1024 * 1024;

export function godwitDestinationWire(options: DestinationWireOptions, digests: Digests): DestinationWire {
  const { interrupt, peerTimeoutMs } = options;
  let toldBytes = 0;
  let sourceHeartbeatMs = 0;
  let isRefused = false;
  let isEnded = false;
  const inBackground = (sending: Promise<void>): void => {
    sending.catch((error: unknown) => interrupt.raise(asMigrationError(error, "destination")));
  };
  // One at a time, and then the newest: a source that does not listen must not make this side hold its news.
  let isTelling = false;
  /** A round has ended meanwhile: the source waits for the answer. */
  let isOwed = false;
  const tellReceived = (): void => {
    if (isTelling) return;
    toldBytes = peer.link.received.bytes;
    isTelling = true;
    const telling = peer.link.send({ kind: "received", bytes: toldBytes });
    inBackground(
      telling.then(() => {
        isTelling = false;
        if (isOwed && toldBytes < peer.link.received.bytes) tellReceived();
        isOwed = false;
      }),
    );
  };
  const peer: Conversation = new Conversation({
    ...options,
    digests,
    side: "destination",
    // Not before the source has shown that it is Godwit: a QEMU would take our bytes for an answer of its own kind.
    opened: () => inBackground(peer.link.sendMagic()),
    stream(bytes) {
      if (isEnded) {
        throw migrationError("PROTOCOL_ORDER", "stream bytes came after the end of the stream", {
          side: "destination",
          found: `${bytes.length} bytes`,
        });
      }
      const busy = options.stream(bytes);
      if (peer.link.received.bytes - toldBytes >= receivedEveryBytes) tellReceived();
      return busy;
    },
    atOnce(message: ControlMessage) {
      isEnded ||= message.kind === "stream-end";
      packaged.hear(message, sums);
      if (message.kind !== "round") return false;
      options.roundEnded(message.round);
      isOwed = isTelling;
      tellReceived();
      return true;
    },
  });

  const sums = new Map<number, StreamDigest>([[0, peer.link.received]]);
  const packaged = new PackageSums();
  const shared: DestinationShared = { options, digests, session: "" };
  let epoch: number | undefined;
  let pagesMoved = (): void => {};

  /** The main connection may be ahead of those of pages, whose last frame holds nothing that the stream waits for. */
  const caughtUp = async (sent: readonly ChannelSum[]): Promise<void> => {
    // The word came over the main one, behind all of its stream.
    const isBehind = ({ channel, bytes }: ChannelSum): boolean =>
      channel !== 0 && (sums.get(channel)?.bytes ?? 0) < bytes;
    while (sent.some(isBehind)) {
      const stop = options.clock.after(peerTimeoutMs, () => {
        const detail = `no channel has brought what was sent over it for ${peerTimeoutMs} ms`;
        interrupt.raise(migrationError("PEER_SILENT", detail, { side: "destination" }));
      });
      try {
        await interrupt.race<void>((resolve) => {
          pagesMoved = () => resolve();
          return undefined;
        });
      } finally {
        stop();
      }
    }
  };

  return {
    command: () => false,
    async *readPages(channel) {
      for await (const bytes of readPageChannel(channel, digests, admitting(shared, sums))) {
        pagesMoved();
        yield bytes;
      }
      pagesMoved();
    },
    postcopy: destinationPostcopy(shared, { peer, sums }),
    get receivedBytes() {
      return peer.link.received.bytes;
    },
    async agree(manifest: Manifest, modes: AgreedModes, ownership?: OwnershipCheck, judge = misfitsOf(manifest)) {
      const offer = await peer.expectSoon("offer");
      sourceHeartbeatMs = offer.heartbeatMs;
      shared.session = offer.session;
      epoch = offer.ownership?.epoch;
      const found: Misfit[] = [...modeMisfits(offer.modes, modes), ...judge(offer.manifest)];
      if (offer.digest !== digestAlgorithm) {
        const digestMisfit = {
          subject: "stream digest",
          refuses: true,
          expected: digestAlgorithm,
          found: offer.digest,
        };
        found.unshift({ code: "CAPABILITY_MISMATCH", ...digestMisfit });
      }
      if (ownership !== undefined) found.unshift(...(await interrupt.wait(ownership(offer.ownership))));
      if (found.some((misfit) => misfit.refuses)) {
        await peer.say({ kind: "refused", misfits: sayable(found) });
        isRefused = true;
      }
      return found;
    },
    async accept(warnings) {
      await peer.say({ kind: "accepted", heartbeatMs: heartbeatMs(peerTimeoutMs), warnings: sayable(warnings) });
      peer.link.keepAlive(sourceHeartbeatMs, () => ({ kind: "received", bytes: peer.link.received.bytes }));
    },
    async ended() {
      const end = await peer.expect("stream-end", "package-end");
      if (end.kind === "stream-end") await caughtUp(end.sums);
      compareSums(end.sums, packaged.sums ?? sumsOf(sums), "destination");
      return end.kind === "package-end" ? "package" : "whole";
    },
    async prepared() {
      await peer.say({ kind: "prepared", sums: packaged.sums ?? sumsOf(sums) });
      const released = await peer.expectSoon("released");
      if (released.epoch === epoch) return;
      throw migrationError("PROTOCOL_ORDER", "the machine was released in another epoch than it was offered in", {
        side: "destination",
        expected: String(epoch),
        found: String(released.epoch),
      });
    },
    resumed: (times) => peer.say({ kind: "resumed", ...times }),
    async close(farewell: Farewell) {
      if (farewell.kind === "failed" && farewell.error.code === "PROTOCOL_VERSION") {
        // The answer to a version that is not spoken here is the one that is.
        inBackground(peer.link.sendMagic());
        await peer.close();
      } else if (!peer.isOpen || peer.peerGaveUp || isRefused || quiet.includes(farewell.kind)) await peer.close();
      else if (farewell.kind === "failed") {
        await peer.close({ kind: "failed", error: farewell.error.toJSON(), ...neverOf(farewell) });
      } else await peer.close({ kind: "cancelled", ...(farewell.kind === "cancelled" ? neverOf(farewell) : {}) });
    },
  };
}

/** Of so many that no message holds them: those that one does hold, and how many more there are. */
function sayable(found: readonly Misfit[]): readonly Misfit[] {
  let told = found;
  for (let kept = found.length; ; ) {
    const { length } = encodeControl({ kind: "refused", misfits: told });
    if (length <= maxControlFrameBytes) return told;
    kept = Math.min(kept - 1, Math.floor((0.9 * kept * maxControlFrameBytes) / length));
    const left = found.slice(kept);
    const refuses = left.some((misfit) => misfit.refuses);
    const more = { subject: "others", refuses, expected: "", found: `${left.length} more` };
    told = [...found.slice(0, kept), { code: left[0]?.code ?? "PREAMBLE_MISFIT", ...more }];
  }
}

const misfitsOf =
  (manifest: Manifest) =>
  (offered: Manifest): readonly Misfit[] =>
    misfits(offered, manifest);

/** What is no end of the machine's, and is not said. */
const quiet: readonly Farewell["kind"][] = ["completed", "in-doubt", "lost"];

function neverOf({ never }: { readonly never?: boolean }): { never?: true } {
  return never === true ? { never } : {};
}

// Byte count and digest of everything that was sent, channel by channel, as both sides state and compare them.

import type { Side } from "@godwit/core";
import { migrationError } from "../codes.ts";
import { digestAlgorithm, type StreamDigest } from "./digest.ts";

/** Of one connection: 0 is the main one, from 1 on those of pages. */
export interface ChannelSum {
  readonly channel: number;
  readonly bytes: number;
  readonly digest: string;
}

export function sumsOf(digests: ReadonlyMap<number, StreamDigest>): ChannelSum[] {
  return [...digests]
    .map(([channel, digest]) => ({ channel, bytes: digest.bytes, digest: digest.value() }))
    .toSorted((a, b) => a.channel - b.channel);
}

/**
 * Of the main connection alone: at the end of post-copy's package those of pages may be ahead of it, or not even be known
 * over there. They have their turn at the end.
 */
export function mainSumOf(digests: ReadonlyMap<number, StreamDigest>): ChannelSum[] {
  return sumsOf(digests).filter(({ channel }) => channel === 0);
}

/** `DIGEST_MISMATCH` unless what one side sent is what the other received, on every channel. */
export function compareSums(sent: readonly ChannelSum[], received: readonly ChannelSum[], side: Side): void {
  const [expected, found] = [sent, received].map((sums) => sums.map(format).join("; "));
  if (expected === found) return;
  throw migrationError("DIGEST_MISMATCH", "what arrived is not what was sent", { side, expected, found });
}

function format({ channel, bytes, digest }: ChannelSum): string {
  return `channel ${channel}: ${bytes} bytes, ${digestAlgorithm} ${digest}`;
}

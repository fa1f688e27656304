// Byte count and digest of a stream, as both sides state and compare them.

import type { Side } from "@godwit/core";
import { migrationError } from "./codes.ts";
import { digestAlgorithm, type StreamDigest } from "./digest.ts";

export interface StreamSum {
  readonly bytes: number;
  readonly digest: string;
}

export function sumOf(digest: StreamDigest): StreamSum {
  return { bytes: digest.bytes, digest: digest.value() };
}

/** `DIGEST_MISMATCH` unless what one side sent is what the other received. */
export function compareSums(sent: StreamSum, received: StreamSum, side: Side): void {
  if (sent.bytes === received.bytes && sent.digest === received.digest) return;
  throw migrationError("DIGEST_MISMATCH", "what arrived is not what was sent", {
    side,
    expected: format(sent),
    found: format(received),
  });
}

function format({ bytes, digest }: StreamSum): string {
  return `${bytes} bytes, ${digestAlgorithm} ${digest}`;
}

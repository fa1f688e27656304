// A connection between Godwit peers that brings pages beside the main one: its opening, and frames like the main one's.
import { isMigrationError } from "@godwit/core";
import { migrationError } from "../codes.ts";
import type { Channel } from "../host.ts";
import type { PageChannel } from "../wire.ts";
import type { Digests, StreamDigest } from "./digest.ts";
import { FrameReader, FrameWriter, frameType, maxStreamFrameBytes } from "./framing.ts";
import { protocolVersion } from "./magic.ts";

/** "GDWC" */
const magic = 0x47445743;
const sessionBytes = 8;
/** be32 magic, be32 version, 8 bytes of the session that the offer named, be32 channel number from 0. */
const openingBytes = 8 + sessionBytes + 4;

export interface PageOpening {
  /** 16 hexadecimal digits. */
  readonly session: string;
  readonly index: number;
}

function encodeOpening({ session, index }: PageOpening): Uint8Array {
  const bytes = new Uint8Array(openingBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, magic);
  view.setUint32(4, protocolVersion);
  for (let i = 0; i < sessionBytes; i++) bytes[8 + i] = Number.parseInt(session.slice(2 * i, 2 * i + 2), 16);
  view.setUint32(8 + sessionBytes, index);
  return bytes;
}

/** `PROTOCOL_VERSION`, `PEER_KIND`. */
function decodeOpening(bytes: Uint8Array): PageOpening {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (view.getUint32(0) !== magic) throw migrationError("PEER_KIND", "this connection does not bring pages");
  const version = view.getUint32(4);
  if (version !== protocolVersion) {
    throw migrationError("PROTOCOL_VERSION", "a connection of pages speaks another version of Godwit's protocol", {
      offset: 4,
      expected: String(protocolVersion),
      found: String(version),
    });
  }
  const session = Array.from(bytes.subarray(8, 8 + sessionBytes), (byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
  return { session, index: view.getUint32(8 + sessionBytes) };
}

/** The sending end; `sum` is of all that was sent. */
export async function openPageChannel(channel: Channel, digests: Digests, opening: PageOpening, sum: StreamDigest) {
  const writer = new FrameWriter(digests);
  await channel.send(encodeOpening(opening));
  const page: PageChannel = {
    async send(bytes) {
      for (let at = 0; at < bytes.length; at += maxStreamFrameBytes) {
        const payload = bytes.subarray(at, at + maxStreamFrameBytes);
        const { header, digest } = writer.head(frameType.stream, payload);
        sum.add(payload.length, digest);
        await Promise.all([channel.send(header), channel.send(payload)]);
      }
    },
    close: () => channel.close(),
    abort: (error) => channel.abort(error),
  };
  return page;
}

/** The receiving end: hands on what is verified. `admit` refuses an opening, and gives the sum that is kept. */
export async function* readPageChannel(
  channel: Channel,
  digests: Digests,
  admit: (opening: PageOpening) => StreamDigest,
): AsyncGenerator<Uint8Array> {
  let head = new Uint8Array(0);
  let sum: StreamDigest | undefined;
  const whole: Uint8Array[] = [];
  const frames = new FrameReader(digests, {
    control: () => {
      throw migrationError("PROTOCOL_FRAME", "a connection of pages brings no messages", { side: "destination" });
    },
    stream(payload, digest) {
      sum?.add(payload.length, digest);
      whole.push(payload);
    },
  });
  try {
    for await (const chunk of channel.receive()) {
      let rest = chunk;
      if (sum === undefined) {
        const joined = new Uint8Array(head.length + chunk.length);
        joined.set(head);
        joined.set(chunk, head.length);
        head = joined;
        if (head.length < openingBytes) continue;
        sum = admit(decodeOpening(head));
        rest = head.subarray(openingBytes);
      }
      frames.push(rest);
      yield* whole.splice(0);
      channel.recycle?.(chunk);
    }
  } catch (error) {
    throw isMigrationError(error) ? error.at({ side: "destination" }) : error;
  }
  if (sum !== undefined && frames.atBoundary) return;
  throw migrationError("PEER_CLOSED", "a connection of pages ended in the middle of a frame", { side: "destination" });
}

// One connection to a peer engine: opening, frames, heartbeats, and the watch over a peer that falls silent.
import { isMigrationError, type MigrationError, type Side } from "@godwit/core";
import { BufferedBytes, type ChannelBytes, mostMainBytes } from "../buffered.ts";
import { migrationError } from "../codes.ts";
import type { Channel, HostClock } from "../host.ts";
import { longestTimerMs } from "../options.ts";
import { type ControlMessage, decodeControl, encodeControl } from "./control.ts";
import type { Digests, StreamDigest } from "./digest.ts";
import { FrameReader, FrameWriter, frameType, maxStreamFrameBytes } from "./framing.ts";
import { encodeMagic, MagicReader } from "./magic.ts";

/** From this size on, a copy into the frame costs more than a second, small write. Bytes. */
const directBytes = 64 * 1024;
/** A peer that wants to hear more often than this is not served. Milliseconds. */
const shortestHeartbeatMs = 10;

export interface LinkHandlers {
  /** The peer has opened with its magic. */
  opened(): void;
  /** A piece of the stream; not to be kept. A promise: nothing more is read until it is kept. */
  stream(bytes: Uint8Array): Promise<void> | undefined;
  control(message: ControlMessage): void;
  /** Called once: nothing more will be read. */
  lost(error: MigrationError): void;
}

export interface LinkOptions {
  readonly channel: Channel;
  readonly clock: HostClock;
  readonly side: Side;
  /** How long the peer may say nothing, or take nothing of what is sent. Milliseconds. */
  readonly peerTimeoutMs: number;
  readonly digests: Digests;
  /** Where what is held here is counted. */
  readonly buffered?: BufferedBytes | undefined;
  readonly handlers: LinkHandlers;
}

export class Link {
  readonly #channel: Channel;
  readonly #clock: HostClock;
  readonly #side: Side;
  readonly #peerTimeoutMs: number;
  readonly #handlers: LinkHandlers;
  readonly #held: ChannelBytes;
  readonly #magic = new MagicReader();
  readonly #frames: FrameReader;
  readonly #writer: FrameWriter;
  /** Of the stream that was handed to the transport, and of the one that came. */
  readonly sent: StreamDigest;
  readonly received: StreamDigest;
  readonly #frame = new Uint8Array(maxStreamFrameBytes);
  #frameBytes = 0;
  /** Of a frame that is not whole yet, as it is counted. */
  #gatheredBytes = 0;
  #opened = false;
  /** What the stream has to wait for before more of it is read. */
  #busy: Promise<void> | undefined;
  #lost = false;
  #heardMs: number;
  #sentMs: number;
  /** When the oldest send began that is not through yet. */
  #sendingSinceMs: number | undefined;
  #sends = 0;
  #stopWatch: (() => void) | undefined;
  #stopHeartbeat: (() => void) | undefined;

  /** Begins to read, and to watch. */
  constructor(options: LinkOptions) {
    this.#channel = options.channel;
    this.#clock = options.clock;
    this.#side = options.side;
    this.#peerTimeoutMs = options.peerTimeoutMs;
    this.#handlers = options.handlers;
    this.#held = (options.buffered ?? new BufferedBytes()).channel(mostMainBytes);
    this.#heardMs = this.#sentMs = options.clock.nowMs();
    this.#writer = new FrameWriter(options.digests);
    this.sent = options.digests.stream();
    this.received = options.digests.stream();
    this.#frames = new FrameReader(options.digests, {
      control: (payload) => this.#handlers.control(decodeControl(payload)),
      stream: (bytes, digest) => {
        this.received.add(bytes.length, digest);
        this.#busy = this.#handlers.stream(bytes) ?? this.#busy;
      },
    });
    this.#watch(this.#peerTimeoutMs);
    void this.#read();
  }

  sendMagic(): Promise<void> {
    return this.#send(encodeMagic());
  }

  send(message: ControlMessage): Promise<void> {
    return this.#send(this.#writer.control(encodeControl(message)));
  }

  /**
   * Adds to the stream. Small pieces are gathered into a frame, large ones sent as they are; resolves when the
   * transport has taken what was sent, so that never more than one frame waits here, and `bytes` may be used again.
   * Call `flushStream` before anything depends on what was gathered.
   */
  async sendStream(bytes: Uint8Array): Promise<void> {
    if (bytes.length > maxStreamFrameBytes - this.#frameBytes) await this.flushStream();
    let at = 0;
    for (; bytes.length - at >= directBytes; at += maxStreamFrameBytes) {
      if (this.#frameBytes > 0) await this.flushStream();
      await this.#sendFrame(bytes.subarray(at, at + maxStreamFrameBytes));
    }
    if (at >= bytes.length) return;
    this.#held.add(bytes.length - at);
    this.#frame.set(bytes.subarray(at), this.#frameBytes);
    this.#frameBytes += bytes.length - at;
  }

  /** Sends what was gathered. */
  async flushStream(): Promise<void> {
    const length = this.#frameBytes;
    if (length === 0) return;
    this.#frameBytes = 0;
    this.#held.remove(length);
    await this.#sendFrame(this.#frame.subarray(0, length));
  }

  async #sendFrame(payload: Uint8Array): Promise<void> {
    const { header, digest } = this.#writer.head(frameType.stream, payload);
    this.sent.add(payload.length, digest);
    await Promise.all([this.#send(header), this.#send(payload)]);
  }

  /** Says something whenever nothing was said for as long as the peer asked for. */
  keepAlive(wantedMs: number, message: () => ControlMessage): void {
    this.#stopHeartbeat?.();
    const everyMs = Math.min(Math.max(wantedMs, shortestHeartbeatMs), longestTimerMs);
    const beat = (): void => {
      const silentMs = this.#clock.nowMs() - this.#sentMs;
      // Behind a connection that is full already, more words would only pile up.
      if (silentMs >= everyMs && this.#sends === 0) this.send(message()).catch((error: unknown) => this.#lose(error));
      const dueMs = silentMs >= everyMs ? everyMs : everyMs - silentMs;
      this.#stopHeartbeat = this.#clock.after(dueMs, beat);
    };
    this.#stopHeartbeat = this.#clock.after(everyMs, beat);
  }

  /** Says a last word and closes in good order; what is not through after `graceMs` is cut off. */
  async close(graceMs: number, lastWord?: ControlMessage): Promise<void> {
    this.#stopTimers();
    this.#lost = true;
    // What was gathered goes no more.
    this.#held.remove(this.#frameBytes);
    this.#frameBytes = 0;
    const stopGrace = this.#clock.after(graceMs, () => {
      this.#channel.abort(migrationError("PEER_SILENT", "the peer does not let the connection close"));
    });
    try {
      if (lastWord !== undefined) await this.send(lastWord);
      await this.#channel.close();
    } catch {
      // The connection is gone already, and the reason why it is closed is the one that counts.
      this.#channel.abort(migrationError("PEER_CLOSED", "the connection is closed"));
    } finally {
      stopGrace();
    }
  }

  async #send(bytes: Uint8Array): Promise<void> {
    this.#held.add(bytes.length);
    this.#sentMs = this.#clock.nowMs();
    this.#sendingSinceMs ??= this.#sentMs;
    this.#sends++;
    try {
      await this.#channel.send(bytes);
    } finally {
      this.#held.remove(bytes.length);
      this.#sends--;
      // Sends end in their order: those that are left began no earlier than this one, and the transport moves.
      this.#sendingSinceMs = this.#sends === 0 ? undefined : this.#clock.nowMs();
      this.#sentMs = this.#clock.nowMs();
    }
  }

  async #read(): Promise<void> {
    try {
      for await (const chunk of this.#channel.receive()) {
        if (this.#lost) return;
        this.#heardMs = this.#clock.nowMs();
        const chunkBytes = chunk.length;
        this.#held.add(chunkBytes);
        try {
          this.#take(chunk);
          while (this.#busy !== undefined) await this.#pauseReading(this.#busy);
        } finally {
          this.#held.remove(chunkBytes);
        }
        this.#channel.recycle?.(chunk);
      }
      this.#lose(migrationError("PEER_CLOSED", "the peer closed the connection before the migration was over"));
    } catch (error) {
      this.#lose(error);
    } finally {
      // The rest of it does not come any more.
      this.#gathered(0);
    }
  }

  #gathered(bytes: number): void {
    const more = bytes - this.#gatheredBytes;
    this.#gatheredBytes = bytes;
    if (more > 0) this.#held.add(more);
    else this.#held.remove(-more);
  }

  async #pauseReading(busy: Promise<void>): Promise<void> {
    await busy;
    if (this.#busy === busy) this.#busy = undefined;
    this.#heardMs = this.#clock.nowMs();
  }

  #take(chunk: Uint8Array): void {
    const rest = this.#opened ? chunk : this.#magic.push(chunk);
    if (rest === undefined) return;
    if (!this.#opened) {
      this.#opened = true;
      this.#handlers.opened();
    }
    this.#frames.push(rest);
    this.#gathered(this.#frames.heldBytes);
  }

  #watch(delayMs: number): void {
    this.#stopWatch = this.#clock.after(delayMs, () => {
      const nowMs = this.#clock.nowMs();
      // A peer is not heard while it is not listened to.
      const silentMs = this.#busy === undefined ? nowMs - this.#heardMs : 0;
      const stuckMs = nowMs - (this.#sendingSinceMs ?? nowMs);
      const worstMs = Math.max(silentMs, stuckMs);
      if (worstMs < this.#peerTimeoutMs) return this.#watch(this.#peerTimeoutMs - worstMs);
      this.#lose(silenceError(this.#opened, silentMs >= stuckMs ? silentMs : undefined, stuckMs));
    });
  }

  #lose(error: unknown): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#stopTimers();
    const known = isMigrationError(error)
      ? error
      : migrationError("PEER_CLOSED", "the connection failed", { cause: error });
    this.#handlers.lost(known.location.side === undefined ? known.at({ side: this.#side }) : known);
  }

  #stopTimers(): void {
    this.#stopWatch?.();
    this.#stopHeartbeat?.();
  }
}

function silenceError(opened: boolean, silentMs: number | undefined, stuckMs: number) {
  if (silentMs === undefined) {
    return migrationError("PEER_SILENT", `the peer has taken nothing for ${Math.round(stuckMs)} ms`);
  }
  return migrationError("PEER_SILENT", `the peer has said nothing for ${Math.round(silentMs)} ms${hintOf(opened)}`);
}

/** Silence before the opening may be a QEMU's, which waits for a stream of its own kind. */
export function hintOf(isOpen: boolean): string {
  return isOpen ? "" : "; if it is a QEMU, say peer=qemu";
}

// What a wire adds where post-copy was agreed on.
import type { Channel } from "../host.ts";
import type { Interrupt } from "../interrupt.ts";
import type { PageChannel, Resumed, WireCommand } from "../wire.ts";
import type { PageMessage } from "./messages.ts";

/**
 * The source's side.
 *
 * ```mermaid
 * stateDiagram-v2
 *   [*] --> agreed
 *   agreed --> packaged: packaged
 *   packaged --> running: running
 *   running --> over: finished
 *   [*] --> resuming: resume
 *   resuming --> running: resumed
 * ```
 */
export interface SourcePostcopyWire {
  /** Commands of the wire's own (QEMU's PINGs): before the package, and in it behind the devices. */
  readonly commands?: { readonly before: readonly WireCommand[]; readonly inside: readonly WireCommand[] } | undefined;
  /**
   * From now on page messages go to this function; what it throws is the destination's fault. `bitmapBytes`: of a block's
   * bitmap; undefined where there is no such block.
   */
  hear(handler: (message: PageMessage) => void, bitmapBytes: (idstr: string) => number | undefined): void;
  /** The package was sent, as far as it is not held back. Resolves when the destination is ready to own the machine. */
  packaged(): Promise<void>;
  /** Gives the machine away, with what was held back. Resolves when it is known to run over there. */
  running(last: Uint8Array | undefined): Promise<Resumed>;
  /** The stream was sent to its end. Resolves when the destination has everything. */
  finished(): Promise<void>;
  /**
   * Another connection goes on with this migration. Resolves when the destination has taken it up; then it says, by
   * `hear`, what it has. The stream goes on between two sections.
   */
  resume(channel: Channel, interrupt: Interrupt): Promise<SourcePagesWire>;
}

/** A connection as post-copy uses it. */
export interface SourcePagesWire {
  readonly peerGaveUp: boolean;
  /** The destination has had everything for long: its word was lost with the connection before. */
  readonly isComplete?: boolean;
  openPages(channel: Channel, index: number): Promise<PageChannel>;
  send(chunk: Uint8Array): Promise<void>;
  flush(): Promise<void>;
  readonly postcopy?: SourcePostcopyWire | undefined;
  close(farewell: { readonly kind: "completed" | "in-doubt" }): Promise<void>;
}

/** The destination's side. */
export interface DestinationPostcopyWire {
  say(message: PageMessage): Promise<void>;
  /** The machine runs here, and pages are still to come. */
  running(times: { readonly prepareMs: number; readonly commitMs: number }): Promise<void>;
  /**
   * Resolves when the stream has come to its end, and is what was sent; `channelsEnded`: so have those beside it, or
   * their last record has, where such a connection stays open (QEMU).
   */
  finished(channelsEnded: (atLastRecord?: boolean) => Promise<void>): Promise<void>;
  /** Everything is here. */
  complete(): Promise<void>;
  /** Another connection, by which the source goes on. Resolves when it has said so, and waits for what is missing. */
  resume(channel: Channel, interrupt: Interrupt): Promise<DestinationPagesWire>;
  /** Everything is here, and the source has not heard it: says so by another connection, and closes that. */
  completeAgain?(channel: Channel, interrupt: Interrupt): Promise<void>;
}

export interface DestinationPagesWire {
  readonly postcopy?: DestinationPostcopyWire | undefined;
  readPages(channel: Channel): AsyncIterable<Uint8Array>;
  close(farewell: { readonly kind: "completed" | "lost" }): Promise<void>;
}

// How a driver speaks to its peer. Two wires serve it: Godwit's protocol, and QEMU's own.
import type { Manifest, MigrationError } from "@godwit/core";
import type { BufferedBytes } from "./buffered.ts";
import type { AgreedModes } from "./capabilities.ts";
import type { Misfit } from "./godwit/preamble.ts";
import type { Channel, HostClock } from "./host.ts";
import type { Interrupt } from "./interrupt.ts";
import type { OwnershipOffer } from "./ownership/holder.ts";
import type { DestinationPostcopyWire, SourcePostcopyWire } from "./postcopy/wire.ts";

/** A command of QEMU's stream (wire reference 9.1). */
export interface WireCommand {
  readonly command: number;
  readonly payload: Uint8Array;
}

export interface WireOptions {
  readonly channel: Channel;
  readonly clock: HostClock;
  /** How long the peer may say nothing, or take nothing. Milliseconds. */
  readonly peerTimeoutMs: number;
  /** Ends every wait of the attempt; the wire raises it when the connection is lost or the peer gives up. */
  readonly interrupt: Interrupt;
  /** Where what is held of the connection is counted. */
  readonly buffered?: BufferedBytes;
}

/** What the destination thinks of the machine, before the first page. */
export interface Agreement {
  readonly isRefused: boolean;
  /** Why it refuses; where it takes the machine, what it noticed all the same. */
  readonly misfits: readonly Misfit[];
}

/** Times by the destination's clock, where its protocol tells them. Milliseconds. */
export interface Resumed {
  readonly prepareMs: number | undefined;
  readonly commitMs: number | undefined;
}

/** The sending end of a connection that brings pages beside the main one. */
export interface PageChannel {
  /** Resolves when the transport has taken the bytes, which must not change until then. */
  send(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
  abort(error: unknown): void;
}

/** Why a side hangs up: what it tells its peer, if that does not know it already. */
export type Farewell =
  | { readonly kind: "completed" | "in-doubt" | "lost" }
  /** `never`: a destination that will not run the machine, whatever it still hears, and has that in its record. */
  | { readonly kind: "cancelled"; readonly never?: boolean }
  | { readonly kind: "failed"; readonly error: MigrationError; readonly never?: boolean };

export interface SourceWireOptions extends WireOptions {
  /** The destination is known to have decoded so many bytes of the stream. */
  decoded(bytes: number): void;
}

/**
 * The source's side of a connection.
 *
 * ```mermaid
 * stateDiagram-v2
 *   [*] --> open
 *   open --> agreed: agree
 *   agreed --> agreed: send, flush, endRound
 *   agreed --> ended: end
 *   ended --> prepared: prepared
 *   prepared --> released: release
 * ```
 *
 * Nothing that was sent before `release` lets a destination run the machine.
 */
export interface SourceWire {
  /**
   * True where a destination runs what it has got without being told to (QEMU): the bytes that let it are held back
   * until `release`.
   */
  readonly runsOnLast: boolean;
  /** Commands that stand before the first START section. */
  readonly opening: readonly WireCommand[];
  /** The destination has said that it does not run the machine. */
  readonly peerGaveUp: boolean;
  /** And that it never will, durably: what was released is this side's again. */
  readonly peerWillNever?: boolean;
  agree(manifest: Manifest, modes: AgreedModes, ownership?: OwnershipOffer): Promise<Agreement>;
  /** Makes a connection the one of pages with this number, from 0. */
  openPages(channel: Channel, index: number): Promise<PageChannel>;
  /** Adds to the stream. Resolves when the transport has taken it; the bytes may then change. */
  send(chunk: Uint8Array): Promise<void>;
  flush(): Promise<void>;
  /** A round is over: the destination is asked to say when it has decoded all so far, by `decoded`. */
  endRound(round: number, write: (command: WireCommand) => Promise<void>): Promise<void>;
  /** All was sent, but what is held back. */
  end(): Promise<void>;
  /** Resolves when the destination is ready to own the machine, as far as it can tell. `DIGEST_MISMATCH`. */
  prepared(): Promise<void>;
  /** Gives the machine away, with the bytes that were held back. Resolves when it is known to run over there. */
  release(last: Uint8Array | undefined): Promise<Resumed>;
  /** Absent where this wire knows no post-copy. */
  readonly postcopy?: SourcePostcopyWire | undefined;
  close(farewell: Farewell): Promise<void>;
}

export interface DestinationWireOptions extends WireOptions {
  /** A piece of the stream, in order; not to be kept. A promise: nothing more is read until it is kept. */
  stream(bytes: Uint8Array): Promise<void> | undefined;
  /** The source has ended a round. */
  roundEnded(round: number): void;
}

/** What speaks against owning the machine in the epoch that is offered; without an offer, the source keeps no record. */
export type OwnershipCheck = (offer: OwnershipOffer | undefined) => Promise<readonly Misfit[]>;

/** The destination's side of a connection. */
export interface DestinationWire {
  /** Of the stream so far. Bytes. */
  readonly receivedBytes: number;
  /** Hears what the source wants to send; what does not fit, refusing or not. After a refusal the source knows. */
  agree(
    manifest: Manifest,
    modes: AgreedModes,
    ownership?: OwnershipCheck,
    judge?: (offered: Manifest) => readonly Misfit[],
  ): Promise<readonly Misfit[]>;
  /** What a connection of pages brings, as far as it is what was sent. */
  readPages(channel: Channel): AsyncIterable<Uint8Array>;
  /**
   * A command of the stream, at its place. True: it was for the wire (PING, OPEN_RETURN_PATH); false: it was for the
   * machine's memory, or for nobody.
   */
  command(command: WireCommand & { readonly name: string; readonly offset: number }): boolean;
  /** This side is ready for the stream. */
  accept(warnings: readonly Misfit[]): Promise<void>;
  /** Resolves when the stream is over, or at the end of post-copy's package. `DIGEST_MISMATCH`. */
  ended(): Promise<"whole" | "package">;
  /** Every state is checked. Resolves when the machine is this side's own. */
  prepared(): Promise<void>;
  /** The machine runs here. */
  resumed(times: { readonly prepareMs: number; readonly commitMs: number }): Promise<void>;
  /** Absent where this wire knows no post-copy. */
  readonly postcopy?: DestinationPostcopyWire | undefined;
  close(farewell: Farewell): Promise<void>;
}

// What every transport gives: an ordered, reliable channel of bytes, and how to come by one.

/**
 * One connection. Bytes arrive whole and in order, or the channel fails; chunk boundaries mean nothing.
 *
 * A channel keeps little itself: of what is sent nothing (a send waits with the caller's own buffer until the system below
 * has it), of what arrives one chunk beyond what a reader has asked for. Two keep more, and say how much: memory what
 * `bufferBytes` allows, a WebSocket 1 MiB each way, for it has no back-pressure of its own. So whoever counts what it has
 * handed over and not seen resolved knows what a channel holds, and a channel need not tell.
 *
 * ```mermaid
 * stateDiagram-v2
 *   [*] --> open
 *   open --> closing: close()
 *   closing --> closed: all that was sent is handed over
 *   open --> ended: the peer closed; what it sent before is still read
 *   ended --> closing: close()
 *   open --> failed: abort(error), or the network
 *   closing --> failed: abort(error), or the network
 *   ended --> failed: abort(error), or the network
 * ```
 */
export interface Channel {
  /**
   * Hands bytes over, after those of earlier calls. Resolves when the transport can take more, and from then on the
   * caller may use its buffer again; until then the buffer must not change. `TRANSPORT_CLOSED` after `close`, or when
   * the connection is gone; after `abort`, its error.
   */
  send(bytes: Uint8Array): Promise<void>;
  /**
   * What the peer sent. A chunk belongs to the reader. Ends when the peer closed; throws `TRANSPORT_CLOSED` when the
   * connection broke, and the error of a local `abort`. Nothing more is taken from the network than a reader asks for,
   * beyond one chunk. Leaving a loop early loses nothing: the next loop goes on where the last one left.
   */
  receive(): AsyncIterable<Uint8Array>;
  /**
   * The reader is done with a chunk of `receive`, and holds no view of it: its memory is free at once, and not whenever
   * it is collected, which is late where a process holds much else. A chunk need not be given back.
   */
  recycle?(chunk: Uint8Array): void;
  /**
   * Ends the channel in good order: the peer gets all that was sent, then the end. What the peer still sends is thrown
   * away. Resolves when the last byte is handed over, or the channel failed instead. Where the end itself can fail, it
   * rejects with `TRANSPORT_CLOSED`: a file that cannot take its name, a command that ends with another code than 0.
   */
  close(): Promise<void>;
  /**
   * Breaks the channel at once; both sides fail, this one with `error`. Bytes under way may be lost. Where the network
   * knows no reset (unix), a peer that only reads cannot tell it from `close`.
   */
  abort(error: unknown): void;
}

export interface Listener {
  /** The address to connect to, with the real port where 0 was asked for. */
  readonly uri: string;
  /** The next connection, in order of arrival. `TRANSPORT_CLOSED` once the listener is closed. */
  accept(): Promise<Channel>;
  /** Accepts no more. Connections that nobody accepted are broken; accepted ones live on. */
  close(): Promise<void>;
}

export interface Transport {
  /** What stands before the first colon of its addresses. */
  readonly scheme: string;
  /** `TRANSPORT_UNSUPPORTED` for another scheme, `TRANSPORT_ADDRESS`, `TRANSPORT_REFUSED`. */
  connect(uri: string): Promise<Channel>;
  /** `TRANSPORT_UNSUPPORTED` for another scheme, `TRANSPORT_ADDRESS`. */
  listen(uri: string): Promise<Listener>;
}

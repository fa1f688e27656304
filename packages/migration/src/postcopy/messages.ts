// What the two sides say of pages once a machine runs ahead of them, by whichever wire.

/** What a destination says; `bitmap`: pages that it has, a bit each, page 0 lowest, in whole 64-bit words. */
export type PageMessage =
  /** Somebody waits for these bytes of the block. */
  | { readonly kind: "page-request"; readonly idstr: string; readonly start: number; readonly length: number }
  /** After a lost connection, one for each block. */
  | { readonly kind: "received-bitmap"; readonly idstr: string; readonly bitmap: Uint8Array }
  /** All bitmaps were said: pages may come. */
  | { readonly kind: "resume-ack" };

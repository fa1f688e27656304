// Where entropy comes from.

/**
 * Asked for one answer at a time. What throws or rejects goes to `onError`, and the driver's requests go on waiting; so
 * they do after an answer of no bytes. Bytes are handed out once: what no request had room for is thrown away.
 */
export interface EntropyBackend {
  /** Gives 1 to `bytes` bytes, at once or when it has some. */
  read(bytes: number): Uint8Array | Promise<Uint8Array>;
}

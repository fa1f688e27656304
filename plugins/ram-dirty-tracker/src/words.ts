// Pages looked at 32 bytes at a time: is one all zero, are two equal. Int32Array with eight words a step was the
// fastest of what every runtime has; a Float64Array would be as fast, but it takes -0 for 0 and no NaN for itself.

/** The bytes as 32-bit words, or undefined where they are not aligned to them. */
function wordsOf(bytes: Uint8Array): Int32Array | undefined {
  if (((bytes.byteOffset | bytes.length) & 3) !== 0) return undefined;
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

/** Memory, and the same as words where it is aligned: what one call of a handler looks at, made once for all pages. */
export interface WordView {
  readonly bytes: Uint8Array;
  readonly words: Int32Array | undefined;
}

export function wordView(bytes: Uint8Array): WordView {
  return { bytes, words: wordsOf(bytes) };
}

/** Whether `length` bytes at `offset` are zero; both are multiples of 32. */
export function isZero({ bytes, words }: WordView, offset: number, length: number): boolean {
  return words === undefined
    ? bytesAreZero(bytes, offset, offset + length)
    : wordsAreZero(words, wordAt(offset), wordAt(offset + length));
}

/** Whether `length` bytes at `offset` are the same in both; both are multiples of 32. */
export function isEqual(a: WordView, b: WordView, offset: number, length: number): boolean {
  return a.words === undefined || b.words === undefined
    ? bytesAreEqual(a.bytes, b.bytes, offset, offset + length)
    : wordsAreEqual(a.words, b.words, wordAt(offset), wordAt(offset + length));
}

/** A shift of the offset itself would take 4 GiB for 0; and words that are not there read as zero. */
const wordAt = (offset: number): number => (offset / 4) >>> 0;

function wordsAreZero(w: Int32Array, from: number, to: number): boolean {
  for (let i = from; i < to; i += 8) {
    let any = (w[i] as number) | (w[i + 1] as number) | (w[i + 2] as number) | (w[i + 3] as number);
    any |= (w[i + 4] as number) | (w[i + 5] as number) | (w[i + 6] as number) | (w[i + 7] as number);
    if (any !== 0) return false;
  }
  return true;
}

function wordsAreEqual(a: Int32Array, b: Int32Array, from: number, to: number): boolean {
  for (let i = from; i < to; i += 8) {
    let differ = ((a[i] as number) ^ (b[i] as number)) | ((a[i + 1] as number) ^ (b[i + 1] as number));
    differ |= ((a[i + 2] as number) ^ (b[i + 2] as number)) | ((a[i + 3] as number) ^ (b[i + 3] as number));
    differ |= ((a[i + 4] as number) ^ (b[i + 4] as number)) | ((a[i + 5] as number) ^ (b[i + 5] as number));
    differ |= ((a[i + 6] as number) ^ (b[i + 6] as number)) | ((a[i + 7] as number) ^ (b[i + 7] as number));
    if (differ !== 0) return false;
  }
  return true;
}

function bytesAreZero(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (bytes[i] !== 0) return false;
  return true;
}

function bytesAreEqual(a: Uint8Array, b: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (a[i] !== b[i]) return false;
  return true;
}

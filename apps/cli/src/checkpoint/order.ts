// The order of a recording's parts as numbers: LEB128, and zigzag where a number may be negative.

/** The longest number: 53 bits. Bytes. */
export const numberLimitBytes = 8;

/** Writes at `at`; where the next one goes. `value` is a safe integer, not negative. */
export function writeNumber(bytes: Uint8Array, at: number, value: number): number {
  let rest = value;
  let next = at;
  while (rest >= 0x80) {
    bytes[next++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  bytes[next++] = rest;
  return next;
}

export const zigzag = (value: number): number => (value < 0 ? -2 * value - 1 : 2 * value);
export const unzigzag = (value: number): number => (value % 2 === 0 ? value / 2 : -(value + 1) / 2);

/** Reads one number after the other; undefined where one is cut, or longer than can be. */
export class NumberReader {
  readonly #bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get ended(): boolean {
    return this.at === this.#bytes.length;
  }

  next(): number | undefined {
    let value = 0;
    let weight = 1;
    for (let i = 0; i < numberLimitBytes; i++) {
      const byte = this.#bytes[this.at++];
      if (byte === undefined) return undefined;
      value += (byte & 0x7f) * weight;
      if (byte < 0x80) return Number.isSafeInteger(value) ? value : undefined;
      weight *= 0x80;
    }
    return undefined;
  }
}

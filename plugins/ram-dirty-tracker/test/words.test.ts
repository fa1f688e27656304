import { describe, expect, it } from "vitest";
import { isEqual, isZero, wordView } from "../src/words.ts";

/** `length` bytes that begin `shift` bytes behind a word. */
const shifted = (length: number, shift: number): Uint8Array =>
  new Uint8Array(new ArrayBuffer(length + 8), shift, length);

describe.each([0, 1, 2, 3, 4])("memory that begins %i bytes behind a word", (shift) => {
  it("is zero only where every byte is", () => {
    const bytes = shifted(3 * 1024, shift);
    const view = wordView(bytes);
    expect(isZero(view, 1024, 1024)).toBe(true);
    for (let at = 0; at < bytes.length; at++) {
      bytes[at] = at % 2 === 0 ? 0x80 : 1;
      expect(isZero(view, 1024, 1024), `a byte at ${at}`).toBe(at < 1024 || at >= 2048);
      bytes[at] = 0;
    }
  });

  it("is equal only where every byte is", () => {
    const [a, b] = [shifted(3 * 1024, shift), shifted(3 * 1024, 0)];
    for (let i = 0; i < a.length; i++) a[i] = b[i] = i * 7;
    const [left, right] = [wordView(a), wordView(b)];
    expect(isEqual(left, right, 1024, 1024)).toBe(true);
    for (let at = 0; at < a.length; at++) {
      a[at] = (a[at] as number) ^ 0x80;
      expect(isEqual(left, right, 1024, 1024), `a byte at ${at}`).toBe(at < 1024 || at >= 2048);
      a[at] = (a[at] as number) ^ 0x80;
    }
  });
});

it("takes the bit patterns of -0 for no zero and of NaN for equal to themselves", () => {
  const bytes = new Uint8Array(1024);
  const floats = new Float64Array(bytes.buffer);
  floats[5] = -0;
  expect(isZero(wordView(bytes), 0, 1024)).toBe(false);
  floats[5] = Number.NaN;
  expect(isEqual(wordView(bytes), wordView(bytes.slice()), 0, 1024)).toBe(true);
});

it("looks at memory of 4 GiB, and at its last bytes", () => {
  const bytes = new Uint8Array(2 ** 32);
  const [from, length] = [bytes.length - 1024, 1024];
  expect(isZero(wordView(bytes), from, length)).toBe(true);
  bytes[bytes.length - 1] = 1;
  expect(isZero(wordView(bytes), from, length)).toBe(false);
  expect(isEqual(wordView(bytes), wordView(new Uint8Array(2 ** 32)), from, length)).toBe(false);
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { loadDigest } from "../src/digest.ts";
import { compareSums } from "../src/stream-sum.ts";

const newDigest = await loadDigest();
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

function digestOf(chunks: readonly Uint8Array[]): string {
  const digest = newDigest();
  for (const chunk of chunks) digest.update(chunk);
  return digest.value();
}

describe("the stream's digest", () => {
  it("is xxHash64, by its published values", () => {
    expect(digestOf([])).toBe("ef46db3751d8e999");
    expect(digestOf([utf8("a")])).toBe("d24ec4f1a98c6e5b");
    expect(digestOf([utf8("abc")])).toBe("44bc2cf5ad770999");
  });

  it("does not depend on how the bytes are cut", () => {
    const bytes = Uint8Array.from({ length: 700_001 }, (_, i) => Math.imul(i, 2654435761) >>> 24);
    const whole = digestOf([bytes]);
    fc.assert(
      fc.property(fc.array(fc.nat({ max: bytes.length }), { maxLength: 8 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        expect(digestOf(at.slice(1).map((to, i) => bytes.subarray(at[i], to)))).toBe(whole);
      }),
      { seed: 20_261_121, numRuns: 20 },
    );
  });

  it("sees every single bit", () => {
    const bytes = Uint8Array.from({ length: 4096 }, (_, i) => i & 0xff);
    const values = new Set([digestOf([bytes])]);
    for (let bit = 0; bit < 8 * bytes.length; bit += 41) {
      const changed = bytes.slice();
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      values.add(digestOf([changed]));
    }
    expect(values.size).toBe(1 + Math.ceil((8 * bytes.length) / 41));
  });

  it("can be asked for at any time, and many run side by side", () => {
    const one = newDigest();
    const other = newDigest();
    one.update(utf8("a"));
    other.update(utf8("xyz"));
    expect(one.value()).toBe("d24ec4f1a98c6e5b");
    one.update(utf8("bc"));
    expect(one.value()).toBe("44bc2cf5ad770999");
    expect(one.bytes).toBe(3);
  });

  it("is compared with its count", () => {
    const sum = { bytes: 3, digest: "44bc2cf5ad770999" };
    expect(() => compareSums(sum, { ...sum }, "source")).not.toThrow();
    for (const other of [
      { ...sum, bytes: 4 },
      { ...sum, digest: "44bc2cf5ad77099a" },
    ]) {
      expect(() => compareSums(sum, other, "source")).toThrow(expect.objectContaining({ code: "DIGEST_MISMATCH" }));
    }
  });
});

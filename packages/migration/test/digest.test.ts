import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { digestsBy, loadDigests, withoutWebAssembly } from "../src/godwit/digest.ts";
import { type ChannelSum, compareSums } from "../src/godwit/stream-sum.ts";

const digests = await loadDigests();
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("the stream's digest", () => {
  it("is xxHash64, by its published values", () => {
    expect(digests.of(utf8(""))).toBe(0xef46db3751d8e999n);
    expect(digests.of(utf8("a"))).toBe(0xd24ec4f1a98c6e5bn);
    expect(digests.of(utf8("abc"))).toBe(0x44bc2cf5ad770999n);
  });

  it("is the xxHash64 of its frames' digests, in their order", () => {
    const stream = digests.stream();
    const frames = [utf8("a"), utf8("abc")];
    for (const frame of frames) stream.add(frame.length, digests.of(frame));
    const joined = new Uint8Array(16);
    for (const [i, frame] of frames.entries()) new DataView(joined.buffer).setBigUint64(8 * i, digests.of(frame));
    expect(stream.value()).toBe(digests.of(joined).toString(16).padStart(16, "0"));
    expect(stream.bytes).toBe(4);
  });

  it("sees every single bit", () => {
    const bytes = Uint8Array.from({ length: 4096 }, (_, i) => i & 0xff);
    const values = new Set([digests.of(bytes)]);
    for (let bit = 0; bit < 8 * bytes.length; bit += 41) {
      const changed = bytes.slice();
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      values.add(digests.of(changed));
    }
    expect(values.size).toBe(1 + Math.ceil((8 * bytes.length) / 41));
  });

  it("can be asked for at any time, and many run side by side", () => {
    const one = digests.stream();
    const other = digests.stream();
    one.add(1, 7n);
    const before = one.value();
    other.add(1, 9n);
    expect(one.value()).toBe(before);
    one.add(1, 9n);
    expect(one.value()).not.toBe(before);
    expect(new Set([one.value(), other.value(), before]).size).toBe(3);
  });

  it("is compared with its count", () => {
    const sums = [
      { channel: 0, bytes: 3, digest: "44bc2cf5ad770999" },
      { channel: 1, bytes: 4, digest: "44bc2cf5ad77099a" },
    ];
    expect(() => compareSums(sums, structuredClone(sums), "source")).not.toThrow();
    const [main, pages] = sums as [ChannelSum, ChannelSum];
    for (const other of [
      [{ ...main, bytes: 4 }, pages],
      [main, { ...pages, digest: main.digest }],
      [main, { ...pages, channel: 2 }],
      [main],
      [],
    ]) {
      expect(() => compareSums(sums, other, "source")).toThrow(expect.objectContaining({ code: "DIGEST_MISMATCH" }));
    }
  });
});

describe("the digest without WebAssembly", () => {
  const own = digestsBy(withoutWebAssembly);

  it("is xxHash64, by its published values", () => {
    expect(own.of(utf8(""))).toBe(0xef46db3751d8e999n);
    expect(own.of(utf8("a"))).toBe(0xd24ec4f1a98c6e5bn);
    expect(own.of(utf8("abc"))).toBe(0x44bc2cf5ad770999n);
  });

  it("is xxHash64 of whole stripes as well, by the values of the algorithm's own check", () => {
    let state = 2_654_435_761n;
    const check = Uint8Array.from({ length: 222 }, () => {
      const byte = Number(state >> 56n);
      state = (state * 0x9e37_79b1_85eb_ca8dn) & 0xffff_ffff_ffff_ffffn;
      return byte;
    });
    for (const either of [own, digests]) {
      expect(either.of(check.subarray(0, 1))).toBe(0xe934_a84a_db05_2768n);
      expect(either.of(check.subarray(0, 4))).toBe(0x9136_a0dc_a574_57een);
      expect(either.of(check.subarray(0, 14))).toBe(0x8282_dcc4_994e_35c8n);
      expect(either.of(check)).toBe(0xb641_ae8c_b691_c174n);
    }
  });

  it("is that of WebAssembly for every length up to some stripes, and for long ones", () => {
    const bytes = Uint8Array.from({ length: 70_001 }, (_, i) => Math.imul(i + 1, 0x9e37_79b1) >>> 24);
    for (let length = 0; length <= 200; length++) {
      const part = bytes.subarray(7, 7 + length);
      expect(own.of(part), `${length} bytes`).toBe(digests.of(part));
    }
    for (const length of [4096, 65_536, 70_001]) {
      expect(own.of(bytes.subarray(0, length))).toBe(digests.of(bytes.subarray(0, length)));
    }
  });

  it("is that of WebAssembly for any bytes, however they come", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.array(fc.nat(64), { maxLength: 8 }), (bytes, cuts) => {
        const hash = withoutWebAssembly.create64();
        let at = 0;
        for (const cut of cuts) {
          hash.update(bytes.subarray(at, at + cut));
          at = Math.min(at + cut, bytes.length);
        }
        hash.update(bytes.subarray(at));
        expect(hash.digest()).toBe(digests.of(bytes));
        expect(hash.digest()).toBe(own.of(bytes));
      }),
      { seed: 20_261_122, numRuns: 500 },
    );
  });

  it("sums up frames as the other does", () => {
    const [one, other] = [own.stream(), digests.stream()];
    for (let i = 0n; i < 100n; i++) {
      const frame = (i * 0x9e37_79b1_85eb_ca87n) & 0xffff_ffff_ffff_ffffn;
      one.add(5, frame);
      other.add(5, frame);
      expect(one.value()).toBe(other.value());
    }
    expect(one.bytes).toBe(500);
  });
});

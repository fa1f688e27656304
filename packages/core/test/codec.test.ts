import { describe, expect, it } from "vitest";
import { Cursor } from "../src/cursor.ts";
import {
  array,
  bool,
  buffer,
  customField,
  decodeRecord,
  decodeState,
  encodeRecord,
  encodeState,
  i32,
  named,
  recordDecoder,
  type StateOf,
  since,
  struct,
  subsection,
  u8,
  u16,
  u32,
  u64,
  until,
  unused,
  varray,
  vmstate,
} from "../src/index.ts";

const timebase = vmstate({ name: "timebase", version: 1, fields: { guest: u64, host: u64 } });
const sample = vmstate({
  name: "sample",
  version: 3,
  minimumVersion: 1,
  fields: {
    _unused: until(3, unused(4)),
    rtc_offset: until(3, u64, { absent: 0n }),
    tb: since(2, struct(timebase), { absent: { guest: 0n, host: 0n } }),
    n: u8,
    list: varray("n", u16),
    flag: bool,
    odd: named("odd[0]", buffer(3)),
    rows: array(struct(vmstate({ name: "row", version: 1, fields: { a: i32, b: array(u32, 2) } })), 2),
  },
  subsections: {
    extra: subsection({
      name: "sample/extra",
      version: 1,
      fields: { value: u32 },
      needed: (s) => s.value !== 0,
      absent: { value: 0 },
    }),
  },
});
type S = StateOf<typeof sample>;
const state: S = {
  rtc_offset: 0n,
  tb: { guest: 1n, host: 2n },
  n: 2,
  list: Uint16Array.of(7, 8),
  flag: true,
  odd: Uint8Array.of(1, 2, 3),
  rows: [
    { a: -1, b: Uint32Array.of(1, 2) },
    { a: 5, b: Uint32Array.of(3, 4) },
  ],
  extra: { value: 9 },
};

describe("codec", () => {
  it("gives the state back, and the bytes back", () => {
    const bytes = encodeState(sample, state);
    expect(decodeState(sample, bytes)).toEqual(state);
    expect(encodeRecord(sample, decodeRecord(sample, bytes))).toEqual(bytes);
    const quiet = { ...state, extra: { value: 0 } };
    const less = encodeState(sample, quiet);
    expect(less.length).toBe(bytes.length - (1 + 1 + 12 + 4 + 4));
    expect(decodeState(sample, less)).toEqual(quiet);
  });
  it("gives the same for every chunking and fork", () => {
    const bytes = encodeState(sample, state);
    const tail = Uint8Array.of(0x7e, 0, 0, 0, 1);
    const whole = decodeRecord(sample, bytes);
    for (const chunk of [1, 2, 3, 7, 50]) {
      let decoder = recordDecoder(sample, 3);
      let cursor = new Cursor();
      const all = Uint8Array.of(...bytes, ...tail);
      let done = false;
      for (let i = 0; i < all.length && !done; i += chunk) {
        cursor.append(all.slice(i, i + chunk));
        done = decoder.resume(cursor);
        cursor.release();
        if (!done) {
          decoder = decoder.fork();
          cursor = cursor.fork();
        }
      }
      expect(done).toBe(true);
      expect(decoder.value()).toEqual(whole);
      expect(cursor.offset).toBe(bytes.length);
    }
  });
});

describe("a custom field's default fork", () => {
  it("shares no array with its original, typed ones included", () => {
    const three = customField<number[], { bytes: Uint8Array; at: number }>({
      kind: "three",
      begin: () => ({ bytes: new Uint8Array(3), at: 0 }),
      next: (steps) => (steps.at < 3 ? u8 : undefined),
      take: (steps, value) => {
        steps.bytes[steps.at++] = value as number;
      },
      end: (steps) => [...steps.bytes],
      encode: (value) => value.map((one) => ({ field: u8, value: one })),
    });
    const d = vmstate({ name: "d", version: 1, fields: { three } });
    const decoder = recordDecoder(d, 1);
    const cursor = new Cursor(Uint8Array.of(1));
    decoder.resume(cursor);
    const fork = decoder.fork();
    const other = cursor.fork();
    other.append(Uint8Array.of(9, 9, 0x7e));
    cursor.append(Uint8Array.of(2, 2, 0x7e));
    expect([fork.resume(other), decoder.resume(cursor)]).toEqual([true, true]);
    expect([fork.value()["three"], decoder.value()["three"]]).toEqual([
      [1, 9, 9],
      [1, 2, 2],
    ]);
  });
});

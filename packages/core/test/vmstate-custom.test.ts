// A field kind from outside core: a ring buffer made of public fields alone works in every direction.
import { describe, expect, it, vi } from "vitest";
import { Cursor } from "../src/cursor.ts";
import { isMigrationError, MigrationError } from "../src/errors.ts";
import {
  array,
  bool,
  type CustomItem,
  customField,
  decodeRecord,
  decodeState,
  encodeRecord,
  encodeState,
  type Field,
  listState,
  recordDecoder,
  struct,
  toState,
  u8,
  u16,
  vmstate,
} from "../src/index.ts";
import { Writer } from "../src/writer.ts";

function refusal(run: () => unknown): unknown[] {
  try {
    run();
  } catch (error) {
    if (isMigrationError(error)) return [error.code, error.location.path, error.location.offset];
    throw error;
  }
  throw new Error("nothing was thrown");
}

interface Ring<T> {
  readonly capacity: number;
  /** From the oldest to the newest. */
  readonly entries: T[];
}
interface RingSteps<T> {
  capacity: number;
  head: number;
  used: number;
  /** By slot, as they lie on the wire. */
  readonly slots: T[];
}

/** capacity, head and used as bytes, then every used slot from slot 0 on: the wire's order is not the state's. */
function ring<T>(element: Field<T>): Field<Ring<T>> {
  const wireOrder = ({ capacity, entries }: Ring<T>): number[] => {
    const head = capacity === 0 ? 0 : entries.length % capacity;
    return entries.map((_, i) => (i + head) % Math.max(entries.length, 1));
  };
  return customField<Ring<T>, RingSteps<T>>({
    kind: "ring",
    begin: () => ({ capacity: -1, head: -1, used: -1, slots: [] }),
    next: (s) => (s.used < 0 ? u8 : s.slots.length < s.used ? element : undefined),
    take(s, value) {
      if (s.capacity < 0) s.capacity = value as number;
      else if (s.head < 0) s.head = value as number;
      else if (s.used < 0) {
        s.used = value as number;
        if (s.used > s.capacity) {
          throw new MigrationError("FIELD_CUSTOM", "more entries than the ring has slots", { found: String(s.used) });
        }
      } else s.slots.push(value as T);
    },
    end: ({ capacity, head, slots }) => ({
      capacity,
      entries: slots.map((_, i) => slots[(i + slots.length - (head % Math.max(slots.length, 1))) % slots.length] as T),
    }),
    segment: (s) => (s.used < 0 ? undefined : `[${s.slots.length}]`),
    *encode(value): Iterable<CustomItem> {
      const { capacity, entries } = value;
      yield { field: u8, value: capacity, segment: "capacity" };
      yield { field: u8, value: capacity === 0 ? 0 : entries.length % capacity };
      yield { field: u8, value: entries.length };
      const at = wireOrder(value);
      for (let slot = 0; slot < entries.length; slot++) {
        yield { field: element, value: entries[at.indexOf(slot)], segment: `[${slot}]` };
      }
    },
    map: ({ capacity, entries }, each) => ({ capacity, entries: entries.map((one) => each(element, one) as T) }),
  });
}

const entry = vmstate({ name: "entry", version: 1, fields: { id: u16, seen: bool } });
const device = vmstate({ name: "device", version: 1, fields: { log: ring(struct(entry)), rings: array(ring(u8), 2) } });
const state = {
  log: { capacity: 4, entries: [1, 2, 3].map((id) => ({ id, seen: id > 1 })) },
  rings: [
    { capacity: 0, entries: [] },
    { capacity: 2, entries: [7, 8] },
  ],
};
const bytes = encodeState(device, state).slice();

describe("a ring buffer of a third party", () => {
  it("is written and read", () => {
    expect([...bytes.subarray(0, 3)]).toEqual([4, 3, 3]);
    expect(decodeState(device, bytes)).toEqual(state);
    const odd = bytes.with(5, 9);
    const record = decodeRecord(device, odd);
    expect(encodeRecord(device, record)).toEqual(odd);
    expect(toState(device, record)).toEqual(decodeState(device, bytes.with(5, 1)));
  });

  it("can be cut and forked at every byte", () => {
    const all = Uint8Array.of(...bytes, 0x7e);
    const whole = decodeRecord(device, bytes);
    let decoder = recordDecoder(device, 1);
    let cursor = new Cursor();
    for (const byte of all) {
      const fork = { decoder: decoder.fork(), cursor: cursor.fork() };
      fork.cursor.append(all.slice(fork.cursor.offset + fork.cursor.available));
      expect(fork.decoder.resume(fork.cursor)).toBe(true);
      expect(fork.decoder.value()).toEqual(whole);
      cursor.append(Uint8Array.of(byte));
      if (decoder.resume(cursor)) break;
      cursor.release();
      decoder = decoder.fork();
      cursor = cursor.fork();
    }
    expect(decoder.value()).toEqual(whole);
  });

  it("says where", () => {
    expect(refusal(() => decodeRecord(device, bytes.with(2, 5)))).toEqual(["FIELD_CUSTOM", "log[0]", 2]);
    expect(refusal(() => decodeRecord(device, bytes.slice(0, 7)))).toEqual(["STREAM_TRUNCATED", "log[1].id", 6]);
    const wrong = { ...state, log: { capacity: 4, entries: [{ id: 70_000, seen: true }] } };
    expect(refusal(() => encodeState(device, wrong))).toEqual(["BITS_RANGE", "log[0].id", undefined]);
    const large = { ...state, rings: [{ capacity: 256, entries: [] }, state.rings[1]] };
    expect(refusal(() => encodeState(device, large as never))).toEqual(["BITS_RANGE", "rings[0].capacity", undefined]);
  });

  it("stands in a vmdesc with what it is made of", () => {
    const out = new Writer();
    const members = listState(out, device, state, "10.0");
    expect(out.written()).toEqual(bytes);
    expect(members.fields).toEqual([
      {
        name: "log",
        type: "ring",
        vmsd_name: "entry",
        version: 1,
        fields: [
          { name: "id", type: "uint16", size: 2 },
          { name: "seen", type: "bool", size: 1 },
        ],
        size: 12,
      },
      { name: "rings", index: 0, type: "ring", size: 3 },
      { name: "rings", type: "ring", size: 5 },
    ]);
  });

  it("is read by another copy of core just as well", async () => {
    vi.resetModules();
    const other = await import("../src/index.ts");
    expect(other.decodeState).not.toBe(decodeState);
    expect(other.decodeState(device, bytes)).toEqual(state);
    expect(refusal(() => other.decodeState(device, bytes.with(2, 5)))).toEqual(["FIELD_CUSTOM", "log[0]", 2]);
  });
});

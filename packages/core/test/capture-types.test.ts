// Which objects a state can be captured from and restored into; checked by tsc over the tests.
import { describe, expect, expectTypeOf, it } from "vitest";
import {
  array,
  bool,
  buffer,
  type Capturable,
  capture,
  type Description,
  pointers,
  type Restorable,
  restore,
  type StateOf,
  struct,
  subsection,
  timer,
  tmp,
  u8,
  u16,
  u64,
  u64n,
  u64pair,
  unused,
  varray,
  vmstate,
} from "../src/index.ts";

const fifo = vmstate({ name: "fifo", version: 1, fields: { level: u8, bytes: buffer(4) } });
const device = vmstate({
  name: "device",
  version: 1,
  fields: {
    lcr: u8,
    _pad: unused(2),
    ticks: u64,
    on: bool,
    deadline: timer,
    safe: array(u64n, 2),
    pair: u64pair,
    words: array(u16, 2),
    longs: array(u64, 2),
    fifo: struct(fifo),
    fifos: varray("lcr", struct(fifo)),
    some: pointers(struct(fifo), 2, (i) => i === 1),
    text: tmp(fifo, {
      save: (text: string) => ({ level: text.length, bytes: new Uint8Array(4) }),
      load: ({ level }) => "x".repeat(level),
    }),
  },
  subsections: {
    part: subsection({ name: "device/part", version: 1, fields: { a: u8, b: u64 }, absent: { a: 0, b: 0n } }),
  },
});
type State = StateOf<typeof device>;

class Fifo {
  level = 1;
  readonly bytes = new Uint8Array(4);
  extra = "not described";
  readonly #hidden = 1;
  private secret = 2;
  sum(): number {
    return this.level + this.#hidden + this.secret;
  }
}
class Device {
  get lcr(): number {
    return 1;
  }
  set lcr(_value: number) {}
  readonly ticks = 1n;
  on = false;
  deadline: bigint | null = null;
  safe = [1, 2];
  pair: readonly [number, number] = [1, 2];
  words: Uint16Array = Uint16Array.of(1, 2);
  longs = BigUint64Array.of(1n, 2n);
  readonly fifo = new Fifo();
  protected readonly helper = new Map();
  fifos: readonly Fifo[] = [new Fifo()];
  some: (Fifo | null)[] = [new Fifo(), null];
  text = "xx";
  part = { a: 1, b: 2n, c: "more" };
  save(): State {
    return capture(device, this);
  }
  load(state: State): void {
    restore(device, this, state);
  }
}

class Holder<T> {
  readonly lcr: T;
  constructor(lcr: T) {
    this.lcr = lcr;
  }
}
class Sealed {
  private readonly lcr = 1;
  protected other = 2;
  sum(): number {
    return this.lcr + this.other;
  }
}

describe("what can be captured", () => {
  it("is an object with at least the described names", () => {
    expectTypeOf(capture(device, new Device())).toEqualTypeOf<State>();
    expectTypeOf<State>().toExtend<Capturable<State>>();
    expectTypeOf<State>().toExtend<Restorable<State>>();
    expectTypeOf<Device>().toExtend<Capturable<State>>();
    const twin = new Device();
    twin.load(new Device().save());
    expect(twin.save()).toEqual(new Device().save());
  });

  it("has arrays of any kind, where they are read", () => {
    expectTypeOf<Capturable<Uint8Array>>().toEqualTypeOf<ArrayLike<number>>();
    expectTypeOf<Capturable<BigInt64Array>>().toEqualTypeOf<ArrayLike<bigint>>();
    expectTypeOf<Capturable<number[]>>().toEqualTypeOf<ArrayLike<number>>();
    expectTypeOf<Capturable<readonly [number, number]>>().toEqualTypeOf<readonly [number, number]>();
    expectTypeOf<Capturable<bigint | null>>().toEqualTypeOf<bigint | null>();
    expectTypeOf<Capturable<boolean>>().toEqualTypeOf<boolean>();
    expectTypeOf<Restorable<Uint8Array>>().toEqualTypeOf<Uint8Array>();
    const frozen: readonly number[] = [1, 2, 3, 4];
    expect(capture(fifo, { level: 1, bytes: frozen })).toEqual({ level: 1, bytes: Uint8Array.of(1, 2, 3, 4) });
    expect(capture(fifo, { level: 1, bytes: Float64Array.of(1, 2) }).bytes).toEqual(Uint8Array.of(1, 2));
  });

  it("is anything where nothing is known of the description", () => {
    const unknown = fifo as Description;
    expectTypeOf(capture(unknown, new Fifo())).toEqualTypeOf<unknown>();
    expect(capture(unknown, new Fifo())).toEqual({ level: 1, bytes: new Uint8Array(4) });
  });

  it("does not compile with what is wrong", () => {
    const one = vmstate({ name: "one", version: 1, fields: { lcr: u8 } });
    const whole = new Device();
    const maybe: { level?: number; bytes: Uint8Array } = { bytes: new Uint8Array(4) };
    const { text: _, ...lacking } = whole;
    const wrong = (): unknown[] => [
      // @ts-expect-error a field is missing
      capture(one, {}),
      // @ts-expect-error of a class, too
      capture(device, lacking),
      // @ts-expect-error a string where a number is described
      capture(one, new Holder("1")),
      // @ts-expect-error a number may not be there
      capture(one, new Holder<number | undefined>(1)),
      // @ts-expect-error nor null
      capture(one, new Holder<number | null>(1)),
      // @ts-expect-error an optional property may not be there
      capture(fifo, maybe),
      // @ts-expect-error 8 bits are no bigint
      capture(one, new Holder(1n)),
      // @ts-expect-error a described name that is private
      capture(one, new Sealed()),
      // @ts-expect-error a nested one lacks a field
      capture(device, Object.assign(whole, { fifo: { level: 1 } }) as Omit<Device, "fifo"> & { fifo: { level: 1 } }),
      // @ts-expect-error an element of an array lacks one
      capture(device, { ...whole, lcr: 1, fifos: [{ level: 1 }] }),
      // @ts-expect-error a subsection lacks one
      capture(device, { ...whole, lcr: 1, part: { a: 1 } }),
      // @ts-expect-error an array of 64 bits holds bigints
      capture(device, { ...whole, lcr: 1, longs: [1, 2] }),
      // @ts-expect-error a string is no array of numbers
      capture(fifo, { level: 1, bytes: "abcd" }),
      // @ts-expect-error a pair has two halves
      capture(device, { ...whole, lcr: 1, pair: [1, 2, 3] }),
      // @ts-expect-error no null where the array has none
      capture(device, { ...whole, lcr: 1, fifos: [null] }),
      // @ts-expect-error nothing to restore into
      restore(one, {}, { lcr: 1 }),
      // @ts-expect-error half a state
      restore(fifo, new Fifo(), { level: 1 }),
      // @ts-expect-error a plain array would be replaced by a typed one
      restore(fifo, { level: 1, bytes: [1, 2, 3, 4] }, { level: 1, bytes: new Uint8Array(4) }),
      // @ts-expect-error an array of another width
      restore(fifo, { level: 1, bytes: new Uint16Array(4) }, { level: 1, bytes: new Uint8Array(4) }),
      // @ts-expect-error a described name that is private
      restore(one, new Sealed(), { lcr: 1 }),
    ];
    expect(wrong).toBeTypeOf("function");
  });
});

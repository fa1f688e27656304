// A described device and the classes that live it, for the tests of capture and restore.
import {
  array,
  bitmap,
  bool,
  buffer,
  capture,
  checked,
  cpudouble,
  type Description,
  i8,
  isMigrationError,
  named,
  pointers,
  restore,
  type StateOf,
  since,
  struct,
  subsection,
  timer,
  u8,
  u16,
  u32,
  u64,
  u64n,
  u64pair,
  unused,
  validate,
  vmstate,
} from "../src/index.ts";

export const fifo = vmstate({ name: "fifo", version: 1, fields: { level: u8, bytes: buffer(4) } });
const channel = vmstate({ name: "channel", version: 1, fields: { id: u8, fifo: struct(fifo) } });
export const device = vmstate({
  name: "device",
  version: 2,
  minimumVersion: 1,
  fields: {
    lcr: u8,
    _pad: unused(2),
    _check: validate(() => true),
    ticks: named("state.ticks", u64),
    later: since(
      2,
      checked(u16, () => true, "anything"),
      { absent: 0 },
    ),
    on: bool,
    deadline: timer,
    bits: cpudouble,
    pair: u64pair,
    map: bitmap(9),
    words: array(u16, 3),
    safe: array(u64n, 2),
    grid: array(array(i8, 2), 2),
    channels: array(struct(channel), 2),
    some: pointers(struct(fifo), 2, (i) => i === 1),
  },
  subsections: {
    part: subsection({ name: "device/part", version: 1, fields: { value: u32 }, absent: { value: 0 } }),
  },
});

export class Fifo {
  level: number;
  bytes = new Uint8Array(4);
  readonly #reads: string[] = [];
  note = () => "a helper";
  constructor(level = 0) {
    this.level = level;
    this.bytes.fill(level);
  }
  read(): number | undefined {
    this.#reads.push("read");
    return this.level + this.#reads.length;
  }
}
class Channel {
  id: number;
  readonly fifo: Fifo;
  parent: unknown;
  constructor(id: number, parent: unknown) {
    this.id = id;
    this.parent = parent;
    this.fifo = new Fifo(id);
  }
}
export class Device {
  lcr = 3;
  ticks = 2n ** 63n;
  later = 0xffff;
  on = true;
  deadline: bigint | null = null;
  bits = 2n ** 64n - 1n;
  pair: readonly [number, number] = [1, 0xffff_ffff];
  map = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
  words = Uint16Array.of(1, 2, 3);
  safe = [1, Number.MAX_SAFE_INTEGER];
  grid = [Int8Array.of(-1, -128), Int8Array.of(0, 127)];
  readonly channels = [new Channel(1, this), new Channel(2, this)];
  readonly some = [new Fifo(9), null];
  readonly #part: { value: number; own: unknown } = { value: 7, own: this };
  get part() {
    return this.#part;
  }
  get _pad(): never {
    throw new Error("padding is never read");
  }
}
export const stateOfDevice = (): StateOf<typeof device> => ({
  lcr: 3,
  ticks: 2n ** 63n,
  later: 0xffff,
  on: true,
  deadline: null,
  bits: 2n ** 64n - 1n,
  pair: [1, 0xffff_ffff],
  map: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16),
  words: Uint16Array.of(1, 2, 3),
  safe: [1, Number.MAX_SAFE_INTEGER],
  grid: [Int8Array.of(-1, -128), Int8Array.of(0, 127)],
  channels: [
    { id: 1, fifo: { level: 1, bytes: Uint8Array.of(1, 1, 1, 1) } },
    { id: 2, fifo: { level: 2, bytes: Uint8Array.of(2, 2, 2, 2) } },
  ],
  some: [{ level: 9, bytes: Uint8Array.of(9, 9, 9, 9) }, null],
  part: { value: 7 },
});
export const otherState = (): StateOf<typeof device> => ({
  lcr: 0xff,
  ticks: 1n,
  later: 2,
  on: false,
  deadline: 5n,
  bits: 0n,
  pair: [8, 9],
  map: new Uint8Array(16),
  words: Uint16Array.of(7, 8, 9),
  safe: [3, 4],
  grid: [Int8Array.of(5, 6), Int8Array.of(7, 8)],
  channels: [
    { id: 11, fifo: { level: 12, bytes: Uint8Array.of(1, 2, 3, 4) } },
    { id: 21, fifo: { level: 22, bytes: Uint8Array.of(5, 6, 7, 8) } },
  ],
  some: [{ level: 33, bytes: Uint8Array.of(4, 3, 2, 1) }, null],
  part: { value: 77 },
});

/** Code and path of the refusal. */
export function refusal(run: () => unknown): readonly [string, string | undefined] {
  try {
    run();
  } catch (error) {
    if (!isMigrationError(error)) throw error;
    return [error.code, error.location.path];
  }
  return ["none", undefined];
}
export const loose = (description: unknown, source: unknown): unknown => capture(description as Description, source);
export const looseRestore = (description: unknown, target: unknown, state: unknown): void =>
  restore(description as Description, target, state as never);
/** Every buffer that a value reaches. */
export function buffersIn(value: unknown, found = new Set<ArrayBufferLike>(), seen = new Set<unknown>()): typeof found {
  if (ArrayBuffer.isView(value)) found.add(value.buffer);
  else if (typeof value === "object" && value !== null && !seen.has(value)) {
    seen.add(value);
    for (const one of Object.values(value)) buffersIn(one, found, seen);
  }
  return found;
}

// Who owns what: `save` may hand out live memory, for it is copied before control returns, and `load` is given its own.

import { markedList } from "@godwit/test-support/plans";
import { describe, expect, it } from "vitest";
import {
  array,
  bitmap,
  buffer,
  capture,
  createKernel,
  isMigrationError,
  type Kernel,
  restore,
  type StateOf,
  sameValue,
  struct,
  subsection,
  u8,
  u16,
  u64,
  virtualClock,
  vmstate,
} from "../src/index.ts";

const fifo = vmstate({ name: "fifo", version: 1, fields: { level: u8, bytes: buffer(16) } });
const device = vmstate({
  name: "device",
  version: 1,
  fields: {
    // More than a chunk, so that there is one that holds nothing but this.
    memory: buffer(300_000),
    words: array(u16, 4),
    longs: array(u64, 2),
    flags: bitmap(100),
    fifos: array(struct(fifo), 2),
    list: markedList(struct(fifo)),
  },
  subsections: {
    part: subsection({
      name: "device/part",
      version: 1,
      fields: { raw: buffer(8) },
      absent: { raw: new Uint8Array(8) },
    }),
  },
});
type State = StateOf<typeof device>;

const stateOf = (fill: number): State => ({
  memory: new Uint8Array(300_000).fill(fill),
  words: new Uint16Array(4).fill(fill),
  longs: new BigUint64Array(2).fill(BigInt(fill)),
  flags: new Uint8Array(16).fill(fill),
  fifos: [0, 1].map(() => ({ level: fill, bytes: new Uint8Array(16).fill(fill) })),
  list: [0, 1].map(() => ({ level: fill, bytes: new Uint8Array(16).fill(fill) })),
  part: { raw: new Uint8Array(8).fill(fill) },
});

/** Overwrites whatever a state holds, in place. */
function scribble(value: unknown, byte = 0xee): void {
  if (ArrayBuffer.isView(value)) new Uint8Array(value.buffer, value.byteOffset, value.byteLength).fill(byte);
  else if (typeof value === "object" && value !== null) {
    for (const [key, one] of Object.entries(value)) {
      scribble(one, byte);
      if (typeof one === "number") Reflect.set(value, key, byte);
    }
  }
}

interface Box {
  readonly kernel: Kernel;
  /** What the device lives on: `save` gives out this very tree, `load` keeps the very tree that it is given. */
  state: State;
}
function machine(fill: number, onSave: (box: Box) => void = () => {}): Box {
  const kernel = createKernel({
    machineType: "copies-1.0",
    clock: virtualClock(() => 0n),
    machine: { pause() {}, resume() {}, reset() {} },
  });
  const box: Box = { kernel, state: stateOf(fill) };
  kernel.device(device, {
    save: () => box.state,
    load: (state) => {
      box.state = state;
    },
  });
  const last = vmstate({ name: "last", version: 1, fields: { x: u8 } });
  kernel.device(last, {
    save: () => {
      onSave(box);
      return { x: 1 };
    },
    load: () => {},
  });
  return box;
}

async function chunksOf(source: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return chunks;
}

describe("save", () => {
  it("has copied what a device gave before the next one is asked", async () => {
    const twin = machine(1);
    await twin.kernel.load(machine(7, ({ state }) => scribble(state)).kernel.save());
    expect(sameValue(twin.state, stateOf(7))).toBe(true);
  });

  it("gives bytes that the source changes no more", async () => {
    const source = machine(7);
    const chunks = await chunksOf(source.kernel.save());
    expect(chunks.length).toBeGreaterThan(1);
    scribble(source.state);
    const twin = machine(1);
    await twin.kernel.load(
      (async function* () {
        yield* chunks;
      })(),
    );
    expect(sameValue(twin.state, stateOf(7))).toBe(true);
  });

  it("gives a snapshot that the source changes no more, nor a later snapshot elsewhere", () => {
    const source = machine(7);
    const bytes = source.kernel.snapshot();
    const into = new Uint8Array(bytes.length + 100);
    const second = source.kernel.snapshot(into);
    scribble(source.state);
    for (const one of [bytes, second]) {
      const twin = machine(1);
      twin.kernel.restore(one);
      expect(sameValue(twin.state, stateOf(7))).toBe(true);
    }
    source.kernel.snapshot();
    expect(sameValue(bytes, second)).toBe(true);
  });
});

describe("load", () => {
  it.each([1009, 65_536, 2_000_000])("keeps nothing of the chunks it was given: %i bytes each", async (size) => {
    const whole = Buffer.concat(await chunksOf(machine(7).kernel.save()));
    const twin = machine(1);
    const chunk = new Uint8Array(size);
    await twin.kernel.load(
      (async function* () {
        for (let at = 0; at < whole.length; at += size) {
          const part = chunk.subarray(0, Math.min(size, whole.length - at));
          part.set(whole.subarray(at, at + size));
          yield part;
          part.fill(0xff);
        }
      })(),
    );
    chunk.fill(0xff);
    expect(sameValue(twin.state, stateOf(7))).toBe(true);
  });

  it("keeps nothing of the snapshot it was given, and leaves it as it was", () => {
    const bytes = machine(7).kernel.snapshot();
    const twin = machine(1);
    twin.kernel.restore(bytes);
    const before = bytes.slice();
    scribble(twin.state, 5);
    expect(sameValue(bytes, before)).toBe(true);
    twin.kernel.restore(bytes);
    bytes.fill(0xff);
    expect(sameValue(twin.state, stateOf(7))).toBe(true);
  });
});

describe("a device made of instances", () => {
  class Fifo {
    level = 0;
    readonly bytes = new Uint8Array(16);
    readonly #owner: object;
    constructor(owner: object) {
      this.#owner = owner;
    }
    get owner(): object {
      return this.#owner;
    }
  }
  class Device {
    memory = new Uint8Array(300_000);
    readonly words = new Uint16Array(4);
    readonly longs = new BigUint64Array(2);
    readonly flags = new Uint8Array(16);
    readonly fifos = [new Fifo(this), new Fifo(this)];
    list = [new Fifo(this)];
    readonly part = { raw: new Uint8Array(8) };
    readonly kernel: Kernel = createKernel({
      machineType: "copies-1.0",
      clock: virtualClock(() => 0n),
      machine: { pause() {}, resume() {}, reset() {} },
    });
    given: State | undefined;
    constructor(fill = 0) {
      restore(device, this, { ...stateOf(fill), list: [{ level: fill, bytes: new Uint8Array(16) }] });
      this.kernel.device(device, {
        save: () => capture(device, this),
        load: (state) => {
          this.given = state;
          restore(device, this, state);
        },
      });
    }
  }

  it("migrates, keeps its parts, and shares nothing with what it was given", async () => {
    const source = new Device(7);
    const twin = new Device(1);
    const { memory, fifos, list, part } = twin;
    await twin.kernel.load(source.kernel.save());
    const expected = capture(device, source);
    scribble(twin.given);
    expect(twin.given?.memory[0]).toBe(0xee);
    expect(sameValue(capture(device, twin), expected)).toBe(true);
    expect([twin.memory === memory, twin.fifos === fifos, twin.list === list, twin.part === part]).toEqual([
      true,
      true,
      true,
      true,
    ]);
    expect(twin.fifos.every((one) => one instanceof Fifo && one.owner === twin)).toBe(true);
    twin.kernel.restore(new Device(9).kernel.snapshot());
    expect(twin.fifos[1]?.level).toBe(9);
  });

  it("tells where the state of a device is not whole, and the machine stays as it was", async () => {
    const source = new Device(7);
    Reflect.deleteProperty(source.fifos[1] as Fifo, "level");
    const error = await chunksOf(source.kernel.save()).catch((e: unknown) => e);
    if (!isMigrationError(error)) throw error;
    const { section, path, side } = error.location;
    expect([error.code, section, path, side]).toEqual(["FIELD_MISSING", "device/0", "fifos[1].level", "source"]);

    const twin = new Device(1);
    const two = new Device(7);
    two.list.push(new Fifo(two));
    const before = capture(device, twin);
    const refused = await twin.kernel.load(two.kernel.save()).catch((e: unknown) => e);
    expect(refused).toMatchObject({ code: "DEVICE_FAILED" });
    expect((refused as Error).cause).toMatchObject({ code: "COUNT_MISMATCH" });
    expect(sameValue(capture(device, twin), before)).toBe(true);
  });
});

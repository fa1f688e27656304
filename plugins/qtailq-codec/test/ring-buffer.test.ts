// The extension point: a ring buffer of a third party goes through every tool that a field of core's goes through.
import {
  Cursor,
  capture,
  cloneValue,
  createKernel,
  decodeRecord,
  decodeState,
  encodeRecord,
  encodeState,
  isMigrationError,
  listState,
  MigrationError,
  recordDecoder,
  restore,
  type StateOf,
  sameValue,
  since,
  struct,
  subsection,
  toState,
  u8,
  u16,
  virtualClock,
  vmstate,
  Writer,
} from "@godwit/core";
import { StreamReader } from "@godwit/core/stream";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { qtailq } from "../src/index.ts";
import { type Ring, ringBuffer } from "./support/ring.ts";

const packet = vmstate({
  name: "packet",
  version: 2,
  minimumVersion: 1,
  fields: { id: u16, size: since(2, u8, { absent: 0 }) },
  subsections: {
    mark: subsection({
      name: "packet/mark",
      version: 1,
      fields: { colour: u8 },
      needed: ({ colour }) => colour !== 0,
      absent: { colour: 0 },
    }),
  },
});
const port = vmstate({ name: "port", version: 1, fields: { up: u8, log: ringBuffer(packet) } });
const nic = vmstate({
  name: "ring-nic",
  version: 1,
  fields: { before: u8, received: ringBuffer(packet), ports: qtailq(port), main: struct(port), after: u8 },
});
type NicState = StateOf<typeof nic>;

const one = (id: number, colour = 0) => ({ id, size: id & 0xff, mark: { colour } });
const state: NicState = {
  before: 1,
  received: { slots: 4, head: 3, entries: [one(0x0102), one(5, 9), one(7)] },
  ports: [
    { up: 1, log: { slots: 0, head: 0, entries: [] } },
    { up: 0, log: { slots: 2, head: 1, entries: [one(5), one(6, 1)] } },
  ],
  main: { up: 1, log: { slots: 1, head: 0, entries: [one(0x0501)] } },
  after: 5,
};
const bytes = encodeState(nic, state).slice();

/** What follows a section, and enough of it: a last byte 5 may be the first of a subsection until a name's length has come. */
const behind = [0x7e, ...new Array(260).fill(0)];

function refusal(run: () => unknown): MigrationError {
  try {
    run();
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
const placeOf = ({ code, location }: MigrationError) => [code, location.path, location.offset];

function machine(initial: NicState, check?: (state: NicState) => void) {
  const kernel = createKernel({
    machineType: "ring-1",
    clock: virtualClock(() => 0n),
    machine: { pause() {}, resume() {}, reset() {} },
  });
  let now = initial;
  kernel.device(nic, {
    save: () => now,
    check: (incoming) => check?.(incoming),
    load: (loaded) => {
      now = loaded;
    },
  });
  return { kernel, state: () => now };
}

async function saved(kernel: ReturnType<typeof machine>["kernel"]): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of kernel.save()) chunks.push(chunk.slice());
  return new Uint8Array(Buffer.concat(chunks));
}

const empty: NicState = {
  before: 0,
  received: { slots: 0, head: 0, entries: [] },
  ports: [],
  main: { up: 0, log: { slots: 0, head: 0, entries: [] } },
  after: 0,
};

describe("a ring buffer of a third party", () => {
  it("is written as its own codec says, and read back", () => {
    const mark = [5, 11, ...Buffer.from("packet/mark"), 0, 0, 0, 1, 9];
    expect([...bytes.subarray(0, 40)]).toEqual([
      1,
      0,
      0,
      0,
      4,
      0,
      0,
      0,
      3,
      0,
      0,
      0,
      3,
      1,
      2,
      2,
      0,
      5,
      5,
      ...mark,
      0,
      7,
      7,
    ]);
    expect(decodeState(nic, bytes)).toEqual(state);
    const record = decodeRecord(nic, bytes);
    expect(encodeRecord(nic, record)).toEqual(bytes);
    expect(toState(nic, record)).toEqual(state);
  });

  it("any state of it comes back, by the property tests' generator of its own", () => {
    const packets = fc.record({
      id: fc.nat(65_535),
      size: fc.nat(255),
      mark: fc.record({ colour: fc.nat(255) }),
    });
    const ring = (max: number): fc.Arbitrary<Ring<StateOf<typeof packet>>> =>
      fc.array(packets, { maxLength: max }).chain((entries) =>
        fc.integer({ min: entries.length, max: 1000 }).chain((slots) =>
          fc.record({
            slots: fc.constant(slots),
            head: fc.nat(Math.max(slots - 1, 0)),
            entries: fc.constant(entries),
          }),
        ),
      );
    const ports = fc.record({ up: fc.nat(255), log: ring(3) });
    const states = fc.record({
      before: fc.nat(255),
      received: ring(5),
      ports: fc.array(ports, { maxLength: 3 }),
      main: ports,
      after: fc.nat(255),
    });
    fc.assert(
      fc.property(states, fc.integer({ min: 1, max: 9 }), (any, chunk) => {
        const written = encodeState(nic, any).slice();
        expect(decodeState(nic, written)).toEqual(any);
        const decoder = recordDecoder(nic, 1);
        const cursor = new Cursor();
        const all = Uint8Array.of(...written, ...behind);
        for (let at = 0; at < all.length; at += chunk) {
          cursor.append(all.slice(at, at + chunk));
          if (decoder.resume(cursor)) break;
          cursor.release();
        }
        expect(encodeRecord(nic, decoder.value())).toEqual(written);
      }),
      { seed: 6, numRuns: 80 },
    );
  });

  it("is read in chunks of every size, and forked at every byte", () => {
    const whole = decodeRecord(nic, bytes);
    const all = Uint8Array.of(...bytes, ...behind);
    for (let chunk = 1; chunk <= bytes.length + 1; chunk++) {
      const decoder = recordDecoder(nic, 1);
      const cursor = new Cursor();
      for (let at = 0; at < all.length; at += chunk) {
        cursor.append(all.slice(at, at + chunk));
        if (decoder.resume(cursor)) break;
        cursor.release();
      }
      expect(decoder.value()).toEqual(whole);
    }
    const decoder = recordDecoder(nic, 1);
    const cursor = new Cursor();
    for (let at = 0; at < bytes.length; at++) {
      const fork = { decoder: decoder.fork(), cursor: cursor.fork() };
      fork.cursor.append(all.slice(at));
      expect(fork.decoder.resume(fork.cursor)).toBe(true);
      expect(fork.decoder.value()).toEqual(whole);
      cursor.append(all.slice(at, at + 1));
      expect(decoder.resume(cursor)).toBe(false);
      cursor.release();
    }
  });

  it("holds 100,000 entries in linear work", () => {
    const work = [10_000, 100_000].map((count) => {
      const received = { slots: count, head: 1, entries: Array.from({ length: count }, (_, i) => one(i & 0xffff)) };
      const many = encodeState(nic, { ...empty, received }).slice();
      return [many.length, 61].map((chunk) => {
        const decoder = recordDecoder(nic, 1);
        const cursor = new Cursor();
        const all = Uint8Array.from([...many, 0x7e]);
        for (let at = 0; at < all.length; at += chunk) {
          cursor.append(all.subarray(at, at + chunk));
          if (decoder.resume(cursor)) break;
          cursor.release();
        }
        expect((decoder.value()["received"] as Ring<unknown>).entries).toHaveLength(count);
        return cursor.fields;
      });
    });
    const [small = [], large = []] = work;
    for (const at of [0, 1]) expect(large[at] as number).toBeLessThanOrEqual(10.1 * (small[at] as number));
    expect(large[1] as number).toBeLessThanOrEqual(2 * (large[0] as number));
  });

  it("says where, on both ways", () => {
    // The last entry of the first ring, and a ring in an element of a list.
    expect(placeOf(refusal(() => decodeRecord(nic, bytes.with(8, 4), { offset: 100 })))).toEqual([
      "FIELD_CUSTOM",
      "received.used",
      109,
    ]);
    const paths = new Set<string | undefined>();
    for (let at = 0; at < bytes.length; at++) {
      const [code, path, offset] = placeOf(refusal(() => decodeRecord(nic, bytes.slice(0, at))));
      expect(code).toBe("STREAM_TRUNCATED");
      expect(offset).toBeLessThanOrEqual(at);
      paths.add(path as string);
    }
    for (const path of ["received.slots", "received.entries[1].size", "ports[1].log.entries[1].mark.colour"]) {
      expect([...paths]).toContain(path);
    }
    const wide = { ...state, main: { up: 1, log: { slots: 1, head: 0, entries: [one(70_000)] } } };
    expect(placeOf(refusal(() => encodeState(nic, wide)))).toEqual(["BITS_RANGE", "main.log.entries[0].id", undefined]);
    const full = { ...state, received: { ...state.received, slots: 2, head: 0 } };
    expect(placeOf(refusal(() => encodeState(nic, full)))).toEqual(["FIELD_CUSTOM", "received", undefined]);
  });

  it("stands in a vmdesc with the name, the version and the members of its entries", () => {
    for (const dialect of ["7.2", "10.0"] as const) {
      const out = new Writer();
      const { fields } = listState(out, nic, state, dialect);
      expect(out.written()).toEqual(bytes);
      expect(fields.find(({ name }) => name === "received")).toMatchObject({
        type: "ringbuffer",
        vmsd_name: "packet",
        version: 2,
        size: 12 + 3 * 3 + 18,
        fields: [
          { name: "id", type: "uint16", size: 2 },
          { name: "size", type: "uint8", size: 1 },
        ],
      });
    }
  });

  it("is captured out of an object and restored into one", () => {
    class Log {
      slots = 4;
      head = 3;
      entries = [one(0x0102), one(5, 9), one(7)];
      unrelated = () => 0;
    }
    class Port {
      up = 1;
      log = { slots: 1, head: 0, entries: [one(0x0501)] };
    }
    class Nic {
      before = 1;
      received = new Log();
      ports = [
        { up: 1, log: { slots: 0, head: 0, entries: [] as ReturnType<typeof one>[] } },
        { up: 0, log: { slots: 2, head: 1, entries: [one(5), one(6, 1)] } },
      ];
      main = new Port();
      after = 5;
    }
    const source = new Nic();
    const captured = capture(nic, source);
    expect(captured).toEqual(state);
    expect(captured.received.entries[0]).not.toBe(source.received.entries[0]);
    const target = new Nic();
    const port = target.main;
    restore(nic, target, { ...empty, main: { up: 7, log: { slots: 3, head: 2, entries: [one(1)] } } });
    expect(target.main).toBe(port);
    expect(target.main).toEqual({ up: 7, log: { slots: 3, head: 2, entries: [one(1)] } });
    expect(target.ports).toEqual([]);
    source.received.entries[1] = { ...one(5), id: 70_000 } as never;
    expect(placeOf(refusal(() => capture(nic, source)))[0]).toBe("BITS_RANGE");
  });

  it("is cloned and compared as any state is", () => {
    const copy = cloneValue(state);
    expect(sameValue(copy, state)).toBe(true);
    (copy.received.entries[2] as ReturnType<typeof one>).id++;
    expect(sameValue(copy, state)).toBe(false);
    expect(state.received.entries[2]?.id).toBe(7);
  });

  it("goes through a kernel: save, load, snapshot, restore, and its manifest", async () => {
    const [source, target] = [machine(state), machine(empty)];
    const stream = await saved(source.kernel);
    const report = await target.kernel.load(stream);
    expect(report.loadOrder).toContain("ring-nic/0");
    expect(target.state()).toEqual(state);
    expect(await saved(target.kernel)).toEqual(stream);
    const snapshot = target.kernel.snapshot();
    const third = machine(empty);
    third.kernel.restore(snapshot);
    expect(third.state()).toEqual(state);
    // What stands in entries' subsections is part of what a machine says of itself.
    const section = source.kernel.manifest().sections.find(({ idstr }) => idstr === "ring-nic");
    expect(section?.subsections).toEqual(["packet/mark"]);
  });

  it("is refused by a kernel at the very entry, and nothing changes", async () => {
    const stream = await saved(machine(state).kernel);
    const body = Buffer.from(stream.buffer).indexOf(Buffer.from(bytes));
    const target = machine(empty, ({ received }) => {
      received.entries.forEach(({ id }, i) => {
        if (id !== 7) return;
        throw new MigrationError("DEVICE_CHECK", "no packet is 7", { path: `received.entries[${i}].id` });
      });
    });
    const check = await target.kernel.load(stream).catch((error: MigrationError) => error);
    expect(placeOf(check as MigrationError)).toEqual(["DEVICE_CHECK", "received.entries[2].id", body + 37]);
    const torn = await target.kernel.load(stream.with(body + 12, 9)).catch((error: MigrationError) => error);
    expect(placeOf(torn as MigrationError)).toEqual(["FIELD_CUSTOM", "received.used", body + 9]);
    expect(target.state()).toEqual(empty);
  });

  it("is found by a reader that has nothing but the stream's own vmdesc", async () => {
    const stream = await saved(machine(state).kernel);
    const reader = new StreamReader({ open: () => undefined });
    const events = [...reader.push(stream), ...reader.end()];
    const section = events.find((event) => event.type === "section" && event.head.idstr === "ring-nic");
    expect(section).toMatchObject({ delimitedBy: "vmdesc", bodyBytes: bytes.length });
  });
});

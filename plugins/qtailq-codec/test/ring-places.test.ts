// The ring buffer of a third party in every place where a field may stand, and in the tools that came after the codec.
import {
  array,
  createKernel,
  decodeRecord,
  decodeState,
  encodeRecord,
  encodeState,
  familyOf,
  former,
  isMigrationError,
  listRecord,
  listState,
  type MigrationError,
  pointers,
  type StateOf,
  since,
  subsection,
  u8,
  u16,
  until,
  varray,
  virtualClock,
  vmstate,
  Writer,
} from "@godwit/core";
import { readManifest, StreamReader } from "@godwit/core/stream";
import { describe, expect, it } from "vitest";
import { gtree, qtailq } from "../src/index.ts";
import { ringBuffer } from "./support/ring.ts";

const packet = vmstate({ name: "packet", version: 1, fields: { id: u16 } });
const ring = (...ids: number[]) => ({ slots: ids.length + 1, head: 0, entries: ids.map((id) => ({ id })) });
const holder = vmstate({ name: "holder", version: 1, fields: { log: ringBuffer(packet) } });

const everywhere = vmstate({
  name: "everywhere",
  version: 2,
  minimumVersion: 1,
  fields: {
    count: u8,
    old: until(2, ringBuffer(packet), { absent: ring() }),
    log: since(2, ringBuffer(packet), { absent: ring() }),
    pair: array(ringBuffer(packet), 2),
    some: varray("count", ringBuffer(packet), { max: 8 }),
    pointed: pointers(ringBuffer(packet), 2, (index) => index === 1),
    list: qtailq(ringBuffer(packet)),
    tree: gtree({ key: "direct", value: holder }),
  },
  subsections: {
    late: subsection({
      name: "everywhere/late",
      version: 1,
      fields: { log: ringBuffer(packet) },
      needed: ({ log }) => log.entries.length > 0,
      absent: { log: ring() },
    }),
  },
});
const state: StateOf<typeof everywhere> = {
  count: 1,
  old: ring(),
  log: ring(1, 2),
  pair: [ring(), ring(3)],
  some: [ring(4)],
  pointed: [ring(5), null],
  list: [ring(6), ring(), ring(7, 8)],
  tree: [{ key: 9n, value: { log: ring(9) } }],
  late: { log: ring(10) },
};

function refusal(run: () => unknown): MigrationError {
  try {
    run();
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

function machine() {
  return createKernel({
    machineType: "ring-1",
    clock: virtualClock(() => 0n),
    machine: { pause() {}, resume() {}, reset() {} },
  });
}

describe("a ring buffer stands in every place", () => {
  const bytes = encodeState(everywhere, state).slice();

  it("and comes back, the same bytes again, also when it is read often", () => {
    for (let i = 0; i < 50; i++) {
      expect(decodeState(everywhere, bytes)).toEqual(state);
      expect(encodeRecord(everywhere, decodeRecord(everywhere, bytes))).toEqual(bytes);
    }
  });

  it("and is listed from the wire record as from the state", () => {
    for (const dialect of ["7.2", "10.0"] as const) {
      const out = new Writer();
      const listed = listRecord(out, everywhere, decodeRecord(everywhere, bytes), dialect);
      expect(out.written()).toEqual(bytes);
      expect(listed).toEqual(listState(new Writer(), everywhere, state, dialect));
      const total = listed.fields.reduce((sum, { size, array_len: count = 1 }) => sum + size * count, 0);
      const head = 6 + "everywhere/late".length;
      expect(total + head + 12 + 2).toBe(bytes.length);
    }
  });

  it("and each error names its place", () => {
    const wrong = (change: object) => refusal(() => encodeState(everywhere, { ...state, ...change })).location.path;
    const bad = ring(70_000);
    expect(wrong({ pair: [ring(), bad] })).toBe("pair[1].entries[0].id");
    expect(wrong({ some: [bad] })).toBe("some[0].entries[0].id");
    expect(wrong({ pointed: [bad, null] })).toBe("pointed[0].entries[0].id");
    expect(wrong({ list: [ring(), bad] })).toBe("list[1].entries[0].id");
    expect(wrong({ tree: [{ key: 1n, value: { log: bad } }] })).toBe("tree[0].value.log.entries[0].id");
    expect(wrong({ late: { log: bad } })).toBe("late.log.entries[0].id");
  });
});

const optional = vmstate({
  name: "optional",
  version: 1,
  fields: { log: ringBuffer(packet) },
  needed: ({ log }) => log.slots > 2,
  absent: { log: ring(7) },
});

describe("a section that need not travel", () => {
  it("is compared with its absence down to the entry, and comes back from it", () => {
    const kernel = machine();
    let now: StateOf<typeof optional> = { log: ring(8) };
    kernel.device(optional, {
      save: () => now,
      load: (loaded) => {
        now = loaded;
      },
    });
    const error = refusal(() => kernel.snapshot());
    expect([error.code, error.location.path, error.expected, error.found]).toEqual([
      "ABSENT_MISMATCH",
      "log.entries[0].id",
      "7",
      "8",
    ]);
    now = { log: ring(7) };
    const slot = kernel.snapshot().slice();
    now = { log: ring(1, 2, 3) };
    kernel.restore(slot);
    expect(now).toEqual({ log: ring(7) });
  });
});

describe("a section of an earlier release", () => {
  it("becomes a present one, its ring among what is converted", () => {
    const past = machine();
    past.device(holder, { save: () => ({ log: ring(3, 4) }), load() {} });
    const present = machine();
    const ids = vmstate({ name: "ids", version: 1, fields: { log: ringBuffer(packet), count: u8 } });
    let now: StateOf<typeof ids> = { log: ring(), count: 0 };
    present.device(ids, {
      formerly: [former(holder, { convert: ({ log }) => ({ log, count: log.entries.length }) })],
      save: () => now,
      load: (loaded) => {
        now = loaded;
      },
    });
    present.restore(past.snapshot());
    expect(now).toEqual({ log: ring(3, 4), count: 2 });
  });
});

describe("a device that comes with the stream", () => {
  it("is made by its kind, and its family reads the section without it", async () => {
    const source = machine();
    source.device(holder, { path: "slot-1", save: () => ({ log: ring(5, 6) }), load() {} });
    const chunks: Uint8Array[] = [];
    for await (const chunk of source.save()) chunks.push(chunk.slice());
    const bytes = new Uint8Array(Buffer.concat(chunks));
    const target = machine();
    const made: unknown[] = [];
    target.kind(holder, () => ({ save: () => ({ log: ring() }), load: (loaded) => void made.push(loaded) }));
    target.restore(bytes);
    expect(made).toEqual([{ log: ring(5, 6) }]);
    const { build, infer } = familyOf(holder);
    const reader = new StreamReader({ open: () => undefined });
    const events = [...reader.push(bytes), ...reader.end()];
    const section = events.find((event) => event.type === "section" && event.head.idstr === "slot-1/holder");
    if (section?.type !== "section") throw new Error("no section");
    const end = section.offset + section.bytes - 5;
    const sample = {
      idstr: "slot-1/holder",
      instance: 0,
      version: 1,
      bytes: bytes.subarray(end - section.bodyBytes, end),
    };
    const description = build((infer as (of: typeof sample) => never)(sample));
    expect(decodeState(description, sample.bytes)).toEqual({ log: ring(5, 6) });
    expect(readManifest(bytes)?.sections.map(({ idstr }) => idstr)).toContain("slot-1/holder");
  });
});

import { describe, expect, it } from "vitest";
import {
  array,
  type BodyDecoder,
  buffer,
  type Description,
  isMigrationError,
  type MigrationError,
  recordDecoder,
  struct,
  u8,
  u32,
  u64,
  vmstate,
} from "../src/index.ts";
import {
  type ReaderOptions,
  type SectionHead,
  type StreamEvent,
  StreamReader,
  StreamWriter,
  vmdescText,
  writeContinuation,
  writeFooter,
} from "../src/stream/index.ts";

const pair = vmstate({ name: "pair", version: 1, fields: { a: u32, b: u64 } });
const big = vmstate({
  name: "big",
  version: 1,
  fields: { head: u8, pairs: array(struct(pair), 400), raw: buffer(3000), tail: u8 },
});
const bigState = {
  head: 1,
  pairs: Array.from({ length: 400 }, (_, i) => ({ a: i, b: BigInt(i) << 40n })),
  raw: Uint8Array.from({ length: 3000 }, (_, i) => (i * 5) & 0xff),
  tail: 9,
};
const small = vmstate({ name: "small", version: 1, fields: { x: u8 } });

const head = (sectionId: number, idstr: string, version = 1): SectionHead => ({
  sectionId,
  idstr,
  instance: 0,
  version,
});

function stream(build: (writer: StreamWriter) => unknown): Uint8Array {
  const writer = new StreamWriter();
  writer.header();
  writer.configuration({ machineType: "test-1", pageBits: 0, capabilities: [], uuid: undefined });
  build(writer);
  return writer.out.flush();
}

function knows(...descriptions: Description[]): ReaderOptions {
  return {
    open(of): BodyDecoder | undefined {
      const description = descriptions.find((d) => d.name === of.idstr);
      return description && recordDecoder(description, of.version);
    },
  };
}

function read(
  bytes: Uint8Array,
  options: ReaderOptions,
  chunk = bytes.length,
): { events: StreamEvent[]; reader: StreamReader } {
  const reader = new StreamReader(options);
  const events: StreamEvent[] = [];
  for (let at = 0; at < bytes.length; at += chunk) events.push(...reader.push(bytes.slice(at, at + chunk)));
  events.push(...reader.end());
  return { events, reader };
}

const sections = (events: StreamEvent[]) =>
  events.filter((e) => e.type === "section").map((e) => [e.head.idstr, e.phase, e.delimitedBy, e.bodyBytes]);

function errorOf(work: () => unknown): MigrationError {
  try {
    work();
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("no error");
}

describe("StreamReader", () => {
  const whole = stream((w) => {
    w.full(head(3, "big"), big, bigState);
    w.full(head(4, "small"), small, { x: 7 });
    w.finish();
  });

  it("reads what StreamWriter wrote", () => {
    const { events } = read(whole, knows(big, small));
    expect(events.map((e) => e.type)).toEqual(["header", "configuration", "section", "section", "eof", "vmdesc"]);
    const configuration = events[1];
    expect(configuration?.type === "configuration" && configuration.configuration.machineType).toBe("test-1");
    const section = events[2];
    expect(section?.type === "section" && section.value).toEqual({ $version: 1, ...bigState });
    expect(sections(events)).toEqual([
      ["big", "full", "description", 1 + 400 * 12 + 3000 + 1],
      ["small", "full", "description", 1],
    ]);
  });

  it("does linear work for every chunking", () => {
    const many = stream((w) => {
      for (let i = 0; i < 8; i++) w.full({ ...head(i, "big"), instance: i }, big, bigState);
      w.finish();
    });
    const work = [1, 7, 4096, many.length].map((chunk) => {
      const { events, reader } = read(many, knows(big), chunk);
      expect(sections(events).length).toBe(8);
      return { fields: reader.fields, allocated: reader.allocatedBytes };
    });
    const least = Math.min(...work.map((w) => w.fields));
    expect(least).toBeGreaterThanOrEqual(8 * (400 * 2 + 4));
    for (const { fields, allocated } of work) {
      expect(fields).toBeLessThanOrEqual(2 * least);
      expect(allocated).toBeLessThanOrEqual(8 * many.length);
    }
  });

  it("holds an undescribed section on a pipe until the vmdesc tells its end", () => {
    for (const chunk of [1, 1000, whole.length]) {
      const { events } = read(whole, knows(small), chunk);
      expect(sections(events)).toEqual([
        ["big", "full", "vmdesc", 7802],
        ["small", "full", "description", 1],
      ]);
    }
    const error = errorOf(() => read(whole, { ...knows(small), holdBytes: 100 }));
    expect([error.code, error.location.section, error.expected]).toEqual([
      "SECTION_UNDELIMITED",
      "big/0",
      "at most 100 bytes to the end",
    ]);
  });

  it("says precisely what is missing where nothing delimits a section", () => {
    const bare = stream((w) => {
      w.full(head(4, "small"), small, { x: 7 });
      w.full(head(3, "big"), big, bigState);
      w.out.u8(0);
    });
    const error = errorOf(() => read(bare, knows(small)));
    expect([error.code, error.location.section, error.detail]).toEqual([
      "SECTION_UNDELIMITED",
      "big/0",
      '"big" cannot be delimited: no description, no walker and no vmdesc',
    ]);
    const given = { page_size: 4096, devices: [{ name: "big", instance_id: 0, size: 7802 }] };
    const { events } = read(bare, { ...knows(small), givenVmdesc: given });
    expect(sections(events)[1]).toEqual(["big", "full", "given-vmdesc", 7802]);
    expect(events.at(-1)).toMatchObject({ type: "note", code: "no-vmdesc" });
    expect(sections(read(bare, { ...knows(small), footerScan: true }).events)[1]).toEqual([
      "big",
      "full",
      "footer-scan",
      7802,
    ]);
    const wrong = { page_size: 4096, devices: [{ name: "big", instance_id: 0, size: 7801 }] };
    expect(errorOf(() => read(bare, { ...knows(small), givenVmdesc: wrong })).code).toBe("FOOTER_MISSING");
  });

  it("waits on a pipe for the stream's own description before it trusts anything worse", () => {
    // A body that holds what looks like its own footer, and a given description that is wrong.
    const trap = vmstate({ name: "trap", version: 1, fields: { bytes: buffer(20) } });
    const bytes = new Uint8Array(20);
    bytes.set([0x7e, 0, 0, 0, 3, 0x00], 4);
    const trapped = stream((w) => [w.full(head(3, "trap"), trap, { bytes }), w.finish()]);
    const wrong = { page_size: 4096, devices: [{ name: "trap", instance_id: 0, size: 4 }] };
    for (const chunk of [1, trapped.length]) {
      const { events } = read(trapped, { ...knows(), footerScan: true, givenVmdesc: wrong }, chunk);
      expect(sections(events)).toEqual([["trap", "full", "vmdesc", 20]]);
    }
    // Without it the scan is misled, which is why it comes last.
    expect(errorOf(() => read(trapped, { ...knows(), footerScan: true, vmdesc: "none" })).code).toBe("STREAM_TRAILING");
  });

  it("keeps its bound with every delimiter", () => {
    const huge = { page_size: 4096, devices: [{ name: "big", instance_id: 0, size: 2 ** 40 }] };
    const more = { ...knows(small), holdBytes: 1000 };
    const bare = stream((w) => [w.full(head(3, "big"), big, bigState), w.out.u8(0)]);
    expect(errorOf(() => read(bare, { ...more, vmdesc: huge }, 100)).code).toBe("LENGTH_BOUND");
    const endless = Uint8Array.from([...bare.subarray(0, 200), ...new Uint8Array(5000)]);
    expect(errorOf(() => read(endless, { ...more, vmdesc: "none", footerScan: true }, 100)).code).toBe("LENGTH_BOUND");
  });

  it("takes no description apart that is not well formed", () => {
    const levels = 60_000;
    const deep = `"subsections": [${'{"vmsd_name": "x", "subsections": ['.repeat(levels)}${"]}".repeat(levels)}]`;
    const bad = [
      ['"fields": [null]', "devices[0].fields[0] is no object"],
      ['"subsections": 5', "devices[0].subsections is no list"],
      ['"subsections": [{}]', "devices[0].subsections[0] has no name"],
      ['"fields": [{"name": "a", "type": "struct", "struct": null}]', "devices[0].fields[0].struct is no object"],
      ['"fields": [{"name": "a", "type": "uint8", "size": -1}]', "a device's fields do not add up"],
      [deep, "nests too deep"],
    ] as const;
    for (const [members, detail] of bad) {
      const text = new TextEncoder().encode(
        `{"page_size": 1, "devices": [{"name": "a", "instance_id": 0, ${members}}]}`,
      );
      const bytes = stream((w) => [w.out.u8(0), w.out.u8(6), w.out.u32(text.length), w.out.raw(text)]);
      const error = errorOf(() => read(bytes, knows()));
      expect([error.code, error.detail]).toEqual(["VMDESC_INVALID", expect.stringContaining(detail)]);
    }
  });

  it("tells a decoder's own mistake with the place, and is over", () => {
    const reader = new StreamReader({
      open: () => {
        throw new TypeError("planted");
      },
    });
    const error = errorOf(() => reader.push(whole));
    expect([error.code, error.location.section, (error.cause as Error).message]).toEqual([
      "DEVICE_FAILED",
      "big/0",
      "planted",
    ]);
    expect(errorOf(() => reader.push(Uint8Array.of(1)))).toBe(error);
  });

  it("walks QEMU's own iterables", () => {
    const bytes = stream((w) => {
      w.start(head(1, "spapr/htab"));
      w.out.u32(24);
      w.footer(1);
      w.start(head(2, "s390-storage_attributes", 0));
      w.out.u64(1n);
      w.footer(2);
      w.start(head(5, "dirty-bitmap"));
      w.out.raw(Uint8Array.of(0x1c, 1, 0x6e, 1, 0x62, 0, 0, 0, 16, 1, 0x01));
      w.footer(5);
      for (const phase of ["part", "end"] as const) {
        w.continue(phase, 1);
        w.out.u32(0);
        w.out.raw(Uint8Array.of(0, 0, 0, 9, 0, 2, 0, 1));
        w.out.raw(new Uint8Array(32).fill(0x7e));
        w.out.raw(new Uint8Array(8));
        w.footer(1);
        w.continue(phase, 2);
        w.out.raw(Uint8Array.of(0, 0, 0, 0, 0, 0, 0x10, 2, 0, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3));
        w.out.raw(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1));
        w.footer(2);
      }
      w.finish();
    });
    for (const chunk of [1, 3, bytes.length]) {
      expect(sections(read(bytes, knows(), chunk).events)).toEqual([
        ["spapr/htab", "start", "walker", 4],
        ["s390-storage_attributes", "start", "walker", 8],
        ["dirty-bitmap", "start", "walker", 11],
        ["spapr/htab", "part", "walker", 52],
        ["s390-storage_attributes", "part", "walker", 27],
        ["spapr/htab", "end", "walker", 52],
        ["s390-storage_attributes", "end", "walker", 27],
      ]);
    }
  });

  it("knows the order of sections: START, PARTs, END, and one FULL of the same handler", () => {
    const body = (w: StreamWriter) => w.out.u8(5);
    const start = (w: StreamWriter) => [w.start(head(1, "small")), body(w), w.footer(1)];
    const more = (w: StreamWriter, phase: "part" | "end", id = 1) => [
      writeContinuation(w.out, phase, id),
      body(w),
      writeFooter(w.out, id),
    ];
    const full = (w: StreamWriter) => w.full(head(1, "small"), small, { x: 1 });
    const codeOf = (build: (w: StreamWriter) => unknown) => {
      const bytes = stream((w) => [build(w), w.finish()]);
      try {
        return sections(read(bytes, knows(small)).events)
          .map(([, phase]) => phase)
          .join(" ");
      } catch (error) {
        if (isMigrationError(error)) return `${error.code} ${error.location.section}`;
        throw error;
      }
    };
    expect(codeOf((w) => [start(w), more(w, "part"), more(w, "end"), full(w)])).toBe("start part end full");
    expect(codeOf((w) => [start(w), more(w, "end"), more(w, "part")])).toBe("SECTION_ORDER small/0");
    expect(codeOf((w) => more(w, "part"))).toBe("SECTION_ID stream");
    expect(codeOf((w) => [full(w), more(w, "part")])).toBe("SECTION_ID stream");
    expect(codeOf((w) => [start(w), start(w)])).toBe("SECTION_DUPLICATE small/0");
    expect(codeOf((w) => [start(w), full(w), full(w)])).toBe("SECTION_DUPLICATE small/0");
    expect(codeOf((w) => [full(w), start(w)])).toBe("SECTION_DUPLICATE small/0");
    expect(codeOf((w) => [start(w), w.full(head(1, "other"), small, { x: 1 })])).toBe("SECTION_ID other/0");
    expect(codeOf((w) => w.out.u8(0x05))).toBe("SECTION_TYPE stream");
    expect(codeOf((w) => w.out.u8(0x07))).toBe("SECTION_ORDER stream");
  });

  it("reads commands, and refuses unknown ones and wrong lengths", () => {
    const withCommand = (...bytes: number[]) => stream((w) => [w.out.raw(Uint8Array.of(8, ...bytes)), w.finish()]);
    const { events } = read(withCommand(0, 2, 0, 4, 0, 0, 0, 1), knows(), 1);
    expect(events[2]).toMatchObject({ type: "command", name: "PING", payload: Uint8Array.of(0, 0, 0, 1) });
    const unknown = errorOf(() => read(withCommand(0, 99, 0, 0), knows()));
    expect([unknown.code, unknown.found, unknown.location.path]).toEqual(["COMMAND_UNKNOWN", "0x63", "command"]);
    expect(errorOf(() => read(withCommand(0, 2, 0, 3, 0, 0, 0), knows())).code).toBe("COMMAND_LENGTH");
  });

  it("refuses what follows the end, and a description that is none", () => {
    expect(errorOf(() => read(Uint8Array.of(...whole, 0), knows(big, small))).location.offset).toBe(whole.length);
    const noJson = stream((w) => w.out.raw(Uint8Array.of(0, 6, 0, 0, 0, 2, 0x7b, 0x7b)));
    expect(errorOf(() => read(noJson, knows())).code).toBe("VMDESC_INVALID");
    const tooLong = stream((w) => w.out.raw(Uint8Array.of(0, 6, 0x7f, 0, 0, 0)));
    const error = errorOf(() => read(tooLong, knows()));
    expect([error.code, error.location.path]).toEqual(["LENGTH_BOUND", "vmdesc.length"]);
  });

  it("forks at every byte", () => {
    let reader = new StreamReader(knows(big, small));
    const events: StreamEvent[] = [];
    for (let at = 0; at < whole.length; at += 13) {
      const fork = reader.fork();
      const copy = fork.push(whole.slice(at, at + 13));
      expect(reader.push(whole.slice(at, at + 13))).toEqual(copy);
      events.push(...copy);
      if (at % 2 === 0) reader = fork;
    }
    events.push(...reader.end());
    expect(events).toEqual(read(whole, knows(big, small)).events);
  });
});

describe("vmdescText", () => {
  it("prints as QEMU does", () => {
    const text = vmdescText({
      page_size: 4096,
      devices: [
        {
          name: "é",
          instance_id: 0,
          vmsd_name: "é",
          version: 1,
          fields: [{ name: "x", array_len: 2, type: "uint8", size: 1 }],
        },
      ],
    });
    expect(text).toBe(
      '{"page_size": 4096, "devices": [{"name": "\\u00E9", "instance_id": 0, "vmsd_name": "\\u00E9", "version": 1, ' +
        '"fields": [{"name": "x", "array_len": 2, "type": "uint8", "size": 1}]}]}',
    );
  });
});

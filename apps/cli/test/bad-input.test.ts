// Bad input: cut off anywhere, with bits flipped, endless. One sentence, the place, exit 1; never a bug of ours.

import { haveStreams, readStream } from "@godwit/test-support/streams";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { changed, endlessParts, Folder, smallStream } from "./bad-input-support.ts";
import { type Run, runCli } from "./run-cli.ts";

const verify = (stdin: Uint8Array, ...more: readonly string[]): Promise<Run> =>
  runCli(["verify", "-", "--json", ...more], { stdin });

interface Told {
  readonly code: string;
  readonly offset?: number;
  readonly section?: string;
  readonly path?: string;
  readonly hint?: string;
}

function errorOf({ stdout }: Run): Told {
  return (JSON.parse(stdout) as { error: Told }).error;
}

/** Exit 1 with one JSON document that says where, and no trace. */
function expectTold(run: Run, what: string): Told {
  expect(run.code, what).toBe(1);
  expect(run.stderr, what).not.toMatch(/\n\s+at .*[/\\].*:\d+/);
  const error = errorOf(run);
  expect(error.offset, what).toBeGreaterThanOrEqual(0);
  expect(error.section, what).toBeTypeOf("string");
  expect(error.path, what).toBeTypeOf("string");
  expect(error.hint, what).toBeTypeOf("string");
  return error;
}

describe("a stream that is cut off", () => {
  const { bytes, at } = smallStream();

  it("is whole when it is not", async () => {
    expect((await verify(bytes)).code).toBe(0);
  });

  it("is refused with the place, wherever it was cut", async () => {
    for (let length = 0; length < bytes.length; length++) {
      // Within a page one place is like another.
      if (length > (at["page"] as number) + 16 && length < (at["eos"] as number) - 1) continue;
      // And within the vmdesc's text.
      if (length > (at["eof"] as number) + 16 && length < bytes.length - 16 && length % 16 > 0) continue;
      const run = await verify(bytes.slice(0, length));
      const error = expectTold(run, `${length} bytes`);
      expect(error.offset, `${length} bytes`).toBeLessThanOrEqual(length);
    }
  });

  it("names the element that is missing", async () => {
    const inPage = errorOf(await verify(bytes.slice(0, (at["page"] as number) + 100)));
    expect(inPage).toMatchObject({
      code: "STREAM_TRUNCATED",
      section: "ram/0",
      path: "pages[pc.ram+0x1000].data",
      offset: (at["page"] as number) + 8,
    });
    expect(inPage.hint).toContain("cut off");
  });
});

describe("a stream whose end is not its own", () => {
  const { bytes, at } = smallStream();

  it("is cut off where nothing else tells a section's length", async () => {
    const cut = bytes.slice(0, (at["eof"] as number) - 3);
    using folder = new Folder();
    for (const run of [await runCli(["verify", folder.file("cut", cut), "--json"]), await verify(cut)]) {
      expect(errorOf(run)).toMatchObject({ code: "STREAM_TRUNCATED", section: "gadget/7", path: "body" });
    }
    // Without a vmdesc it is whole, and the section is what is missing.
    const whole = smallStream(false).bytes;
    for (const run of [await runCli(["verify", folder.file("whole", whole), "--json"]), await verify(whole)]) {
      expect(errorOf(run)).toMatchObject({ code: "SECTION_UNDELIMITED", section: "gadget/7" });
    }
    const scanned = await verify(whole, "--footer-scan");
    expect(scanned.code).toBe(0);
    expect(JSON.parse(scanned.stdout)).toMatchObject({ notComparedBytes: 8, vmdesc: "absent" });
  });

  it("is told where padding follows it", async () => {
    const padded = new Uint8Array(bytes.length + 4096);
    padded.set(bytes);
    using folder = new Folder();
    const run = await runCli(["verify", folder.file("padded", padded), "--json"]);
    expect(expectTold(run, "padded")).toMatchObject({ code: "STREAM_TRAILING", offset: bytes.length });
  });
});

describe("an endless input", () => {
  it("of RAM is ended when no migration would go on", async () => {
    const { begin, part } = endlessParts("zero", 2048);
    let parts = 0;
    function* endless(): Generator<Uint8Array> {
      yield begin;
      for (;;) {
        parts++;
        yield part;
      }
    }
    const run = await runCli(["verify", "-", "--json"], { stdin: endless() });
    expect(expectTold(run, "endless").code).toBe("STREAM_ENDLESS");
    // 2^20 records: each part has one more than 2048, for its end.
    expect(parts).toBe(512);
  });

  it("in a device's section is ended at --hold, in one of an iterable too", async () => {
    const { bytes, at } = smallStream();
    const chunk = new Uint8Array(1 << 16);
    function* endless(head: Uint8Array, fill: number): Generator<Uint8Array> {
      yield head;
      chunk.fill(fill);
      for (;;) yield chunk;
    }
    const device = await runCli(["verify", "-", "--json", "--hold", "1M"], {
      stdin: endless(bytes.slice(0, (at["listed"] as number) + 24), 0),
    });
    const held = expectTold(device, "device");
    expect(held).toMatchObject({ code: "HOLD_BOUND" });
    expect(held.hint).toContain("--hold");
    const start = [0x01, 0, 0, 0, 9, 10, ...Buffer.from("spapr/htab"), 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 24];
    const part = [0x7e, 0, 0, 0, 9, 0x02, 0, 0, 0, 9, 0, 0, 0, 0];
    const head = new Uint8Array([...bytes.slice(0, at["start"]), ...start, ...part]);
    // Chunks of no entry at all, which are not the end mark.
    const iterable = await runCli(["verify", "-", "--json", "--hold", "1M"], { stdin: endless(head, 1) });
    expect(expectTold(iterable, "iterable")).toMatchObject({ code: "HOLD_BOUND", section: "spapr/htab/0" });
  });

  it("costs memory by its chunks, not by its RAM", async () => {
    const { begin, part } = endlessParts("page", 256);
    const { bytes, at } = smallStream();
    const total = 2 ** 31;
    let most = 0;
    function* large(): Generator<Uint8Array> {
      yield begin;
      for (let sent = 0, i = 0; sent < total; sent += part.length, i++) {
        yield part;
        if (i % 64 === 0) most = Math.max(most, process.memoryUsage().arrayBuffers);
      }
      yield bytes.slice(at["end"]);
    }
    const before = process.memoryUsage().arrayBuffers;
    const run = await runCli(["verify", "-", "--json"], { stdin: large() });
    expect(run.code).toBe(0);
    const report = JSON.parse(run.stdout) as { streamBytes: number; comparedBytes: { ramRecords: number } };
    expect(report.streamBytes).toBeGreaterThan(total);
    expect(report.comparedBytes.ramRecords).toBeGreaterThan(total * 0.99);
    expect(most - before).toBeLessThan(total / 16);
  });
});

describe("a pipe that repeats what is no RAM", () => {
  const { bytes, at } = smallStream();
  const begin = bytes.slice(0, at["described"]);
  const command = bytes.slice(at["command"], at["described"]);

  it.each(["inspect", "verify", "diff"])("is an endless one to %s, and what is kept of it is bounded", async (verb) => {
    let pieces = 0;
    const most = 1000;
    function* endless(): Generator<Uint8Array> {
      yield begin;
      const piece = Buffer.concat(Array.from({ length: 1000 }, () => command));
      for (; pieces < most; pieces++) yield new Uint8Array(piece);
    }
    using folder = new Folder();
    const args = verb === "diff" ? ["diff", folder.file("whole", bytes), "-"] : [verb, "-"];
    const run = await runCli([...args, "--json"], { stdin: endless() });
    expect(expectTold(run, verb).code).toBe("STREAM_ENDLESS");
    expect(pieces).toBeLessThan(most / 2);
  });

  it("may all the same bring commands by the thousand", async () => {
    const many = Array.from({ length: 20_000 }, () => command);
    const stream = new Uint8Array(Buffer.concat([begin, ...many, bytes.slice(at["described"])]));
    expect((await verify(stream)).code).toBe(0);
  });
});

describe("a stream with a bit flipped", () => {
  const { bytes } = smallStream();

  it("is fine or told, never a bug", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: bytes.length * 8 - 1 }), fc.boolean(), async (bit, fromFile) => {
        const flipped = changed(bytes, bit >> 3, (bytes[bit >> 3] as number) ^ (1 << (bit & 7)));
        using folder = new Folder();
        const path = fromFile ? folder.file("flipped.stream", flipped) : "-";
        const run = await runCli(["verify", path], fromFile ? {} : { stdin: flipped });
        expect([0, 1], `bit ${bit}: ${run.stderr}`).toContain(run.code);
        expect(run.stderr).not.toMatch(/\n\s+at .*[/\\].*:\d+/);
      }),
      { numRuns: 500, seed: 5 },
    );
  });
});

describe.skipIf(!haveStreams())("a real stream", () => {
  const names = ["q35-bare-7.2", "pseries-hotplug-net-7.2", "tiny-multifd-10.0.main"];

  it.each(names)("%s is refused with the place when it is cut", async (name) => {
    const bytes = readStream(`${name}.stream`);
    using folder = new Folder();
    const places = name.startsWith("pseries") ? 5 : 12;
    for (let i = 0; i < places; i++) {
      // More of them at the end, where the devices are.
      const length = Math.floor(bytes.length * (1 - (1 - (i + 0.5) / places) ** 3));
      const path = folder.file("cut.stream", bytes.subarray(0, length));
      const file = expectTold(await runCli(["verify", path, "--json"]), `${name}, ${length} bytes of a file`);
      expect(file.offset).toBeLessThanOrEqual(length);
      expectTold(await verify(bytes.subarray(0, length)), `${name}, ${length} bytes of a pipe`);
    }
  });

  it.each([
    ["q35-bare-7.2", 40],
    ["tiny-multifd-10.0.main", 40],
    ["pseries-hotplug-net-7.2", 6],
    ["q35-vtd-virtio-7.2", 5],
  ] as const)("%s is fine or told when bits are flipped", async (name, runs) => {
    const bytes = readStream(`${name}.stream`);
    // RAM is read by the same code for every stream: what differs are the devices.
    const tail = Math.min(bytes.length, 400_000);
    using folder = new Folder();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: tail * 8 }), { minLength: 1, maxLength: 3 }),
        async (bits) => {
          const flipped = bytes.slice();
          for (const bit of bits) {
            const at = bytes.length - Math.ceil(bit / 8);
            flipped[at] = (flipped[at] as number) ^ (1 << (bit & 7));
          }
          const run = await runCli(["verify", folder.file("flipped.stream", flipped)]);
          expect([0, 1], `bits ${bits}: ${run.stderr}`).toContain(run.code);
        },
      ),
      { numRuns: runs, seed: 11 },
    );
  });
});

// What a hostile, broken or foreign stream gets: a code of its own, its place, and no memory that its bytes do not
// justify. The stream is the reference machine's own.
import { isMigrationError, type MigrationError } from "@godwit/core";
import { beforeAll, describe, expect, it } from "vitest";
import { runUntil, sharedHost } from "./shared-host.ts";

const memoryBytes = 1 << 20;
const host = sharedHost(3);
let good: Uint8Array;

beforeAll(async () => {
  const source = host.machine({ memoryBytes });
  source.boot({ seed: 3, useIommu: true, dirtyPagesPerSecond: 0, blocksPerSecond: 0, maxBlocks: 0 });
  source.kernel.resume();
  await runUntil(source, 4);
  await source.kernel.quiesce();
  source.kernel.pause();
  const chunks: Uint8Array[] = [];
  for await (const chunk of source.kernel.save()) chunks.push(chunk);
  good = new Uint8Array(Buffer.concat(chunks));
});

const be32 = (value: number) => [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];

/** Offset of the type byte of the section's first head, and of its body. */
function section(idstr: string): { head: number; body: number; end: number } {
  const name = Buffer.from(idstr);
  for (let at = 0; ; at++) {
    at = Buffer.from(good).indexOf(name, at);
    if (at < 0) throw new Error(`no ${idstr}`);
    if (good[at - 1] !== name.length || ![1, 4].includes(good[at - 6] as number)) continue;
    const footer = Buffer.from([0x7e, ...good.subarray(at - 5, at - 1)]);
    const body = at + name.length + 8;
    return { head: at - 6, body, end: Buffer.from(good).indexOf(footer, body) + 5 };
  }
}

const at =
  (offset: number, ...bytes: number[]) =>
  (stream: Uint8Array) => {
    const copy = stream.slice();
    copy.set(bytes, offset);
    return copy;
  };
const insert = (offset: number, bytes: ArrayLike<number>) => (stream: Uint8Array) =>
  Uint8Array.from([...stream.subarray(0, offset), ...Array.from(bytes), ...stream.subarray(offset)]);

/** The refusal, for every chunking the same; and what was allocated for what had arrived. */
async function refused(change: (stream: Uint8Array) => Uint8Array): Promise<MigrationError> {
  const stream = change(good);
  const found: MigrationError[] = [];
  for (const chunkBytes of [stream.length, 4096, 61]) {
    const target = host.machine({ memoryBytes });
    const untouched = target.kernel.snapshot();
    const attempt = target.kernel.incoming();
    let arrived = 0;
    try {
      for (; arrived < stream.length; arrived += chunkBytes) attempt.push(stream.slice(arrived, arrived + chunkBytes));
      attempt.end();
      await attempt.prepare();
      throw new Error("was not refused");
    } catch (error) {
      if (!isMigrationError(error)) throw error;
      found.push(error);
    }
    expect(attempt.allocatedBytes).toBeLessThan(8 * Math.min(arrived + chunkBytes, stream.length) + 16_384);
    attempt.discard();
    expect(Buffer.compare(target.kernel.snapshot(), untouched)).toBe(0);
  }
  const [first, ...others] = found.map((error) => error.toJSON());
  for (const other of others) expect(other).toEqual(first);
  return found[0] as MigrationError;
}

describe("bad input", () => {
  const cases: [
    string,
    () => [(stream: Uint8Array) => Uint8Array, string, string, string | RegExp, number | undefined],
  ][] = [
    ["wrong magic", () => [at(2, 0x45), "MAGIC_WRONG", "header", "magic", 0]],
    ["version 2", () => [at(7, 2), "STREAM_VERSION", "header", "version", 4]],
    [
      "a newer section version",
      () => [
        at(section("iommu-intel").body - 1, 2),
        "SECTION_VERSION",
        "iommu-intel/0",
        "version_id",
        section("iommu-intel").body - 4,
      ],
    ],
    [
      "an unknown section",
      () => [
        at(section("iommu-intel").head + 6, 0x49),
        "SECTION_UNKNOWN",
        "Iommu-intel/0",
        "idstr",
        section("iommu-intel").head + 5,
      ],
    ],
    [
      "an unknown subsection",
      () => {
        const { end } = section("iommu-intel");
        return [
          insert(end - 5, [5, 13, ...Buffer.from("iommu-intel/x"), ...be32(1)]),
          "SUBSECTION_UNKNOWN",
          "iommu-intel/0",
          "(subsection)",
          end - 5,
        ];
      },
    ],
    [
      "another section's footer",
      () => [
        at(section("riscv-hart").end - 1, 77),
        "FOOTER_MISMATCH",
        "riscv-hart/0",
        "footer",
        section("riscv-hart").end - 5,
      ],
    ],
    [
      "a body of another length",
      () => [
        insert(section("riscv-hart").body, [0]),
        "FOOTER_MISSING",
        "riscv-hart/0",
        "footer",
        section("riscv-hart").end - 5,
      ],
    ],
    [
      "a section twice",
      () => {
        const { head, end } = section("riscv-hart");
        return [insert(end, good.slice(head, end)), "SECTION_DUPLICATE", "riscv-hart/0", "idstr", end + 5];
      },
    ],
    [
      "a PART of nobody",
      () => [
        insert(section("riscv-hart").head, [2, ...be32(99)]),
        "SECTION_ID",
        "stream",
        "section_id",
        section("riscv-hart").head + 1,
      ],
    ],
    [
      "a section type that is none",
      () => [insert(section("riscv-hart").head, [0x33]), "SECTION_TYPE", "stream", "type", section("riscv-hart").head],
    ],
    [
      "an unknown command",
      () => [
        insert(section("riscv-hart").head, [8, 0, 200, 0, 0]),
        "COMMAND_UNKNOWN",
        "command",
        "command",
        section("riscv-hart").head + 1,
      ],
    ],
    [
      "a command of another length",
      () => [
        insert(section("riscv-hart").head, [8, 0, 2, 0, 1, 0]),
        "COMMAND_LENGTH",
        "command",
        "command.length",
        section("riscv-hart").head + 3,
      ],
    ],
    ["bytes after the end", () => [insert(good.length, [0]), "STREAM_TRAILING", "stream", "end", good.length]],
    ["another machine type", () => [at(8 + 1 + 4, 0x47), "MACHINE_MISMATCH", "configuration", "name", undefined]],
    ["a machine name of 2 GiB", () => [at(8 + 1, 0x7f), "LENGTH_BOUND", "configuration", "name", 13]],
    // The block list: total, then u8 and name, be64 length.
    [
      "RAM of another length",
      () => [at(section("ram").body + 8 + 14 + 5, 0x20), "RAM_BLOCK_MISMATCH", "ram/0", /^blocks\[0\]/, undefined],
    ],
    [
      "an unknown RAM block",
      () => [at(section("ram").body + 9, 0x52), "RAM_BLOCK_UNKNOWN", "ram/0", /^blocks\[0\]/, undefined],
    ],
    [
      "a section that is missing",
      () => {
        const { head, end } = section("riscv-hart");
        return [
          (stream) => Uint8Array.from([...stream.subarray(0, head), ...stream.subarray(end)]),
          "SECTION_MISSING",
          "riscv-hart/0",
          /^$/,
          undefined,
        ];
      },
    ],
  ];

  it.each(cases)("%s", async (_, make) => {
    const [change, code, where, path, offset] = make();
    const error = await refused(change);
    expect([error.code, error.location.section]).toEqual([code, where]);
    expect(error.location.path ?? "").toMatch(path);
    expect(error.location.offset).toBe(offset ?? error.location.offset);
    expect(typeof error.location.offset).toBe("number");
  });

  it("counts and lengths of virtio that no device has", async () => {
    const { body } = section("0000:00:02.0/virtio-blk");
    const attempt = host.machine({ memoryBytes }).kernel.incoming();
    attempt.push(good.subarray(0, body));
    let offset = body;
    const reading = () => {
      try {
        attempt.fork().end();
      } catch (error) {
        if (isMigrationError(error)) return error.location.path ?? "";
      }
      return "";
    };
    while (!reading().endsWith("config_len")) attempt.push(good.subarray(offset, ++offset));
    attempt.discard();
    const error = await refused(at(offset, 0x7f, 0xff, 0xff, 0xff));
    expect(error.code).toBe("LENGTH_BOUND");
    expect(error.location.section).toBe("0000:00:02.0/virtio-blk/0");
    expect(error.location.path).toMatch(/config/);
  });

  it("gives each of these a code of its own", () => {
    const codes = cases.map(([, make]) => make()[1]);
    expect(new Set(codes).size).toBe(codes.length);
  });
});

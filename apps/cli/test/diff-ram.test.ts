// `diff` of RAM: ranges of pages, exact, of streams made for it; and of real ones, however their pages travelled.
import { ftruncateSync, mkdtempSync, openSync, readdirSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { haveStreams, streamFile } from "@godwit/test-support/streams";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Difference, PageRange } from "../src/diff/difference.ts";
import { compareRam } from "../src/diff/ram.ts";
import { type RamPlaces, ramPlaces } from "../src/ram/ram-places.ts";
import { Folder } from "./bad-input-support.ts";
import { type MadePage, madeStream, temporaryFile } from "./inspect-support.ts";
import { runCli } from "./run-cli.ts";

async function compared(...args: string[]): Promise<{ readonly code: number; readonly found: Difference }> {
  const { code, stdout } = await runCli(["diff", ...args, "--json"]);
  return { code, found: JSON.parse(stdout) as Difference };
}

/** A stream with one block of so many pages, all of which come. */
function made(name: string, pages: number, content: readonly MadePage[], idstr = "pc.ram"): string {
  const first = Array.from({ length: pages }, (_, page) => ({ page, fill: 0 }));
  return temporaryFile(name, madeStream({ blocks: [{ idstr, pages, content: [...first, ...content] }] }));
}

const range = (kind: PageRange["kind"], firstPage: number, lastPage: number): PageRange => ({
  kind,
  firstPage,
  lastPage,
  pages: lastPage - firstPage + 1,
  offset: firstPage * 4096,
});

const filled = (from: number, to: number, fill: number): MadePage[] =>
  Array.from({ length: to - from + 1 }, (_, i) => ({ page: from + i, fill }));

/** A block in a file of its own, as a stream lists it. */
function placed(folder: Folder, name: string, listed: object): RamPlaces {
  const descriptor = openSync(folder.file(name, ""), "r+");
  ftruncateSync(descriptor, 8 * 4096);
  const ram = ramPlaces({ pageBytes: () => 4096, place: () => ({ descriptor, at: 0 }) });
  ram.ram.onBlock?.({ idstr: "pc.ram", length: 8 * 4096, ...listed });
  return ram;
}

const none = { section: () => false, field: () => false };
const differing = (a: RamPlaces, b: RamPlaces) => compareRam(a, b, none, 10, () => {}).difference;

describe("what RAM blocks are", () => {
  it("is told where both streams tell it: the memory's own pages, and the address", () => {
    using folder = new Folder();
    const small = placed(folder, "a", { pageBytes: 4096, address: 0n });
    const huge = placed(folder, "b", { pageBytes: 2 << 20, address: 0x1_0000_0000n });
    const silent = placed(folder, "c", {});
    expect(differing(small, huge).changed).toMatchObject([
      { memoryPageBytes: { a: 4096, b: 2 << 20 }, address: { a: 0n, b: 0x1_0000_0000n } },
    ]);
    expect(differing(small, silent).changed).toEqual([]);
    expect(differing(silent, huge).pagesInNeither).toBe(8);
  });

  it("is no page of zeros that a channel brought as it is, beside one that a record says is zero", () => {
    using folder = new Folder();
    const [a, b] = [placed(folder, "a", {}), placed(folder, "b", {})];
    const block = { idstr: "pc.ram", length: 8 * 4096 };
    const bring = (into: RamPlaces, page: number, content: Uint8Array): void => {
      into.target.store(block, page * 4096, content, 0, 4096);
      into.target.arrive(block, page * 4096);
    };
    for (const page of [1, 2]) bring(a, page, new Uint8Array(4096));
    b.target.fill(block, 4096, 0);
    bring(b, 2, new Uint8Array(4096).fill(1));
    for (const side of [a, b]) side.finish();
    expect(differing(a, b).changed).toMatchObject([{ pages: { changed: 0, cleared: 0, filled: 1 } }]);
  });

  it("is not said to be the same where neither stream brings a page", async () => {
    const path = temporaryFile("part", madeStream({ blocks: [{ idstr: "pc.ram", pages: 8, content: [] }] }));
    const { code, stdout, stderr } = await runCli(["diff", path, path]);
    expect([code, stdout.trimEnd().split("\n").at(-1)]).toEqual([0, "no difference in what was compared"]);
    expect(stderr).toContain("8 pages are in neither stream");
  });
});

describe("pages that differ", () => {
  it("are told in ranges by kind, across the steps of the comparison", async () => {
    const a = made("a", 700, [...filled(0, 3, 1), ...filled(250, 260, 2), ...filled(690, 699, 3)]);
    const b = made("b", 700, [
      ...filled(0, 1, 1),
      ...filled(2, 3, 9),
      ...filled(250, 255, 4),
      ...filled(690, 698, 3),
      ...filled(300, 300, 5),
    ]);
    const { code, found } = await compared(a, b);
    expect(code).toBe(1);
    expect(found.ram).toEqual({
      pageBytes: 4096,
      onlyInA: [],
      onlyInB: [],
      changed: [
        {
          idstr: "pc.ram",
          pages: { changed: 8, cleared: 6, filled: 1, onlyInA: 0, onlyInB: 0 },
          ranges: [
            range("changed", 2, 3),
            range("changed", 250, 255),
            range("cleared", 256, 260),
            range("filled", 300, 300),
            range("cleared", 699, 699),
          ],
          moreRanges: 0,
        },
      ],
      pagesInNeither: 0,
    });
    const { stdout } = await runCli(["diff", a, b]);
    expect(stdout).toContain(`RAM pc.ram  pages: 8 changed, 6 cleared, 1 filled
  offset              pages     count  change
  0x2000..0x3fff      2..3          2  changed
  0xfa000..0xfffff    250..255      6  changed
  0x100000..0x104fff  256..260      5  cleared
  0x12c000..0x12cfff  300           1  filled
  0x2bb000..0x2bbfff  699           1  cleared
`);
    expect(stdout).toContain("different: pages changed: 15\n");
  });

  it("are what the last record of a page makes them", async () => {
    const a = made("a", 8, [...filled(1, 1, 1), ...filled(1, 1, 2), ...filled(2, 2, 3), ...filled(2, 2, 0)]);
    const b = made("b", 8, filled(1, 1, 2));
    const { code, found } = await compared(a, b);
    expect([code, found.equal]).toEqual([0, true]);
  });

  it("are found wherever they are", async () => {
    const pages = fc.array(
      fc.record({ page: fc.integer({ min: 0, max: 599 }), fill: fc.integer({ min: 0, max: 3 }) }),
      { maxLength: 40 },
    );
    const last = (content: readonly MadePage[]): Map<number, number> =>
      new Map(content.map(({ page, fill }) => [page, fill]));
    await fc.assert(
      fc.asyncProperty(pages, pages, async (a, b) => {
        const { found } = await compared(made("a", 600, a), made("b", 600, b));
        const told = new Map(
          (found.ram?.changed[0]?.ranges ?? []).flatMap(({ firstPage, pages: count, kind }) =>
            Array.from({ length: count }, (_, i) => [firstPage + i, kind] as const),
          ),
        );
        const [inA, inB] = [last(a), last(b)];
        for (let page = 0; page < 600; page++) {
          const [own, other] = [inA.get(page) ?? 0, inB.get(page) ?? 0];
          const kind = own === other ? undefined : own === 0 ? "filled" : other === 0 ? "cleared" : "changed";
          expect(told.get(page)).toBe(kind);
        }
        expect(found.equal).toBe(told.size === 0);
      }),
      { seed: 13, numRuns: 15 },
    );
  });

  it("are listed to a bound, and counted beyond it", async () => {
    const every = (step: number): MadePage[] => Array.from({ length: 100 }, (_, i) => ({ page: i * step, fill: 1 }));
    const { found } = await compared(made("a", 300, []), made("b", 300, every(3)), "--ranges", "7");
    const [block] = found.ram?.changed ?? [];
    expect([block?.ranges.length, block?.moreRanges, block?.pages.filled]).toEqual([7, 93, 100]);
  });

  it("are not looked for with --no-ram, --ignore ram, or a glob for the block", async () => {
    const [a, b] = [made("a", 8, []), made("b", 8, filled(3, 3, 1))];
    expect((await compared(a, b)).code).toBe(1);
    for (const args of [["--no-ram"], ["--ignore", "ram"], ["--ignore", "ram#pc.*"]]) {
      expect((await compared(a, b, ...args)).code).toBe(0);
    }
    expect((await compared(a, b, "--ignore", "ram#vga*")).code).toBe(1);
  });

  it("are of blocks that both have; others, and other lengths, are told as such", async () => {
    const one = await compared(made("a", 8, [], "pc.ram"), made("b", 8, [], "vga.vram"));
    expect(one.found.ram).toMatchObject({
      onlyInA: [{ idstr: "pc.ram", bytes: 32768 }],
      onlyInB: [{ idstr: "vga.vram", bytes: 32768 }],
      changed: [],
    });
    const resized = await compared(made("a", 8, filled(7, 7, 1)), made("b", 6, filled(5, 5, 1)));
    expect(resized.code).toBe(1);
    expect(resized.found.ram?.changed).toEqual([
      {
        idstr: "pc.ram",
        bytes: { a: 32768, b: 24576 },
        pages: { changed: 0, cleared: 0, filled: 1, onlyInA: 0, onlyInB: 0 },
        ranges: [range("filled", 5, 5)],
        moreRanges: 0,
      },
    ]);
  });

  it("are told apart from pages that a stream does not bring", async () => {
    const part = (name: string, content: readonly MadePage[]): string =>
      temporaryFile(name, madeStream({ blocks: [{ idstr: "pc.ram", pages: 6, content }] }));
    const { found } = await compared(part("a", filled(0, 3, 1)), part("b", [...filled(1, 2, 1), ...filled(4, 4, 0)]));
    expect(found.ram?.changed[0]?.ranges).toEqual([
      range("onlyInA", 0, 0),
      range("onlyInA", 3, 3),
      range("onlyInB", 4, 4),
    ]);
    expect(found.notes).toEqual([expect.stringContaining("1 pages are in neither") as string]);
  });
});

describe.skipIf(!haveStreams())("RAM of real streams", () => {
  const main = (): string => streamFile("tiny-multifd-7.2.main.stream");
  const channels = (letter: string): string[] =>
    [0, 1].flatMap((n) => [`--channel-${letter}`, streamFile(`tiny-multifd-7.2.ch${n}.stream`)]);

  it("is compared with what came over the channels, and without them is not there", async () => {
    const both = await compared(main(), main(), ...channels("a"), ...channels("b"));
    expect([both.code, both.found.equal, both.found.notes]).toEqual([0, true, []]);
    const half = await compared(main(), main(), ...channels("b"));
    expect(half.code).toBe(1);
    // As many as inspect counts: pages that are not zero.
    expect(half.found.ram?.changed.map(({ idstr, pages }) => [idstr, pages.onlyInB])).toEqual([
      ["pc.ram", 2120],
      ["/rom@etc/acpi/tables", 3],
      ["pc.bios", 46],
      ["/rom@etc/table-loader", 1],
      ["/rom@etc/acpi/rsdp", 1],
    ]);
    const neither = await compared(main(), main());
    expect(neither.found.notes).toEqual([expect.stringContaining("2171 pages are in neither") as string]);
  });

  it("is compared whatever the encoding, and leaves nothing in the temporary folder", async () => {
    // A folder of its own: other tests compare at the same time.
    const scratch = mkdtempSync(join(tmpdir(), "godwit-scratch-"));
    const { found } = await compared(
      streamFile("tiny-compress-7.2.stream"),
      streamFile("tiny-xbzrle-7.2.stream"),
      "--ignore",
      "*/*",
      "--scratch",
      scratch,
    );
    // The guest's 2048 pages hold the number of its pass; the rest of memory is what the firmware made of it.
    const [block] = found.ram?.changed ?? [];
    expect(block?.ranges).toContainEqual(range("changed", 512, 2559));
    expect(found.ram?.changed.map(({ idstr }) => idstr)).toEqual(["pc.ram"]);
    expect(readdirSync(scratch)).toEqual([]);
    rmdirSync(scratch);
  });
});

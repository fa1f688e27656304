// Streams whose RAM came in other ways than as records: made anew as records, or refused where the memory is not in them.
import { rewriteRam } from "@godwit/ram-dirty-tracker";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { configurationOf, openStream } from "../src/open.ts";
import { rebuild } from "../src/rebuild.ts";

/** `a` and `b` name the same blocks with the same bytes. */
function expectSameRam(a: ReadonlyMap<string, Uint8Array>, b: ReadonlyMap<string, Uint8Array>): void {
  expect([...a.keys()]).toEqual([...b.keys()]);
  const differ = [...a].filter(([idstr, bytes]) => Buffer.compare(bytes, b.get(idstr) as Uint8Array) !== 0);
  expect(differ.map(([idstr]) => idstr)).toEqual([]);
}

describe.skipIf(!haveStreams())("a rebuilt stream", () => {
  it.each(["tiny-mappedram-10.0", "tiny-xbzrle-7.2", "tiny-compress-7.2"])("has the memory of %s", (name) => {
    const stream = readStream(`${name}.stream`);
    const { bytes } = rebuild(stream, { dialect: name.endsWith("7.2") ? "7.2" : "10.0" });
    // Pages are records now: whoever reads it must not look for them in their places.
    expect(configurationOf(bytes).capabilities).toEqual([]);
    const [before, after] = [openStream(stream), openStream(bytes)];
    expectSameRam(after.ram.blocks, before.ram.blocks);
    expect(before.ram.blocks.get("pc.ram")?.some((byte) => byte !== 0)).toBe(true);
    const names = (open: typeof before) => open.sections.map(({ head }) => `${head.idstr}/${head.instance}`);
    expect(names(after)).toEqual(names(before));
  });

  it("is refused where pages are missing: they went by channels", () => {
    const main = readStream("tiny-multifd-7.2.main.stream");
    expect(openStream(main).ram.missingPages).toBe(2171);
    expect(() => rebuild(main)).toThrow("2171 pages");
  });

  it("is refused where blocks may be shared: their memory is elsewhere", () => {
    const shared = rewriteRam({
      stream: readStream("tiny-precopy-7.2.stream"),
      writtenList: { ignoreShared: true },
      capabilities: ["x-ignore-shared"],
      shared: new Map([["pc.ram", { gpa: 0 }]]),
    });
    expect(() => rebuild(shared.stream)).toThrow(/6144 pages/);
  });
});

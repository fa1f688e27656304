// docs/cli-table.md is whole and true: every verb, every kind of stream, every test where it says.
import { readFileSync } from "node:fs";
import { haveStreams, manifest } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { verbs } from "../src/program.ts";
import { cells, kinds, withoutStreams } from "./acceptance/cells.ts";
import { acceptanceText, problems } from "./acceptance/table.ts";

describe("the table of verbs and streams", () => {
  it("has a cell for every verb and kind, and each names a test that there is", () => {
    const named = [...Object.keys(cells).map((verb) => verb.split(" ")[0]), ...Object.keys(withoutStreams)];
    expect([...new Set(named)].toSorted()).toEqual(Object.keys(verbs).toSorted());
    expect(problems()).toEqual([]);
  });

  it("is what `bun run reference` writes", () => {
    const committed = readFileSync(new URL("../../../docs/cli-table.md", import.meta.url), "utf8");
    expect(committed === acceptanceText(), "bun run reference writes another table").toBe(true);
  });

  it.skipIf(!haveStreams())("every stream of the manifest is of one kind", () => {
    const streams = manifest().flatMap(({ files }) => files.filter(({ stream }) => stream !== undefined));
    const counts = streams.map(({ raw }) => Object.values(kinds).filter((kind) => kind?.test(raw)).length);
    expect(streams.filter((_, i) => counts[i] !== 1).map(({ raw }) => raw)).toEqual([]);
    expect(streams.length).toBeGreaterThan(20);
  });
});

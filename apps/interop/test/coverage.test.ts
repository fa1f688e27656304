// docs/coverage.md is what the streams and the plugins say today, and no byte of a plugin's sections has lost its name.
import { readFileSync } from "node:fs";
import { haveStreams } from "@godwit/test-support/streams";
import { beforeAll, describe, expect, it } from "vitest";
import { leavesOf } from "../src/leaves.ts";
import { allStreams, opaqueBytes, rowsOf, type StreamRows, tableText } from "./table/table.ts";

/** A ratchet: sections that no plugin describes. It may only go down. */
const othersCeiling = 15_429;

describe.skipIf(!haveStreams())("docs/coverage.md", () => {
  let streams: readonly StreamRows[] = [];
  beforeAll(() => {
    streams = allStreams().map(rowsOf);
  }, 240_000);

  it("is what `bun run coverage --write` writes", () => {
    const committed = readFileSync(new URL("../../../docs/coverage.md", import.meta.url), "utf8");
    expect(tableText(streams) === committed, "bun run coverage --write writes another table").toBe(true);
  });

  it("has no opaque byte in a section that a plugin describes, and not more than before in the others", () => {
    const { described, others } = opaqueBytes(streams);
    expect(described).toBe(0);
    expect(others).toBeLessThanOrEqual(othersCeiling);
  });
});

describe("leaves of a vmdesc", () => {
  it("are counted with the length of arrays, in structs, lists and subsections", () => {
    const u8 = { name: "x", type: "uint8", size: 1 };
    const inner = { vmsd_name: "i", version: 1, fields: [u8, { name: "b", type: "buffer", size: 3 }] };
    expect(
      leavesOf({
        fields: [
          { name: "a", array_len: 4, type: "struct", struct: inner, size: 4 },
          { name: "l", type: "qtailq", size: 9, ...inner },
        ],
        subsections: [{ vmsd_name: "s", version: 1, fields: [u8] }],
      }),
    ).toEqual([
      { path: "a.x", type: "uint8", bytes: 4 },
      { path: "a.b", type: "buffer", bytes: 12 },
      { path: "l.x", type: "uint8", bytes: 1 },
      { path: "l.b", type: "buffer", bytes: 3 },
      { path: "s.x", type: "uint8", bytes: 1 },
    ]);
  });
});

// The consumers' check sees what a compiler says: errors that were to come, others, and silence.
import { describe, expect, it } from "vitest";
import { cells, compareErrors, errorsIn, silentFailure } from "../consumers/compile.ts";

const text = `const a: string = 1; // error TS2322
const b = 1;
f(b); // error TS2345 or TS2741
// error TS1 is what a comment may say in its midst
`;
const wanted = errorsIn("canary/a.ts", text);
const first = "canary/a.ts(1,7): error TS2322: Type 'number' is not assignable to type 'string'.";
const third = "canary/a.ts(3,3): error TS2741: Property 'x' is missing.\n  It is required.";

describe("errors to come", () => {
  it("are said by the lines that have them", () => {
    expect(wanted).toEqual([
      { place: "canary/a.ts(1)", codes: ["TS2322"] },
      { place: "canary/a.ts(3)", codes: ["TS2345", "TS2741"] },
    ]);
  });

  it("are no findings when they come", () => {
    expect(compareErrors(`${first}\n${third}\n`, wanted)).toEqual([]);
    expect(compareErrors(`${first}\n${third.replace("TS2741", "TS2345")}\n`, wanted)).toEqual([]);
  });

  it("are findings when they do not, or differ in code, line or file", () => {
    expect(compareErrors(third, wanted)).toEqual(["canary/a.ts(1): TS2322 did not come"]);
    expect(compareErrors("", wanted)).toHaveLength(2);
    for (const other of [
      first.replace("TS2322", "TS2323"),
      first.replace("(1,7)", "(2,7)"),
      first.replace("canary/a.ts", "fixture/a.ts"),
    ]) {
      expect(compareErrors(`${other}\n${third}`, wanted)).toEqual([other, "canary/a.ts(1): TS2322 did not come"]);
    }
  });
});

it("a compiler that does not run is a finding", () => {
  expect(compareErrors("error TS5023: Unknown compiler option 'x'.\n", [])).toHaveLength(1);
  expect(compareErrors("node: cannot find module tsc\n", [])).toHaveLength(1);
});

it("a compiler that fails without a word of an error in a file is a finding", () => {
  expect(silentFailure({ exitCode: 137, output: "" })).toEqual([expect.stringContaining("ended with 137")]);
  expect(silentFailure({ exitCode: 1, output: "\nKilled\n" })).toEqual([expect.stringMatching(/file: Killed$/)]);
  expect(silentFailure({ exitCode: 2, output: `${first}\n` })).toEqual([]);
  expect(silentFailure({ exitCode: 0, output: "" })).toEqual([]);
});

it("the cells are two compilers, two resolutions, with and without the DOM", () => {
  expect(new Set(cells.map((cell) => JSON.stringify(cell))).size).toBe(8);
});

// The words of the command line.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseArguments, usage } from "../src/arguments.ts";
import { runCommand } from "../src/command.ts";
import { createErrorCodes } from "../src/index.ts";

/** What the command prints, and its exit code. */
function run(...words: string[]) {
  let out = "";
  let error = "";
  const code = runCommand(words, {
    out: (text) => {
      out += text;
    },
    error: (text) => {
      error += text;
    },
  });
  return { code, out, error };
}

describe("arguments", () => {
  it("are a name, and options before or behind it, glued or not", () => {
    expect(parseArguments(["godwit-tod"])).toEqual({ help: false, name: "godwit-tod" });
    const all = { help: false, name: "godwit-tod", folder: "a/b", device: "wall-clock" };
    expect(parseArguments(["--folder", "a/b", "godwit-tod", "--device=wall-clock"])).toEqual(all);
    expect(parseArguments(["godwit-tod", "--device", "wall-clock", "--folder=a/b"])).toEqual(all);
    expect(parseArguments(["x", "--folder=a=b"])).toMatchObject({ folder: "a=b" });
  });

  it("ask for help", () => {
    expect(parseArguments(["x", "--help", "--nonsense"])).toEqual({ help: true });
    expect(run("-h")).toEqual({ code: 0, out: usage, error: "" });
  });

  it.each([
    ["NAME_MISSING", []],
    ["NAME_MISSING", ["--device", "tod"]],
    ["ARGUMENT_SURPLUS", ["godwit-tod", "again"]],
    ["OPTION_UNKNOWN", ["godwit-tod", "--force"]],
    ["OPTION_UNKNOWN", ["godwit-tod", "-f"]],
    ["OPTION_VALUE", ["godwit-tod", "--folder"]],
    ["OPTION_VALUE", ["godwit-tod", "--folder="]],
    ["OPTION_VALUE", ["--device", "--folder", "x", "godwit-tod"]],
    ["NAME_INVALID", ["Godwit-Tod"]],
    ["DEVICE_INVALID", ["godwit-tod", "--device", "Tod"]],
  ])("that cannot be are %s: %j", (code, words) => {
    const { code: exit, out, error } = run(...words);
    expect([exit, out, error.slice(0, error.indexOf(":"))]).toEqual([1, "", code]);
    expect(Object.keys(createErrorCodes)).toContain(code);
  });

  it("that lack the name are told what there is", () => {
    expect(run().error).toContain(usage);
    expect(run("x", "--force").error).toBe(
      "OPTION_UNKNOWN: there is no option --force; there are --folder, --device and --help\n",
    );
  });
});

it("README.md has every code with its meaning, and every option", () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const rows = [...readme.matchAll(/^\| `([^`]+)` +\| (.*?) +\|$/gm)].map(([, name = "", text = ""]) => [name, text]);
  const [options, codes] = [rows.slice(0, 3), rows.slice(3)];
  expect(Object.fromEntries(codes)).toEqual(createErrorCodes);
  for (const [option = ""] of options) expect(usage).toContain(`\n  ${option} `);
});

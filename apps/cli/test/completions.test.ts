// The completion scripts, asked by the shells themselves.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { absent } from "@godwit/test-support/required";
import { afterAll, describe, expect, it } from "vitest";
import { verbs } from "../src/program.ts";
import { runCli } from "./run-cli.ts";

const folder = mkdtempSync(join(tmpdir(), "godwit-completions-"));
afterAll(() => rmSync(folder, { recursive: true }));

const have = (shell: string): boolean =>
  spawnSync(shell, ["-c", "true"]).status === 0 || absent("shells", `no ${shell} on the path`, "its completions");

async function script(shell: string): Promise<string> {
  const { code, stdout } = await runCli(["completions", shell]);
  expect(code).toBe(0);
  const path = join(folder, `godwit.${shell}`);
  writeFileSync(path, stdout);
  return path;
}

function ask(shell: string, text: string): string[] {
  const { status, stdout, stderr } = spawnSync(shell, shell === "zsh" ? ["-f", "-c", text] : ["-c", text], {
    encoding: "utf8",
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return stdout.split("\n").filter((line) => line !== "");
}

describe.skipIf(!have("bash"))("bash", () => {
  it("completes verbs and a verb's options, and files elsewhere", async () => {
    const path = await script("bash");
    const complete = (...words: string[]): string[] =>
      ask(
        "bash",
        `source ${path}; COMP_WORDS=(godwit ${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length}; _godwit; printf '%s\\n' "\${COMPREPLY[@]}"`,
      );
    expect(complete("")).toEqual(Object.keys(verbs));
    expect(complete("insp")).toEqual(["inspect"]);
    expect(complete("inspect", "--foo")).toEqual(["--footer-scan"]);
    expect(complete("completions", "--footer")).toEqual([]);
    expect(complete("inspect", path.slice(0, -2))).toEqual([path]);
  });
});

describe.skipIf(!have("fish"))("fish", () => {
  it("completes verbs and options with what they say", async () => {
    const path = await script("fish");
    const complete = (line: string): string[] => ask("fish", `source ${path}; complete -C ${JSON.stringify(line)}`);
    expect(complete("godwit insp")).toEqual(["inspect\tshow what is in a stream"]);
    expect(complete("godwit inspect --foo").map((line) => line.split("\t")[0])).toEqual(["--footer-scan"]);
    expect(complete("godwit completions --foo")).toEqual([]);
  });
});

describe.skipIf(!have("zsh"))("zsh", () => {
  it("gives its completion system the verbs, and a verb's options", async () => {
    const path = await script("zsh");
    // Outside of an editing line the system's own functions refuse to run: these tell what they were given.
    const stubs = `compdef() { }; _describe() { print -rl -- \${(P)2} }; _arguments() { print -rl -- $@ }`;
    const complete = (...words: string[]): string[] =>
      ask("zsh", `${stubs}; source ${path}; words=(godwit ${words.join(" ")}); CURRENT=$(( $#words + 1 )); _godwit`);
    expect(complete().map((line) => line.split(":")[0])).toEqual(Object.keys(verbs));
    const options = complete("inspect");
    expect(options).toContain("*--json[the result as one JSON document]");
    expect(options.some((line) => line.startsWith("*--vmdesc=[") && line.endsWith(":value:_files"))).toBe(true);
    expect(complete("completions").some((line) => line.includes("--vmdesc"))).toBe(false);
  });
});

it("refuses another shell, as wrong use", async () => {
  const { code, stdout, stderr } = await runCli(["completions", "tcsh", "--json"]);
  expect(code).toBe(2);
  expect(JSON.parse(stdout)).toEqual({
    error: { code: "SHELL_UNKNOWN", message: 'there is no completion for "tcsh"', hint: "bash, zsh or fish" },
  });
  expect(stderr).toContain("bash, zsh or fish");
});

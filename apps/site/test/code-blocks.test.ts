// Every fenced block of every page is accounted for: code is a piece of a file that a test runs, output is what a program
// prints, and each line of a shell is run somewhere, or a reviewed table says why not.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { diagramHtml } from "../src/diagrams.ts";
import {
  type Block,
  blocksOf,
  indentedCode,
  isPieceOf,
  pages,
  read,
  regionOf,
  root,
  sourceOf,
} from "./support/blocks.ts";
import { linesOf } from "./support/programs.ts";
import { reachedByTests } from "./support/reached.ts";
import { commandOf, type ShellRule, shellRules } from "./support/shell-lines.ts";
import { textBlocks } from "./support/text-blocks.ts";

const blocks = pages().flatMap(blocksOf);
const inLanguage = (...languages: string[]): Block[] => blocks.filter(({ language }) => languages.includes(language));
const at = ({ page, line }: Block): string => `${page}:${line}`;
const code = "docs/guides/code";

const importsOf = (path: string): string[] =>
  Array.from(read(path).matchAll(/\b(?:from|import)\s*\(?\s*["'](\.{1,2}\/[^"']+\.ts)["']/g), ([, specifier]) =>
    join(dirname(path), specifier as string),
  );

/** Programs of guides that this test runs: each whose output a page shows, and each main*.ts that does more than to run these. */
function guidePrograms(): string[] {
  const shown = new Set(outputs().map(({ program }) => program));
  const mains = readdirSync(join(root, code))
    .filter((guide) => guide !== "node_modules")
    .flatMap((guide) =>
      readdirSync(join(root, code, guide))
        .filter((name) => /^main.*\.ts$/.test(name))
        .map((name) => join(code, guide, name)),
    );
  const more = mains.filter((main) => importsOf(main).some((path) => !shown.has(path)));
  for (const main of mains) if (!more.includes(main)) listed.push(main);
  return [...new Set([...more, ...shown])].sort();
}

/** Those that do nothing more. */
const listed: string[] = [];

interface Output {
  readonly block: Block;
  readonly program: string;
  /** From and to, from 1, where the comment says which lines they are. */
  readonly lines: readonly [from: number, to: number] | undefined;
}

/** `<!-- output code/GUIDE/PROGRAM.ts -->` or `...ts:FROM-TO -->`, over a block of text. */
function outputs(): Output[] {
  return inLanguage("text").flatMap((block) => {
    const [, path, from, to] = /^output ([^\s:]+)(?::(\d+)-(\d+))?$/.exec(block.comment ?? "") ?? [];
    if (path === undefined) return [];
    const lines = from === undefined ? undefined : ([Number(from), Number(to)] as const);
    return [{ block, program: join(dirname(block.page), path), lines }];
  });
}

const reached = new Map(reachedByTests());
const follow = (path: string, by: string): void => {
  if (reached.has(path) || !existsSync(join(root, path))) return;
  reached.set(path, by);
  for (const one of importsOf(path)) follow(one, by);
};
const programs = guidePrograms();
for (const program of [...programs, ...listed]) follow(program, "apps/site/test/code-blocks.test.ts");

/** Files of the page's own package that are there to be shown. */
function examplesBeside(page: string): string[] {
  const home = dirname(page);
  return ["examples", "test"]
    .filter((folder) => existsSync(join(root, home, folder)))
    .flatMap((folder) =>
      readdirSync(join(root, home, folder), { recursive: true, encoding: "utf8" })
        .filter(
          (name) => name.endsWith(".ts") && (folder === "examples" || /(^|\/)(examples|sample-plugin)\//.test(name)),
        )
        .map((name) => join(home, folder, name)),
    );
}

describe("every block", () => {
  it("is of a kind that is looked at", () => {
    const kinds = ["ts", "sh", "text", "json", "mermaid"];
    expect(blocks.filter(({ language }) => !kinds.includes(language)).map(at)).toEqual([]);
    expect(blocks.length).toBeGreaterThan(60);
  });

  it("has a fence", () => {
    expect(pages().flatMap(indentedCode)).toEqual([]);
  });
});

describe("code", () => {
  const shown = inLanguage("ts").map((block) => ({ block, where: at(block) }));

  it.each(shown)("$where is a piece of a file that a test runs", ({ block }) => {
    const own = examplesBeside(block.page);
    const source =
      block.comment === undefined
        ? own
            .filter((path) => read(path).replace(/^\/\/ .*\n/, "") === `${block.text}\n`)
            .map((file) => ({ file, region: undefined }))[0]
        : sourceOf(block);
    if (source === undefined) {
      throw new Error(
        block.comment === undefined
          ? "no example of this package is the same: put it into a file that a test runs, or name the file in a comment above"
          : `there is no file ${block.comment}`,
      );
    }
    const { file, region } = source;
    if (region === undefined) expect(isPieceOf(block.text, read(file)), `it is not as in ${file}`).toBe(true);
    else expect(block.text).toBe(regionOf(region, read(file)));
    expect(reached.has(file), `no test runs ${file}`).toBe(true);
  });
});

describe("data", () => {
  const shown = inLanguage("json").map((block) => ({ block, where: at(block) }));

  it.each(shown)("$where is a file's", ({ block }) => {
    const source = sourceOf(block);
    if (source === undefined) throw new Error("name its file in a comment above");
    expect(isPieceOf(block.text, read(source.file))).toBe(true);
  });

  it.each(inLanguage("mermaid").map((block) => ({ block, where: at(block) })))("$where is a diagram", ({ block }) => {
    expect(diagramHtml(block.text)).toMatch(/^<(div|table) /);
  });
});

describe("the guides' programs", () => {
  it.each(programs)("%s runs, and prints what its page shows", async (program) => {
    const printed = await linesOf(program);
    for (const { block, lines } of outputs().filter((one) => one.program === program)) {
      if (lines === undefined) expect(`\n${printed.join("\n")}\n`, at(block)).toContain(`\n${block.text}\n`);
      else expect(printed.slice(lines[0] - 1, lines[1]).join("\n"), at(block)).toBe(block.text);
    }
  });

  it("every file of theirs is one of a program's", () => {
    const files = readdirSync(join(root, code), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts") && !name.startsWith("node_modules"))
      .map((name) => join(code, name));
    expect(files.filter((file) => !reached.has(file))).toEqual([]);
    expect(files.length).toBeGreaterThan(10);
  });

  it("the ten minutes' project compiles as its page says", () => {
    const { status, stdout } = spawnSync(
      process.env["GODWIT_NODE"] ?? "node",
      [
        join(root, "node_modules/typescript/bin/tsc"),
        ...["-p", join(root, code, "ten-minutes"), "--noEmit", "--customConditions", "godwit:source"],
      ],
      { encoding: "utf8" },
    );
    expect(stdout).toBe("");
    expect(status).toBe(0);
  });
});

describe("text", () => {
  const others = inLanguage("text").filter((block) => !outputs().some((one) => one.block === block));

  it.each(others.map((block) => ({ block, where: at(block) })))("$where is read by a test", ({ block }) => {
    const rule = textBlocks.find(({ page, begins }) => page === block.page && block.text.startsWith(begins));
    if (rule === undefined) throw new Error("say in a comment above which program prints it: <!-- output code/... -->");
    expect(read(rule.runBy[0])).toContain(rule.runBy[1]);
  });
});

describe("lines of a shell", () => {
  const lines = inLanguage("sh").flatMap((block) =>
    block.text
      .split("\n")
      .map(commandOf)
      .filter((line) => line !== "")
      .map((line) => ({ line, page: block.page, where: at(block) })),
  );
  const covers = (rule: ShellRule, { line, page }: { readonly line: string; readonly page: string }): boolean =>
    (rule.page ?? page) === page && (typeof rule.line === "string" ? rule.line === line : rule.line.test(line));

  it.each(lines)("$where: $line", (line) => {
    const rule = shellRules.find((one) => covers(one, line));
    if (rule === undefined) throw new Error("nothing runs it: add the test that does to support/shell-lines.ts");
    if (rule.runBy === undefined) expect(rule.because?.length).toBeGreaterThan(10);
    else expect(read(rule.runBy[0])).toContain(rule.runBy[1]);
  });

  it("every entry of the table is of a line that is shown", () => {
    expect(
      shellRules.filter((rule) => !lines.some((line) => covers(rule, line))).map((rule) => String(rule.line)),
    ).toEqual([]);
  });
});

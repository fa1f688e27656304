// Every way to name another module must be seen, and nothing that only looks like one.
import { describe, expect, it } from "vitest";
import { scanModule } from "../scan-module.ts";

const specifiersOf = (text: string) => scanModule("module.ts", text).imports.map(({ specifier }) => specifier);
const awaitsOf = (text: string) => scanModule("module.ts", text).topLevelAwaitLines;

describe("imports", () => {
  it.each([
    ["a side effect", 'import "a";'],
    ["a default", 'import a from "a";'],
    ["names", 'import { b, c as d } from "a";'],
    ["a namespace", 'import * as a from "a";'],
    ["types", 'import type { A } from "a";'],
    ["an inline type", 'import { type A } from "a";'],
    ["a type in place", 'type A = import("a").A;'],
    ["typeof", 'let a: typeof import("a");'],
    ["a re-export of all", 'export * from "a";'],
    ["a re-export of names", 'export { b } from "a";'],
    ["a re-export of types", 'export type { B } from "a";'],
    ["a call", 'const load = () => import("a");'],
    ["require", 'import a = require("a");'],
  ])("sees %s", (_, text) => {
    expect(specifiersOf(text)).toEqual(["a"]);
  });

  it("gives the line of each", () => {
    const { imports } = scanModule("module.ts", '// first\nimport "a";\n\nexport {\n  b,\n} from "c";\n');
    expect(imports).toEqual([
      { specifier: "a", line: 2 },
      { specifier: "c", line: 4 },
    ]);
  });

  it("sees none in comments, strings, templates and regular expressions", () => {
    const text = [
      '// import "a";',
      '/* export * from "a"; */',
      "const text = 'import \"a\"';",
      'const template = `import "a"`;',
      'const pattern = /import "a"/;',
      "export { text, template, pattern };",
    ];
    expect(specifiersOf(text.join("\n"))).toEqual([]);
  });

  it("tells a call whose module is computed by its line, as it can't be judged", () => {
    const scanned = scanModule("module.ts", 'import "a";\nconst load = (name: string) => import(name);');
    expect([scanned.imports.length, scanned.computedImportLines]).toEqual([1, [2]]);
  });

  it("refuses what does not parse", () => {
    expect(() => specifiersOf("import from from from")).toThrow("module.ts");
  });
});

describe("top-level await", () => {
  it.each([
    ["an expression", "const a = await b;"],
    ["a block", "if (a) { await b; }"],
    ["a loop", "for await (const a of b) c(a);"],
    ["a resource", "await using a = b();"],
  ])("is seen in %s", (_, text) => {
    expect(awaitsOf(`\n${text}`)).toEqual([2]);
  });

  it.each([
    ["a function", "async function a() { await b; }"],
    ["an arrow function", "const a = async () => await b;"],
    ["a method", "class A { async a() { for await (const b of c) d(b); } }"],
  ])("is not seen in %s", (_, text) => {
    expect(awaitsOf(text)).toEqual([]);
  });
});

describe("reference directives", () => {
  it("are found, and other comments are not", () => {
    const text = '/// <reference types="node" />\n// a reference\n/// <reference lib="dom" />\n';
    expect(scanModule("module.ts", text).referenceLines).toEqual([1, 3]);
  });
});

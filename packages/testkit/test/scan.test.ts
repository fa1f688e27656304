// What a module names of a runtime: free names, imports, what it asks of itself; and what only looks like it.
import { describe, expect, it } from "vitest";
import { runtimeNames } from "../src/plugin/scan.ts";

const names = (text: string, file = "module.ts"): readonly string[] =>
  runtimeNames(file, text).map(({ name, line }) => `${name}:${line}`);

describe("finds", () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ["process.exit()", ["process:1"]],
    ["\nconst x = Buffer.from([])", ["Buffer:2"]],
    ["globalThis['pro' + 'cess']", ["globalThis:1"]],
    ["typeof window === 'undefined'", ["window:1"]],
    ["const f = new Function('x')", ["Function:1"]],
    ["eval('1')", ["eval:1"]],
    ["setTimeout(() => fetch('/'), 1)", ["setTimeout:1", "fetch:1"]],
    ["const { process } = { process }", ["process:1"].slice(1)],
    ["const a = { process }", ["process:1"]],
    ["const a = { [process]: 1 }", ["process:1"]],
    ["class A { b = Bun.version; static { Deno.exit() } }", ["Bun:1", "Deno:1"]],
    ["const f = (a = crypto) => a", ["crypto:1"]],
    ["{ const process = 1; }\nprocess", ["process:2"]],
    ["function f() { if (true) { let Buffer = 1; } return Buffer; }", ["Buffer:1"]],
    ["export default performance", ["performance:1"]],
    ["import fs from 'node:fs'", ["node:fs:1"]],
    ["import type { Stats } from 'fs'", ["fs:1"]],
    ["export * from 'bun'", ["bun:1"]],
    ["const a = await import('npm:chalk')", ["npm:chalk:1"]],
    ["import 'https://example.org/a.js'", ["https://example.org/a.js:1"]],
    ["let a: import('node:net').Socket", ["node:net:1"]],
    ["import.meta.dirname", ["import.meta.dirname:1"]],
    ["enum A { B = process }", ["process:1"]],
    ["(process as unknown as { a: 1 }).a", ["process:1"]],
    ["declare const Bun: { version: string };\nBun.version", ["Bun:2"]],
  ];
  for (const [text, expected] of cases) it(text, () => expect(names(text)).toEqual(expected));
});

describe("leaves", () => {
  const cases = [
    "import { process } from './mine.ts'; process()",
    "function f(process) { return process.env }",
    "const f = ({ a: { Buffer }, ...fetch }, [console = 1]) => [Buffer, fetch, console]",
    "try {} catch (document) { document }",
    "for (const window of []) window",
    "class Request {} new Request()",
    "const a = class Response { b() { return Response } }",
    "x: for (;;) break x",
    "a.process.fetch; const a = { process: 1, fetch() {} }",
    "interface A { process: Buffer } type B = typeof fetch",
    "let a: Buffer | undefined",
    "function f() { return later; var later = 1 }",
    "enum Bun { A } Bun.A",
    "import { b } from '@godwit/core'; b(Math.max(1, Number('1'), Date.UTC(2024, 1)))",
    "new URL2('a', import.meta.url); class URL2 {}",
    "export { a as process } from './a.ts'",
    "switch (1) { case 1: let self = 1; default: self }",
    "function process() {} export const b = process",
  ];
  for (const text of cases) it(text, () => expect(names(text)).toEqual([]));
});

it("says what does not parse", () => {
  expect(() => runtimeNames("a.ts", "const = 1")).toThrow(SyntaxError);
});

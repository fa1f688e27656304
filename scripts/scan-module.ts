// What a module imports, and whether it awaits at its top level: read from its syntax tree, types included.
import { parseSync } from "oxc-parser";

interface Import {
  readonly specifier: string;
  readonly line: number;
}

interface ScannedModule {
  readonly imports: readonly Import[];
  /** Lines of `import(name)`: what is imported is told only when it runs. */
  readonly computedImportLines: readonly number[];
  readonly topLevelAwaitLines: readonly number[];
  /** Lines of `/// <reference ... />`, which bring in types that no import shows. */
  readonly referenceLines: readonly number[];
}

interface Node {
  readonly type: string;
  readonly start: number;
  readonly [key: string]: unknown;
}

const importing = new Set([
  "ImportDeclaration",
  "ImportExpression",
  "ExportAllDeclaration",
  "ExportNamedDeclaration",
  "TSImportType",
]);
const functions = new Set(["ArrowFunctionExpression", "FunctionDeclaration", "FunctionExpression"]);

/** Reads `text` as the module at `path`, whose extension gives the language. Throws where it does not parse. */
export function scanModule(path: string, text: string): ScannedModule {
  const { program, comments, errors } = parseSync(path, text, { sourceType: "module" });
  const [error] = errors;
  if (error) throw new Error(`${path}: ${error.message}`);

  const lineOf = (offset: number) => text.slice(0, offset).split("\n").length;
  const imports: Import[] = [];
  const computedImportLines: number[] = [];
  const topLevelAwaitLines: number[] = [];

  const addImport = (node: Node, source: unknown) => {
    const line = lineOf(node.start);
    if (isNode(source) && typeof source["value"] === "string") imports.push({ specifier: source["value"], line });
    else computedImportLines.push(line);
  };

  const visit = (node: Node, inFunction: boolean) => {
    if (importing.has(node.type) && node["source"] !== null) addImport(node, node["source"]);
    if (node.type === "TSExternalModuleReference") addImport(node, node["expression"]);
    if (!inFunction && awaits(node)) topLevelAwaitLines.push(lineOf(node.start));
    const inside = inFunction || functions.has(node.type);
    for (const child of childrenOf(node)) visit(child, inside);
  };
  visit(program as unknown as Node, false);

  const referenceLines = comments
    .filter(({ type, value }) => type === "Line" && /^\/\s*<reference\b/.test(value))
    .map(({ start }) => lineOf(start));
  return { imports, computedImportLines, topLevelAwaitLines, referenceLines };
}

function awaits(node: Node): boolean {
  if (node.type === "AwaitExpression") return true;
  if (node.type === "ForOfStatement") return node["await"] === true;
  return node.type === "VariableDeclaration" && node["kind"] === "await using";
}

function* childrenOf(node: Node): Generator<Node> {
  for (const value of Object.values(node)) {
    if (Array.isArray(value)) yield* value.filter(isNode);
    else if (isNode(value)) yield value;
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}

// What a module names that no JavaScript has of itself: free names and imports of a runtime. Read from its syntax tree,
// so that a local variable of such a name is none.
import { isBuiltin } from "node:module";
import { parseSync } from "oxc-parser";

export interface RuntimeName {
  /** `process`, `node:fs`, `import.meta.dirname`. */
  readonly name: string;
  /** From 1. */
  readonly line: number;
}

interface Node {
  readonly type: string;
  readonly start: number;
  readonly [key: string]: unknown;
}

/** The global names of ES2023, but for those that evaluate text (`eval`, `Function`), and for `globalThis`, which has all. */
const everywhere = new Set(
  (
    "undefined NaN Infinity isFinite isNaN parseFloat parseInt decodeURI decodeURIComponent encodeURI encodeURIComponent " +
    "escape unescape AggregateError Array ArrayBuffer BigInt BigInt64Array BigUint64Array Boolean DataView Date Error " +
    "EvalError FinalizationRegistry Float32Array Float64Array Int8Array Int16Array Int32Array Map Number Object Promise " +
    "Proxy RangeError ReferenceError RegExp Set SharedArrayBuffer String Symbol SyntaxError TypeError Uint8Array " +
    "Uint8ClampedArray Uint16Array Uint32Array URIError WeakMap WeakRef WeakSet Atomics JSON Math Reflect arguments"
  ).split(" "),
);

/** The names that `text`, the module at `path`, uses of a runtime. Throws where it does not parse. */
export function runtimeNames(path: string, text: string): readonly RuntimeName[] {
  const { program, errors } = parseSync(path, text, { sourceType: "module" });
  const [error] = errors;
  if (error) throw new SyntaxError(`${path}: ${error.message}`);
  const found: { name: string; start: number }[] = [];
  new Scan((name, start) => void found.push({ name, start })).program(program as unknown as Node);
  return found.map(({ name, start }) => ({ name, line: text.slice(0, start).split("\n").length }));
}

type Names = ReadonlySet<string>;
type Tell = (name: string, start: number) => void;

const functions = new Set(["ArrowFunctionExpression", "FunctionDeclaration", "FunctionExpression"]);
const loops = new Set(["ForStatement", "ForInStatement", "ForOfStatement"]);
/** Of TypeScript's own nodes these hold values; all others are gone when the module runs. */
const typed = new Set([
  "TSAsExpression",
  "TSNonNullExpression",
  "TSSatisfiesExpression",
  "TSTypeAssertion",
  "TSInstantiationExpression",
  "TSParameterProperty",
  "TSEnumDeclaration",
  "TSEnumBody",
  "TSEnumMember",
  "TSModuleDeclaration",
  "TSModuleBlock",
  "TSExportAssignment",
]);
const importing = new Set(["ImportDeclaration", "ImportExpression", "ExportAllDeclaration", "ExportNamedDeclaration"]);
/** What a module may ask of itself. */
const ownMeta = new Set(["url"]);

class Scan {
  readonly #tell: Tell;
  readonly #scopes: Names[] = [];

  constructor(tell: Tell) {
    this.#tell = tell;
  }

  program(node: Node): void {
    this.#within(new Set([...declaredIn(nodesOf(node["body"])), ...hoistedIn(node)]), () => this.#children(node));
  }

  #visit(node: Node): void {
    const { type } = node;
    if (importing.has(type)) this.#import(node["source"]);
    if (type === "Identifier") this.#name(node);
    else if (type.startsWith("TS") && !typed.has(type)) this.#typesIn(node);
    else if (!isGone(node) && !(type === "MemberExpression" && this.#meta(node))) {
      const names = namesWithin(node);
      if (names === undefined) this.#children(node);
      else this.#within(names, () => this.#children(node));
    }
  }

  /** `typeof import("node:fs")` is found in a type, too: what is published would need that runtime's types. */
  #typesIn(node: Node): void {
    if (node.type === "TSImportType" || node.type === "TSExternalModuleReference") {
      this.#import(node["source"] ?? node["argument"] ?? node["expression"]);
    }
    for (const [, child] of childrenOf(node)) if (child.type.startsWith("TS")) this.#typesIn(child);
  }

  #children(node: Node): void {
    for (const [key, child] of childrenOf(node)) {
      const isKey =
        node["computed"] !== true && (key === "key" || (key === "property" && node.type === "MemberExpression"));
      const isMember = node.type === "TSEnumMember" && key === "id";
      const isLabel = key === "label" || node.type === "ExportSpecifier" || node.type === "MetaProperty";
      // `{ name }` is a key and a value: the value is a child of its own.
      if (isKey || isMember || isLabel) continue;
      this.#visit(child);
    }
  }

  #within(names: Names, work: () => void): void {
    this.#scopes.push(names);
    work();
    this.#scopes.pop();
  }

  #name({ name, start, typeAnnotation }: Node): void {
    const isKnown = everywhere.has(name as string) || this.#scopes.some((scope) => scope.has(name as string));
    if (!isKnown) this.#tell(name as string, start);
    if (isNode(typeAnnotation)) this.#typesIn(typeAnnotation);
  }

  #import(source: unknown): void {
    if (!isNode(source)) return;
    const literal = source["type"] === "TSLiteralType" && isNode(source["literal"]) ? source["literal"] : source;
    const { value } = literal as { value?: unknown };
    if (typeof value === "string" && isOfRuntime(value)) this.#tell(value, source.start);
  }

  #meta(node: Node): boolean {
    const { object, property } = node as unknown as { object: Node; property: Node };
    if (object.type !== "MetaProperty") return false;
    const name = String(property["name"] ?? property["value"]);
    if (!ownMeta.has(name)) this.#tell(`import.meta.${name}`, node.start);
    return true;
  }
}

/** What does not stand in the module any more when it runs, and names nothing. */
function isGone(node: Node): boolean {
  return node.type === "ImportDeclaration" || (node["declare"] === true && node.type !== "PropertyDefinition");
}

/** The names that a node declares for what stands in it; undefined where it is no scope. */
function namesWithin(node: Node): Names | undefined {
  const { type } = node;
  if (functions.has(type)) return namesOfFunction(node);
  if (loops.has(type)) return declaredIn([node["init"], node["left"]].filter(isNode));
  switch (type) {
    case "BlockStatement":
    case "StaticBlock":
    case "TSModuleBlock":
      return declaredIn(nodesOf(node["body"]));
    case "SwitchStatement":
      return declaredIn(nodesOf(node["cases"]).flatMap((one) => nodesOf(one["consequent"])));
    case "CatchClause":
      return new Set(boundBy(node["param"]));
    case "ClassExpression":
    case "ClassDeclaration":
      return new Set(boundBy(node["id"]));
    case "TSEnumBody":
      return new Set(nodesOf(node["members"]).flatMap((one) => boundBy(one["id"])));
    default:
      return undefined;
  }
}

function namesOfFunction(node: Node): Names {
  const params = nodesOf(node["params"]).flatMap(boundBy);
  const own = isNode(node["body"]) ? hoistedIn(node["body"]) : [];
  const named = node.type === "FunctionExpression" ? boundBy(node["id"]) : [];
  return new Set([...params, ...own, ...named]);
}

function isOfRuntime(specifier: string): boolean {
  if (specifier.startsWith(".")) return false;
  return /^[a-z]+:/.test(specifier) || specifier === "bun" || isBuiltin(specifier);
}

/** Names that a list of statements declares for itself. */
function declaredIn(statements: readonly Node[]): Names {
  return new Set(statements.flatMap(declaredBy));
}

function declaredBy(node: Node): string[] {
  // Only said to be there: a runtime has it, or nobody.
  if (node["declare"] === true) return [];
  switch (node.type) {
    case "VariableDeclaration":
      return nodesOf(node["declarations"]).flatMap((one) => boundBy(one["id"]));
    case "FunctionDeclaration":
    case "TSDeclareFunction":
    case "ClassDeclaration":
    case "TSEnumDeclaration":
    case "TSModuleDeclaration":
    case "TSImportEqualsDeclaration":
      return boundBy(node["id"]);
    case "ImportDeclaration":
      return nodesOf(node["specifiers"]).flatMap((one) => boundBy(one["local"]));
    case "ExportNamedDeclaration":
    case "ExportDefaultDeclaration":
      return isNode(node["declaration"]) ? declaredBy(node["declaration"]) : [];
    default:
      return [];
  }
}

/** `var` declares for the whole function, wherever it stands in it. */
function hoistedIn(node: Node): string[] {
  const own = node.type === "VariableDeclaration" && node["kind"] === "var" ? declaredBy(node) : [];
  const deeper = [...childrenOf(node)].flatMap(([, child]) => (functions.has(child.type) ? [] : hoistedIn(child)));
  return [...own, ...deeper];
}

/** The names of a binding pattern. */
function boundBy(pattern: unknown): string[] {
  if (!isNode(pattern)) return [];
  switch (pattern.type) {
    case "Identifier":
      return [pattern["name"] as string];
    case "ObjectPattern":
      return nodesOf(pattern["properties"]).flatMap((one) => boundBy(one["value"] ?? one["argument"]));
    case "ArrayPattern":
      return nodesOf(pattern["elements"]).flatMap(boundBy);
    case "AssignmentPattern":
      return boundBy(pattern["left"]);
    case "RestElement":
      return boundBy(pattern["argument"]);
    case "TSParameterProperty":
      return boundBy(pattern["parameter"]);
    default:
      return [];
  }
}

function* childrenOf(node: Node): Generator<readonly [string, Node]> {
  for (const [key, value] of Object.entries(node)) {
    if (Array.isArray(value)) for (const one of value.filter(isNode)) yield [key, one];
    else if (isNode(value)) yield [key, value];
  }
}

function nodesOf(value: unknown): Node[] {
  return Array.isArray(value) ? value.filter(isNode) : [];
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}

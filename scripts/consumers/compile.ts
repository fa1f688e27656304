// Compiles a project as third parties do: each TypeScript with each module resolution, with and without the DOM. Files
// of errors to come are compiled along, and prove in each cell that the compiler has looked.
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type RunResult, run } from "../run.ts";
import { repositoryRoot } from "../workspaces.ts";

export interface Cell {
  readonly compiler: "typescript-5.4" | "typescript";
  readonly resolution: "nodenext" | "bundler";
  readonly dom: boolean;
}

export const cells: readonly Cell[] = (["typescript-5.4", "typescript"] as const).flatMap((compiler) =>
  (["nodenext", "bundler"] as const).flatMap((resolution) =>
    [false, true].map((dom) => ({ compiler, resolution, dom })),
  ),
);

export interface Compiled {
  readonly cell: string;
  /** Errors that were not to come, and ones that did not come. */
  readonly findings: readonly string[];
  /** Errors that were to come, and did. */
  readonly expected: number;
}

/** What every cell has in common: nothing is skipped, and no types but those that are imported. */
const strictest = {
  target: "ES2022",
  types: [],
  strict: true,
  skipLibCheck: false,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noImplicitOverride: true,
  verbatimModuleSyntax: true,
  isolatedModules: true,
  // A type that is inferred from ours must have a name that a third party's own declarations can say.
  declaration: true,
};

/** `files` are globs from the project's folder; which of them hold errors to come, their own markers say. */
export async function compile(project: string, cell: Cell, files: readonly string[]): Promise<Compiled> {
  const { compiler, resolution, dom } = cell;
  const label = [compiler, resolution, ...(dom ? ["dom"] : [])].join("-");
  const compilerOptions = {
    ...strictest,
    lib: ["ES2023", ...(dom ? ["DOM"] : [])],
    module: resolution === "bundler" ? "esnext" : resolution,
    moduleResolution: resolution,
    noEmit: true,
    allowImportingTsExtensions: true,
  };
  const config = `tsconfig.${label}.json`;
  const paths = globSync(files, { cwd: project }).sort();
  writeFileSync(join(project, config), JSON.stringify({ compilerOptions, files: paths }));
  const ran = await runCompiler(compiler, project, config);
  const version = await versionOf(compiler);
  const wanted = paths.flatMap((path) => errorsIn(path, readFileSync(join(project, path), "utf8")));
  const findings = [...silentFailure(ran), ...compareErrors(ran.output, wanted)];
  return {
    cell: `TypeScript ${version}, ${resolution}, ${dom ? "with" : "without"} the DOM`,
    findings,
    expected: wanted.length,
  };
}

/** Compiles a folder of the project, but for its canary, to JavaScript; returns what the compiler finds. */
export async function emit(
  project: string,
  folder: string,
  outDir: string,
  compiler: Cell["compiler"] = "typescript",
): Promise<string[]> {
  const compilerOptions = {
    ...strictest,
    lib: ["ES2023"],
    module: "nodenext",
    rootDir: folder,
    outDir,
    ...(compiler === "typescript" ? { rewriteRelativeImportExtensions: true } : {}),
  };
  writeFileSync(
    join(project, "tsconfig.emit.json"),
    JSON.stringify({ compilerOptions, include: [folder], exclude: [`${folder}/canary.ts`] }),
  );
  const ran = await runCompiler(compiler, project, "tsconfig.emit.json");
  return [...silentFailure(ran), ...(ran.output === "" ? [] : [ran.output])].map((finding) => `emit: ${finding}`);
}

type Ended = Pick<RunResult, "exitCode" | "output">;

function runCompiler(compiler: Cell["compiler"], project: string, config: string): Promise<Ended> {
  return run("node", [pathOf(compiler), "--pretty", "false", "--project", config], project);
}

const errorLine = /^(.*)\((\d+),\d+\): error (TS\d+): /;

/** A compiler that failed and names no error in a file: killed, or never started. */
export function silentFailure({ exitCode, output }: Ended): string[] {
  if (exitCode === 0 || output.split("\n").some((line) => errorLine.test(line))) return [];
  return [`the compiler ended with ${exitCode} and named no error in a file: ${output.trim() || "it printed nothing"}`];
}

const versions = new Map<string, string>();
async function versionOf(compiler: Cell["compiler"]): Promise<string> {
  const known = versions.get(compiler);
  if (known !== undefined) return known;
  const { output } = await run("node", [pathOf(compiler), "--version"]);
  const version = output.replace("Version", "").trim();
  versions.set(compiler, version);
  return version;
}

function pathOf(compiler: Cell["compiler"]): string {
  return join(repositoryRoot, "node_modules", compiler, "bin", "tsc");
}

export interface ExpectedError {
  /** As a compiler says it: `file.ts(12)`. */
  readonly place: string;
  /** Any of them: compilers differ in how they tell the same. */
  readonly codes: readonly string[];
}

/** The errors that a file says of itself: lines that end in `// error TS2322` or `// error TS2345 or TS2741`. */
export function errorsIn(path: string, text: string): ExpectedError[] {
  return text.split("\n").flatMap((line, index) => {
    const codes = /\/\/ error (TS\d+(?: or TS\d+)*)$/.exec(line)?.[1]?.split(" or ");
    return codes === undefined ? [] : [{ place: `${path}(${index + 1})`, codes }];
  });
}

/** What a compiler printed and was not to, and what it was to print and did not. */
export function compareErrors(output: string, wanted: readonly ExpectedError[]): string[] {
  const seen = new Set<ExpectedError>();
  const findings = output.split("\n").filter((line) => {
    // The lines behind an error's first one are indented.
    if (line === "" || line.startsWith(" ")) return false;
    const [, file, lineNumber, code = ""] = errorLine.exec(line) ?? [];
    const match = wanted.find(({ place, codes }) => place === `${file}(${lineNumber})` && codes.includes(code));
    if (match !== undefined) seen.add(match);
    return match === undefined;
  });
  const silent = wanted.filter((one) => !seen.has(one));
  return [...findings, ...silent.map(({ place, codes }) => `${place}: ${codes.join(" or ")} did not come`)];
}

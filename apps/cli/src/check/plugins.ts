// `godwit check --plugins`: our plugins against the dumps of their published versions, so that no release forgets a save.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import type { Description } from "@godwit/core";
import { checkCodes, comparePublished, dumpSide, type Finding, type Side, sideOf } from "@godwit/core/compatibility";
import { dumpOf } from "@godwit/core/tools";
import { CliFault } from "../faults.ts";
import type { Terminal } from "../io/terminal.ts";
import type { VerbContext } from "../verb.ts";
import { linesOf } from "./lines.ts";
import { publishedDescriptions } from "./published.ts";

/** A plugin as it stands in the tree. */
export interface PresentPlugin {
  readonly name: string;
  readonly version: string;
  readonly descriptions: readonly Description[];
}

export interface PluginCompared {
  readonly plugin: string;
  /** The published version whose dump this is, and the version in the tree; `none` where the plugin is gone. */
  readonly from: string;
  readonly to: string;
  /** What is not to be: an old save that does not load, or a new one that an old version misreads. */
  readonly findings: readonly Finding[];
}

/** `published`: a dump of an earlier version, as `dumpOfPlugin` gives it. */
export function comparePlugin(published: Side, plugin: PresentPlugin): Finding[] {
  return comparePublished(published, sideOf(dumpOfPlugin(plugin), plugin.name));
}

export function dumpOfPlugin({ name, version, descriptions }: PresentPlugin) {
  return dumpOf(descriptions, `${name} ${version}`);
}

/** All of ours, with the versions that their packages say. */
export function presentPlugins(): PresentPlugin[] {
  const { resolve: find } = createRequire(import.meta.url);
  return Object.entries(publishedDescriptions).map(([name, descriptions]) => {
    const file = JSON.parse(readFileSync(find(`@godwit/${name}/package.json`), "utf8")) as { version: string };
    return { name, version: file.version, descriptions: descriptions() };
  });
}

export async function checkPlugins({ options, terminal }: VerbContext): Promise<0 | 1> {
  const folder = resolve(terminal.folder, options["plugins"] as string);
  const plugins = presentPlugins();
  const written = options["write"] === true ? plugins.flatMap((plugin) => writeDump(folder, plugin)) : [];
  const compared = [...plugins, ...gonePlugins(folder, plugins)].flatMap((plugin) => compareWithFiles(folder, plugin));
  if (options["json"] === true) terminal.json({ compared, written });
  else print(compared, written, terminal);
  return compared.some(({ findings }) => findings.length > 0) ? 1 : 0;
}

const fileOf = ({ name, version }: PresentPlugin) => `${name}-${version}.json`;

/** A published version's dump is never written over. */
function writeDump(folder: string, plugin: PresentPlugin): string[] {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, fileOf(plugin));
  if (existsSync(path)) return [];
  writeFileSync(path, `${printed(dumpOfPlugin(plugin), "")}\n`);
  return [path];
}

const lineLength = 120;

/** What fits in a line stands in one, as the formatter has it. `before`: what stands in the line already. */
function printed(value: unknown, indent: string, before = 0): string {
  const line = inOneLine(value);
  const fits = indent.length + before + line.length < lineLength;
  if (fits || typeof value !== "object" || value === null) return line;
  const isList = Array.isArray(value);
  const inner = `${indent}  `;
  const lines = membersOf(value).map(([key, one]) => {
    const name = isList ? "" : `${JSON.stringify(key)}: `;
    return `${inner}${name}${printed(one, inner, name.length)}`;
  });
  const [open, close] = isList ? "[]" : "{}";
  return `${open}\n${lines.join(",\n")}\n${indent}${close}`;
}

const membersOf = (value: object) => Object.entries(value).filter(([, one]) => one !== undefined);

function inOneLine(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(inOneLine).join(", ")}]`;
  const members = membersOf(value).map(([key, one]) => `${JSON.stringify(key)}: ${inOneLine(one)}`);
  return members.length === 0 ? "{}" : `{ ${members.join(", ")} }`;
}

const publishedName = /^(.+)-(\d+\.\d+\.\d+\S*)\.json$/;

const filesIn = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder).sort() : []);

/** Published once, and not among ours any more: no version of it reads what it wrote. */
function gonePlugins(folder: string, plugins: readonly PresentPlugin[]): PresentPlugin[] {
  const present = new Set(plugins.map(({ name }) => name));
  const published = new Set(filesIn(folder).flatMap((file) => publishedName.exec(file)?.[1] ?? []));
  return [...published]
    .filter((name) => !present.has(name))
    .map((name) => ({ name, version: "none", descriptions: [] }));
}

function compareWithFiles(folder: string, plugin: PresentPlugin): PluginCompared[] {
  const files = filesIn(folder).filter((file) => publishedName.exec(file)?.[1] === plugin.name);
  if (files.length === 0) {
    throw new CliFault("PLUGIN_UNPUBLISHED", `${folder} holds no dump of ${plugin.name}`, {
      exit: 2,
      hint: "write it with --plugins FOLDER --write when the version is published",
    });
  }
  return files.map((file) => ({
    plugin: plugin.name,
    from: file.slice(plugin.name.length + 1, -".json".length),
    to: plugin.version,
    findings: comparePlugin(dumpSide(readFileSync(join(folder, file), "utf8"), file), plugin),
  }));
}

/** What is about no description is about the sections themselves. */
function placeOf({ description, subject, places }: Finding): string {
  if (description === "") return places.map(({ section }) => section).join(", ");
  return subject === "" ? description : `${description}#${subject}`;
}

function print(compared: readonly PluginCompared[], written: readonly string[], terminal: Terminal): void {
  for (const path of written) terminal.out(`written: ${path}`);
  for (const { plugin, from, to, findings } of compared) {
    for (const finding of findings) {
      const { severity, code, direction, old, new: newer } = finding;
      const way = direction === "forward" ? `${from} -> ${to}` : `${to} -> ${from}`;
      const texts = [
        ...(old === "" && newer === "" ? [] : [`published: ${old || "nothing"}`, `present: ${newer || "nothing"}`]),
        `${checkCodes[code].says}; ${checkCodes[code].remedy}`,
      ];
      terminal.out(`${plugin}  ${way}  ${severity}  ${code}  ${placeOf(finding)}`);
      for (const line of texts.flatMap((text) => linesOf(text, "  "))) terminal.out(line);
    }
  }
  const bad = compared.filter(({ findings }) => findings.length > 0);
  terminal.out(
    bad.length === 0
      ? `${compared.length} published descriptions of plugins: each is still read, and none is misread`
      : `${bad.length} of ${compared.length} published versions of plugins are broken`,
  );
}

// Descriptions that a module brings: --plugin, and the list in a configuration file. Nothing is imported that was not named.
import { isAbsolute, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type Description, type DescriptionFamily, familyOf } from "@godwit/core";
import { CliFault } from "../faults.ts";
import type { BroughtFamily } from "./catalogue.ts";
import { packagePath } from "./package-path.ts";

/**
 * The descriptions among a module's exports: `vmstate(...)`, `family(...)`, and arrays of these; or the export `families`
 * alone, where there is one. `folder`: what a relative path, or a package's name, is looked up from.
 */
export async function bringFamilies(name: string, folder: string): Promise<BroughtFamily[]> {
  const module = await importNamed(name, folder);
  const values = "families" in module ? [module["families"]] : Object.values(module);
  const found = values
    .flatMap((value) => (Array.isArray(value) ? value : [value]))
    .flatMap((one) => asFamily(one) ?? []);
  if (found.length === 0) {
    throw new CliFault("PLUGIN_EMPTY", `${name} exports no description`, {
      exit: 2,
      hint: "export what vmstate(...) or family(...) of @godwit/core made, or an array `families` of these",
    });
  }
  return found.map((family) => ({ plugin: name, family }));
}

function asFamily(value: unknown): DescriptionFamily<unknown> | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const one = value as Partial<DescriptionFamily<unknown> & Description>;
  if (one.format !== 1 || typeof one.name !== "string") return undefined;
  if (typeof one.build === "function" && typeof one.infer === "function") return one as DescriptionFamily<unknown>;
  return typeof one.fields === "object" ? (familyOf(one as Description) as DescriptionFamily<unknown>) : undefined;
}

async function importNamed(name: string, folder: string): Promise<Record<string, unknown>> {
  const isPath = name.startsWith(".") || isAbsolute(name);
  try {
    const path = isPath ? resolve(folder, name) : packagePath(name, folder);
    return (await import(pathToFileURL(path).href)) as Record<string, unknown>;
  } catch (cause) {
    throw new CliFault("PLUGIN_UNREADABLE", `the module ${name} cannot be imported: ${messageOf(cause)}`, {
      exit: 2,
      hint: isPath
        ? "is the path right, and does this runtime read it?"
        : `is it installed in ${folder}? The path of a file begins with ./ or /`,
      cause,
    });
  }
}

/** The first line: runtimes add who asked for it. */
const messageOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split("\n", 1)[0] as string;

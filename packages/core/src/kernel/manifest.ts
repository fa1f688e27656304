// What a machine is made of, as plain data.
import { contract, type Manifest, type ManifestSection, type Producer } from "../contract.ts";
import type { Entry, Registry } from "../registry/registry.ts";
import { sectionKey } from "../stream/sections.ts";
import type { Description } from "../vmstate/types.ts";
import type { Kinds } from "./kinds.ts";
import { neededSubsections } from "./needs.ts";
import { subsectionNames } from "./subsection-names.ts";
import { failureOf } from "./thrown.ts";

interface Identity {
  readonly machineType: string;
  readonly producer?: Producer;
}

export function manifestOf(
  registry: Registry,
  kinds: Kinds,
  { machineType, producer }: Identity,
  plugins: Manifest["plugins"],
  { needed = false }: { readonly needed?: boolean } = {},
): Manifest {
  const entries = [...registry.inSaveOrder()];
  return {
    ...(producer === undefined ? {} : { producer: { name: producer.name, version: producer.version } }),
    contract,
    machineType,
    sections: entries.map((entry) => ({ ...placeOf(entry), ...versionsOf(entry), ...(needed && needsOf(entry)) })),
    reads: [...formerReads(registry), ...otherReads(registry)],
    kinds: kinds.descriptions().map((description) => {
      const { optional: _, ...versions } = versionsOf(description);
      return { name: description.name, ...versions };
    }),
    ramBlocks: entries.flatMap(ramBlocksOf),
    plugins: plugins.map((plugin) => ({ ...plugin })),
  };
}

function needsOf(entry: Entry): Pick<ManifestSection, "needed"> {
  if (entry.description === undefined || subsectionNames(entry.description).size === 0) return {};
  const needed = neededSubsections(entry);
  return needed === undefined ? {} : { needed };
}

function ramBlocksOf(entry: Entry): Manifest["ramBlocks"] {
  try {
    return [...(entry.iterable?.ramBlocks?.() ?? [])];
  } catch (error) {
    throw failureOf(error, "the handler's ramBlocks threw", { section: sectionKey(entry) });
  }
}

function* formerReads(registry: Registry): Iterable<Manifest["reads"][number]> {
  for (const { from, into } of registry.successions) {
    for (const old of from) {
      const others = from.filter((one) => one !== old);
      const names = { into: into.map(sectionKey), with: others.map(sectionKey) };
      yield { ...placeOf(old), ...versionsOf(old.description), ...names };
    }
  }
}

function* otherReads(registry: Registry): Iterable<Manifest["reads"][number]> {
  for (const { entry, ...place } of registry.otherNames()) {
    yield { ...place, ...versionsOf(entry), into: [sectionKey(entry)], with: [] };
  }
}

function placeOf({ idstr, instance }: Pick<Entry, "idstr" | "instance">): Pick<ManifestSection, "idstr" | "instance"> {
  return { idstr, instance };
}

function versionsOf(of: Description | Entry): Omit<ManifestSection, "idstr" | "instance"> {
  const description = "format" in of ? of : of.description;
  return {
    version: of.version,
    minimumVersion: description?.minimumVersion ?? of.version,
    subsections: description === undefined ? [] : [...subsectionNames(description)],
    optional: description?.needed !== undefined,
  };
}

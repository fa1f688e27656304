// What a machine is made of, as plain data.
import { contract, type Manifest, type ManifestSection, type Producer } from "../contract.ts";
import type { Entry, Registry } from "../registry/registry.ts";
import { sectionKey } from "../stream/sections.ts";
import type { Description } from "../vmstate/types.ts";
import type { Kinds } from "./kinds.ts";

interface Identity {
  readonly machineType: string;
  readonly producer?: Producer;
}

export function manifestOf(
  registry: Registry,
  kinds: Kinds,
  { machineType, producer }: Identity,
  plugins: Manifest["plugins"],
): Manifest {
  const entries = [...registry.inSaveOrder()];
  return {
    ...(producer === undefined ? {} : { producer: { name: producer.name, version: producer.version } }),
    contract,
    machineType,
    sections: entries.map((entry) => ({ ...placeOf(entry), ...versionsOf(entry) })),
    reads: [...formerReads(registry), ...otherReads(registry)],
    kinds: kinds.descriptions().map((description) => {
      const { optional: _, ...versions } = versionsOf(description);
      return { name: description.name, ...versions };
    }),
    ramBlocks: entries.flatMap(({ iterable }) => [...(iterable?.ramBlocks?.() ?? [])]),
    plugins: plugins.map((plugin) => ({ ...plugin })),
  };
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
    subsections: Object.values(description?.subsections ?? {}).map((own) => own.description.name),
    optional: description?.needed !== undefined,
  };
}

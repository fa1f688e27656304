// Which plugin describes which section: by the section's name, and by the path before it.
import type { Description, DescriptionFamily, SectionSample } from "@godwit/core";
import { vtdFamily } from "@godwit/iommu-vtd";
import { virtioBlkPciFamily } from "@godwit/virtio-blk/pci";
import { virtioNetPciFamily } from "@godwit/virtio-net/pci";

interface CatalogueEntry {
  readonly plugin: string;
  readonly family: DescriptionFamily<never>;
  /** What stands before the name: a PCI path, a channel path, or nothing. */
  readonly path: RegExp;
}

const entry = <P>(plugin: string, path: RegExp, family: DescriptionFamily<P>): CatalogueEntry => ({
  plugin: `@godwit/${plugin}`,
  family: family as unknown as DescriptionFamily<never>,
  path,
});

const alone = /^$/;
const pci = /^(0000:00|pci@[0-9a-f]+):[^/]*\/$/;

export const catalogue: readonly CatalogueEntry[] = [
  entry("iommu-vtd", alone, vtdFamily),
  entry("virtio-net", pci, virtioNetPciFamily),
  entry("virtio-blk", pci, virtioBlkPciFamily),
];

/** A section with the description that fits its bytes. */
export interface Described {
  readonly plugin: string;
  readonly description: Description;
  /** What was inferred, for reports. */
  readonly parameters: unknown;
}

/** Undefined where no plugin knows the section; a family's error where one does, and the bytes do not fit. */
export function describe(sample: SectionSample): Described | undefined {
  const { idstr } = sample;
  const found = catalogue.find(
    ({ family: { name }, path }) => idstr.endsWith(name) && path.test(idstr.slice(0, -name.length)),
  );
  if (found === undefined) return undefined;
  const parameters = found.family.infer(sample);
  return { plugin: found.plugin, description: found.family.build(parameters), parameters };
}

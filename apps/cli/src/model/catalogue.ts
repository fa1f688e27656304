// Which description fits a section: by the section's name, and by the path before it. Ours, and those that were brought along.
import type { Description, DescriptionFamily, SectionSample } from "@godwit/core";
import { vtdFamily } from "@godwit/iommu-vtd";
import { spaprFamilies } from "@godwit/spapr-drc-ccs";
import { vfioFamilies } from "@godwit/vfio-config-subflag";
import { virtioBalloonCcwFamily } from "@godwit/virtio-balloon/ccw";
import { virtioBalloonPciFamily } from "@godwit/virtio-balloon/pci";
import { virtioBlkCcwFamily } from "@godwit/virtio-blk/ccw";
import { virtioBlkPciFamily } from "@godwit/virtio-blk/pci";
import { cssFamily } from "@godwit/virtio-ccw";
import { virtioConsoleCcwFamily } from "@godwit/virtio-console/ccw";
import { virtioConsolePciFamily } from "@godwit/virtio-console/pci";
import { virtioNetCcwFamily } from "@godwit/virtio-net/ccw";
import { virtioNetPciFamily } from "@godwit/virtio-net/pci";
import { virtioRngCcwFamily } from "@godwit/virtio-rng/ccw";
import { virtioRngPciFamily } from "@godwit/virtio-rng/pci";
import { scsiDiskFamily } from "@godwit/virtio-scsi";
import { virtioScsiCcwFamily } from "@godwit/virtio-scsi/ccw";
import { virtioScsiPciFamily } from "@godwit/virtio-scsi/pci";
import { ofPlugin } from "./brought-throws.ts";
import { broughtFor, isNamed, type SectionPath } from "./section-names.ts";

interface CatalogueEntry {
  readonly plugin: string;
  readonly path: SectionPath;
  readonly family: DescriptionFamily<never>;
}

const entry = <P>(plugin: string, path: SectionPath, family: DescriptionFamily<P>): CatalogueEntry => ({
  plugin: `@godwit/${plugin}`,
  path,
  family: family as unknown as DescriptionFamily<never>,
});

/** In the order of section-names.ts, with which a test compares them. */
export const families: readonly CatalogueEntry[] = [
  entry("iommu-vtd", "alone", vtdFamily),
  entry("virtio-net", "pci", virtioNetPciFamily),
  entry("virtio-net", "channel", virtioNetCcwFamily),
  entry("virtio-blk", "pci", virtioBlkPciFamily),
  entry("virtio-blk", "channel", virtioBlkCcwFamily),
  entry("virtio-rng", "pci", virtioRngPciFamily),
  entry("virtio-rng", "channel", virtioRngCcwFamily),
  entry("virtio-balloon", "pci", virtioBalloonPciFamily),
  entry("virtio-balloon", "channel", virtioBalloonCcwFamily),
  entry("virtio-console", "pci", virtioConsolePciFamily),
  entry("virtio-console", "channel", virtioConsoleCcwFamily),
  entry("virtio-scsi", "pci", virtioScsiPciFamily),
  entry("virtio-scsi", "channel", virtioScsiCcwFamily),
  entry("virtio-scsi", "scsi", scsiDiskFamily),
  entry("virtio-ccw", "alone", cssFamily),
  ...vfioFamilies.map((one) => entry("vfio-config-subflag", "pci", one as unknown as DescriptionFamily<never>)),
  ...spaprFamilies.map((one) => entry("spapr-drc-ccs", "platform", one as unknown as DescriptionFamily<never>)),
];

/** A section with the description that fits its bytes. */
export interface Described {
  /** The package or module that has it. */
  readonly plugin: string;
  readonly description: Description;
  /** What was inferred, for reports. */
  readonly parameters: unknown;
}

export interface Catalogue {
  /** Whether a section of this idstr has a description, whatever its bytes. */
  knows(idstr: string): string | undefined;
  /** Undefined where nothing knows the section; a family's error where one does, and the bytes do not fit. */
  describe(sample: SectionSample): Described | undefined;
  /** What is needed before `describe` is asked; without it, nothing is. */
  load?(): Promise<void>;
}

/** Descriptions of other people's, as a module brings them; they go before ours. */
export interface BroughtFamily {
  /** The module, as it was named. */
  readonly plugin: string;
  readonly family: DescriptionFamily<unknown>;
}

export function catalogueWith(brought: readonly BroughtFamily[] = []): Catalogue {
  const find = (idstr: string): Omit<CatalogueEntry, "path"> | undefined =>
    (broughtFor(idstr, brought) as Omit<CatalogueEntry, "path"> | undefined) ??
    families.find(({ path, family: { name } }) => isNamed({ name, path }, idstr));
  return {
    knows: (idstr) => find(idstr)?.plugin,
    describe(sample) {
      const found = find(sample.idstr);
      if (found === undefined) return undefined;
      const { plugin, family } = found;
      return ofPlugin(plugin, () => {
        const parameters = family.infer(sample);
        return { plugin, description: family.build(parameters), parameters };
      });
    },
  };
}

/** By our own plugins alone. */
export const { describe } = catalogueWith();

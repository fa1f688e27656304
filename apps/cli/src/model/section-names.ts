// Which of our plugins describes a section, by its name alone: known without loading a plugin. catalogue.ts has the
// descriptions themselves.

const paths = {
  alone: /^$/,
  /** What stands on no bus, or on the one for virtual I/O: `nvram@71000000`. */
  platform: /^([a-z]+@[0-9a-f]+\/)?$/,
  pci: /^(0000:00|pci@[0-9a-f]+):[^/]*\/$/,
  channel: /^\/[0-9a-f]+\.[0-3]\.[0-9a-f]{4}\/$/,
  /** Behind a host adapter on either. */
  scsi: /\/\d+:\d+:\d+\/$/,
} as const;

/** What stands before the name: a PCI path, a channel path, or nothing. */
export type SectionPath = keyof typeof paths;

export interface SectionName {
  readonly plugin: string;
  readonly path: SectionPath;
  readonly name: string;
}

const of = (plugin: string, path: SectionPath, ...names: readonly string[]): SectionName[] =>
  names.map((name) => ({ plugin: `@godwit/${plugin}`, path, name }));

const devices = ["net", "blk", "rng", "balloon", "console", "scsi"];

/** In the order in which they are tried. */
export const sectionNames: readonly SectionName[] = [
  ...of("iommu-vtd", "alone", "iommu-intel"),
  ...devices.flatMap((device) => [
    ...of(`virtio-${device}`, "pci", `virtio-${device}`),
    ...of(`virtio-${device}`, "channel", `virtio-${device}`),
  ]),
  ...of("virtio-scsi", "scsi", "scsi-disk"),
  ...of("virtio-ccw", "alone", "s390_css"),
  ...of("vfio-config-subflag", "pci", "vfio"),
  ...of("spapr-drc-ccs", "platform", "spapr", "spapr_drc", "spapr_drc/physical", "spapr_pci", "spapr_iommu", "ics"),
  ...of("spapr-drc-ccs", "platform", "icp/server", "xive-source", "spapr-xive", "xive-tctx", "spapr/rtc"),
  ...of("spapr-drc-ccs", "platform", "spapr_nvram", "spapr_vty"),
];

export function isNamed({ name, path }: Omit<SectionName, "plugin">, idstr: string): boolean {
  return idstr.endsWith(name) && paths[path].test(idstr.slice(0, -name.length));
}

/** The one that was brought along for a section, if there is one: these go before ours. */
export function broughtFor<B extends { readonly family: { readonly name: string } }>(
  idstr: string,
  brought: readonly B[],
): B | undefined {
  return brought.find(({ family: { name } }) => idstr === name || idstr.endsWith(`/${name}`));
}

// The descriptions of our own plugins at parameters that stand for the rest: what a published version promises to read.
import { type Description, type Field, struct, vmstate } from "@godwit/core";
import { vtd } from "@godwit/iommu-vtd";
import {
  ccs,
  ccsList,
  drc,
  drcPhysical,
  icp,
  icsSection,
  nvram,
  phbSection,
  rtc,
  spaprSection,
  spaprStandard,
  spaprXiveSection,
  tceTableSection,
  vtySection,
  xiveSourceSection,
  xiveTctx,
} from "@godwit/spapr-drc-ccs";
import { vfioPciDevice, vfioRecord } from "@godwit/vfio-config-subflag";
import { virtioBalloonClass } from "@godwit/virtio-balloon";
import { virtioBlkClass } from "@godwit/virtio-blk";
import { cssSection, virtioCcwSection } from "@godwit/virtio-ccw";
import { virtioConsoleClass } from "@godwit/virtio-console";
import { noData, type VirtioClass, type VirtioParameters, virtioSection } from "@godwit/virtio-core";
import { virtioNetClass } from "@godwit/virtio-net";
import { virtioPciSection } from "@godwit/virtio-pci";
import { virtioRngClass } from "@godwit/virtio-rng";
import { scsiDisk, virtioScsiClass } from "@godwit/virtio-scsi";

const dialects = ["7.2", "10.0"] as const;
const versionOne = 1n << 32n;
const ringPacked = 1n << 34n;
const split: VirtioParameters = { hostFeatures: versionOne, dialect: "10.0" };
const packed: VirtioParameters = { hostFeatures: versionOne | ringPacked, dialect: "10.0" };

/** What a device class adds to a virtio section, without the transport's and the core's part, which have dumps of their own. */
function ownPart<P, S, L>(device: VirtioClass<P, S, L>, parameters: P & VirtioParameters): Description {
  const { name, version, minimumVersion } = device;
  const legacy = device.legacySave?.(parameters) as Field | undefined;
  const fields = { ...(legacy !== undefined && { legacy }), device: struct(device.description(parameters)) };
  return vmstate({ name, version, minimumVersion, fields }) as Description;
}

/** By package. Each description is one that a stream could have. */
export const publishedDescriptions: Readonly<Record<string, () => readonly Description[]>> = {
  "iommu-vtd": () => [vtd],
  "spapr-drc-ccs": () => [
    ...dialects.map((dialect) => spaprSection({ ...spaprStandard, dialect, irqMapBits: 64, ccs: dialect === "7.2" })),
    ...[ccs, ccsList.description, drc, drcPhysical, icp, nvram, rtc, xiveTctx],
    icsSection({ irqs: 2 }),
    phbSection({ buid: 1n, lsis: [1, 2, 3, 4] }),
    spaprXiveSection({ irqs: 2, ends: 8 }),
    tceTableSection({ liobn: 1 }),
    vtySection({ reg: 1, irq: 2 }),
    xiveSourceSection({ irqs: 2 }),
  ],
  "vfio-config-subflag": () => [
    vfioPciDevice({ configBytes: 4096, msixVectors: 2 }),
    ...(["proposal", "merged"] as const).map((dialect) => vfioRecord(dialect, { configBytes: 256, msixVectors: 2 })),
  ],
  "virtio-balloon": () => [ownPart(virtioBalloonClass, split)],
  "virtio-blk": () => [
    ownPart(virtioBlkClass, { ...split, queues: 1, packed: false }),
    ownPart(virtioBlkClass, { ...packed, queues: 2, packed: true }),
  ],
  "virtio-ccw": () => [cssSection({ images: [0, 0xfe] }), virtioCcwSection(virtioRngClass, split)],
  "virtio-console": () => [
    ownPart(virtioConsoleClass, { ...split, maxPorts: 1, packed: false }),
    ownPart(virtioConsoleClass, { ...packed, maxPorts: 31, packed: true }),
  ],
  "virtio-core": () =>
    dialects.map((dialect) =>
      virtioSection({
        ...{ name: "virtio", version: 1, device: noData, parameters: { ...packed, dialect } },
        transport: { config: noData, queue: noData },
      }),
    ),
  "virtio-net": () => [
    ownPart(virtioNetClass, { ...split, dialect: "7.2", queuePairs: 1 }),
    ownPart(virtioNetClass, { ...split, dialect: "10.0", queuePairs: 2 }),
  ],
  "virtio-pci": () => [
    virtioPciSection(virtioRngClass, { ...split, configBytes: 256, msixVectors: 2, modern: true }),
    virtioPciSection(virtioRngClass, { ...split, hostFeatures: 0n, configBytes: 4096, msixVectors: 0, modern: false }),
  ],
  "virtio-rng": () => [ownPart(virtioRngClass, split)],
  "virtio-scsi": () => [
    ownPart(virtioScsiClass, split),
    scsiDisk({ queues: 1, packed: false }),
    scsiDisk({ queues: 2, packed: true }),
  ],
};

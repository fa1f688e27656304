// The disks of the supplied streams, and the options of a device of ours that is the same.
import type { VirtioBlkPciOptions } from "../../src/pci.ts";

export type RealDisk = Pick<VirtioBlkPciOptions, "slot" | "mode" | "accessPlatform" | "dialect"> & {
  readonly raw: string;
  readonly idstr: string;
};

/** Of every command line. Bytes. */
export const realDiskBytes = 16_777_216;

const disk = (raw: string, chosen: Omit<RealDisk, "raw" | "idstr">): RealDisk => ({
  raw: `${raw}.stream`,
  idstr: `0000:${chosen.slot}/virtio-blk`,
  ...chosen,
});
const behindIommu = { slot: "00:02.0", mode: "modern", accessPlatform: true } as const;
const i440fx = { slot: "00:03.0", accessPlatform: false, dialect: "7.2" } as const;

export const realDisks: readonly RealDisk[] = [
  disk("q35-vtd-virtio-7.2", { ...behindIommu, dialect: "7.2" }),
  disk("q35-vtd-virtio-10.0", behindIommu),
  disk("q35-retarget-10.0", behindIommu),
  disk("q35-xbzrle-7.2", { ...behindIommu, mode: "transitional", accessPlatform: false, dialect: "7.2" }),
  disk("i440fx-transitional-virtio-7.2", { ...i440fx, mode: "transitional" }),
  disk("i440fx-legacy-virtio-7.2", { ...i440fx, mode: "legacy" }),
];

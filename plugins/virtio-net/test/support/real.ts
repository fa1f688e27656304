// The network devices of the supplied streams, and the options of a device of ours that is the same.
import type { VirtioNetPciOptions } from "../../src/pci.ts";

type Chosen = Pick<
  VirtioNetPciOptions,
  "slot" | "mac" | "mode" | "accessPlatform" | "path" | "targetEndian" | "dialect"
>;

export interface RealNet extends Chosen {
  readonly raw: string;
  readonly idstr: string;
}

const behindIommu = { slot: "00:01.0", mac: "52:54:00:12:34:56", mode: "modern", accessPlatform: true } as const;
const i440fx = { slot: "00:02.0", mac: "52:54:00:12:34:57", accessPlatform: false } as const;
const pseries = { mac: "52:54:00:12:34:59", mode: "transitional", targetEndian: "big" } as const;

function net(raw: string, chosen: Chosen): RealNet {
  return { raw: `${raw}.stream`, idstr: `${chosen.path ?? `0000:${chosen.slot}`}/virtio-net`, ...chosen };
}

export const realNets: readonly RealNet[] = [
  net("q35-vtd-virtio-7.2", { ...behindIommu, dialect: "7.2" }),
  net("q35-vtd-virtio-10.0", behindIommu),
  net("q35-retarget-10.0", behindIommu),
  net("q35-xbzrle-7.2", { ...behindIommu, mode: "transitional", accessPlatform: false, dialect: "7.2" }),
  net("i440fx-transitional-virtio-7.2", { ...i440fx, mode: "transitional", dialect: "7.2" }),
  net("i440fx-legacy-virtio-7.2", { ...i440fx, mode: "legacy", dialect: "7.2" }),
];

export const pseriesNets: readonly RealNet[] = [
  ["pseries-bare-7.2", "01.0"],
  ["pseries-hotplug-net-7.2", "01.0"],
  ["pseries-hotplug-net-7.2", "02.0"],
  ["pseries-hotplug-net-cpu-dimm-7.2", "01.0"],
  ["pseries-hotplug-net-cpu-dimm-7.2", "02.0"],
].map(([raw = "", slot]) =>
  net(raw, { ...pseries, slot: `00:${slot}`, path: `pci@800000020000000:${slot}`, dialect: "7.2" }),
);

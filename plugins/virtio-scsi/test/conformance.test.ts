// The plugin's promises, by the conformance suite: a host adapter with two disks, whose requests in flight travel in the
// disks' own sections.
import { describePlugin } from "@godwit/testkit/vitest";
import { feature } from "@godwit/virtio-core";
import { type ConformanceGuest, ccwConformance, pciConformance } from "@godwit/virtio-testkit";
import type { Arbitrary } from "fast-check";
import { describe } from "vitest";
import { type VirtioScsiCcwOffer, virtioScsiCcw } from "../src/ccw.ts";
import type { ScsiDiskState } from "../src/disk-state.ts";
import type { VirtioScsiModel } from "../src/model.ts";
import { type VirtioScsiPciOffer, virtioScsiPci } from "../src/pci.ts";
import { cdb } from "./support/driver.ts";
import { image, sectorOf, slowImage } from "./support/images.ts";

const name = "virtio-scsi";
const states = 6;
const sources = new URL("../src/", import.meta.url);
const config = ({ adapter }: { readonly adapter: VirtioScsiModel }) => adapter.configBytes();
const luns = [0, 3];
const options = () => ({
  disks: luns.map((lun) => ({ backend: slowImage(image(16)), target: 1, lun })),
  queues: 2,
  queueSize: 64,
  carryInFlight: true,
});

function drive({ ask, random }: ConformanceGuest<unknown>): void {
  const send = (queue: number, lun: number, command: readonly number[], out: Uint8Array[], room: number[]) => {
    const header = new Uint8Array(51);
    header.set([1, 1, 0, lun, 0, 0, 0, 0, ...random.bytes(8)]);
    header.set(command, 19);
    ask(2 + queue, [header, ...out], [108, ...room], random.int(4) > 0);
  };
  ask(1, [], [16]);
  for (const lun of luns) {
    send(0, lun, cdb.testUnitReady, [], []);
    for (let requests = random.int(4); requests > 0; requests--) {
      if (random.bool()) send(random.int(2), lun, cdb.write10(requests, 1), [sectorOf(requests)], []);
      else send(random.int(2), lun, cdb.read10(requests, 1), [], [512]);
    }
    send(1, lun, cdb.inquiry(40, random.int(256)), [], [40]);
  }
}

/** Its own requests, each once; a disk that cannot be removed has no tray. */
const disk = (lun: number) => (base: Arbitrary<ScsiDiskState>) =>
  base.map((state) => {
    const requests = state.qdev.requests.map((one, index) => ({
      ...one,
      lun,
      element: { ...one.element, index },
      data_len: Math.min(one.data_len, one.buflen),
      data: one.data.subarray(0, one.data_len > one.buflen ? one.buflen : one.data.length),
    }));
    const tray = {
      media_changed: false,
      media_event: false,
      eject_request: false,
      tray_open: false,
      tray_locked: false,
    };
    return { qdev: { ...state.qdev, requests }, ...tray };
  });

const disksAt = (path: string) => Object.fromEntries(luns.map((lun) => [`${path}/0:1:${lun}/scsi-disk`, disk(lun)]));

describe("over PCI, packed rings", () => {
  const ringFeatures = feature.RING_PACKED | feature.RING_EVENT_IDX;
  const plugin = pciConformance<VirtioScsiPciOffer>({
    ...{ name, drive, config, more: disksAt("0000:00:02.0") },
    packed: true,
    plugin: (to) => virtioScsiPci({ ...to, ...options(), ringFeatures }),
  });
  describePlugin({ ...plugin, goldens: new URL("../goldens/pci-packed/", import.meta.url), sources, states });
});

describe("over channel I/O, split rings", () => {
  const plugin = ccwConformance<VirtioScsiCcwOffer>({
    ...{ name, drive, config, more: disksAt("/fe.0.0001") },
    plugin: (to) => virtioScsiCcw({ ...to, ...options() }),
  });
  describePlugin({ ...plugin, goldens: new URL("../goldens/ccw/", import.meta.url), sources, states });
});

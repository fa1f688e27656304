// The plugin's promises, by the conformance suite: requests that the back end has not carried out travel with the disk.
import { describePlugin } from "@godwit/testkit/vitest";
import { feature, type VirtioState } from "@godwit/virtio-core";
import { type ConformanceGuest, carriedElement, ccwConformance, pciConformance } from "@godwit/virtio-testkit";
import { describe } from "vitest";
import { type VirtioBlkCcwOffer, virtioBlkCcw } from "../src/ccw.ts";
import type { VirtioBlkModel } from "../src/model.ts";
import { type VirtioBlkPciOffer, virtioBlkPci } from "../src/pci.ts";
import type { CarriedRequest } from "../src/request-list.ts";
import { image, sectorOf, slowImage } from "./support/disk.ts";

const name = "virtio-blk";
const states = 6;
const sources = new URL("../src/", import.meta.url);
const config = ({ disk }: { readonly disk: VirtioBlkModel }) => disk.configBytes();
const options = () => ({ backend: slowImage(image(16)), queues: 2, queueSize: 16, carryInFlight: true });

function drive({ ask, random }: ConformanceGuest<unknown>): void {
  const header = (type: number) => Uint8Array.of(type, 0, 0, 0, 0, 0, 0, 0, random.int(16), 0, 0, 0, 0, 0, 0, 0);
  for (let requests = 1 + random.int(4); requests > 0; requests--) {
    const isWrite = random.bool();
    if (isWrite) ask(random.int(2), [header(1), sectorOf(requests)], [1], random.bool());
    else ask(random.int(2), [header(0)], [512, 1], random.bool());
  }
  ask(random.int(2), [header(4)], [1]);
}

/** Each belongs to a queue that is set up, and no two are the same entry of its ring. */
function state(of: VirtioState<unknown, unknown, unknown, unknown, CarriedRequest[]>) {
  const legacy = of.legacy.flatMap(({ queue, element }, i) =>
    of.vqs[queue]?.desc === 0n ? [] : [{ queue, element: carriedElement(of, queue, element, i) }],
  );
  return { ...of, legacy };
}

describe("over PCI, packed rings", () => {
  const ringFeatures = feature.RING_PACKED | feature.RING_EVENT_IDX;
  const plugin = pciConformance<VirtioBlkPciOffer>({
    ...{ name, drive, config, state },
    packed: true,
    plugin: (to) => virtioBlkPci({ ...to, ...options(), ringFeatures }),
  });
  describePlugin({ ...plugin, goldens: new URL("../goldens/pci-packed/", import.meta.url), sources, states });
});

describe("over channel I/O, split rings", () => {
  const plugin = ccwConformance<VirtioBlkCcwOffer>({
    ...{ name, drive, config, state },
    plugin: (to) => virtioBlkCcw({ ...to, ...options() }),
  });
  describePlugin({ ...plugin, goldens: new URL("../goldens/ccw/", import.meta.url), sources, states });
});

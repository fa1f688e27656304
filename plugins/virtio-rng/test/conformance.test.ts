// The plugin's promises, by the conformance suite: requests that wait for entropy, in split and in packed rings.
import { describePlugin } from "@godwit/testkit/vitest";
import { feature } from "@godwit/virtio-core";
import { type ConformanceGuest, ccwConformance, pciConformance } from "@godwit/virtio-testkit";
import { describe } from "vitest";
import { virtioRngCcw } from "../src/ccw.ts";
import { virtioRngPci } from "../src/pci.ts";
import { counting } from "./support/rng-driver.ts";

const name = "virtio-rng";
const states = 6;
const sources = new URL("../src/", import.meta.url);

function drive({ ask, random }: ConformanceGuest<unknown>): void {
  for (let requests = 1 + random.int(6); requests > 0; requests--) ask(0, [], [1 + random.int(9)], random.bool());
}

/** Bytes for a while, and then none. */
function dry() {
  const { read } = counting(3);
  let left = 4;
  return { read: (bytes: number) => (left-- > 0 ? read(bytes) : new Promise<Uint8Array>(() => {})) };
}

describe("over PCI, split rings", () => {
  const plugin = pciConformance({ name, drive, plugin: (to) => virtioRngPci({ ...to, backend: dry() }) });
  describePlugin({ ...plugin, goldens: new URL("../goldens/pci/", import.meta.url), sources, states });
});

describe("over channel I/O, packed rings", () => {
  const plugin = ccwConformance({
    name,
    drive,
    packed: true,
    plugin: (to) => virtioRngCcw({ ...to, backend: dry(), ringFeatures: feature.RING_PACKED | feature.RING_EVENT_IDX }),
  });
  describePlugin({ ...plugin, goldens: new URL("../goldens/ccw-packed/", import.meta.url), sources, states });
});

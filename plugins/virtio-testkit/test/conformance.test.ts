// The promises of what all virtio devices share, by the conformance suite: of the core with a transport that has nothing,
// of PCI functions, and of subchannels.
import { describePlugin } from "@godwit/testkit/vitest";
import { virtioCcw } from "@godwit/virtio-ccw";
import { feature, type VirtioState, type VirtqueueElement } from "@godwit/virtio-core";
import { virtioPci } from "@godwit/virtio-pci";
import { describe } from "vitest";
import {
  type ConformanceGuest,
  carriedElement,
  ccwConformance,
  pciConformance,
  plainConformance,
} from "../src/index.ts";
import { minimal } from "./support/minimal.ts";
import { plainDevice } from "./support/plain-transport.ts";

const name = "virtio-minimal";
const states = 6;
const config = () => new Uint8Array(8);
const of = (plugin: "core" | "pci" | "ccw", variant: string) => ({
  goldens: new URL(`../../virtio-${plugin}/goldens/${variant}/`, import.meta.url),
  sources: new URL(`../../virtio-${plugin}/src/`, import.meta.url),
  states,
});

function drive({ ask, random }: ConformanceGuest<unknown>): void {
  for (let requests = 1 + random.int(6); requests > 0; requests--) {
    ask(random.int(2), [random.bytes(3)], [1 + random.int(4)], random.int(3) > 0);
  }
}

type State = VirtioState<unknown, unknown, unknown, unknown, { kept: VirtqueueElement }>;
const state = (one: State) => ({ ...one, legacy: { kept: carriedElement(one, 0, one.legacy.kept, 0) } });
const keeping = () => Object.assign(minimal(), { keeping: true });

describe.each([
  ["split rings", "split", false],
  ["packed rings", "packed", true],
])("the core, %s", (_, variant, packed) => {
  const plugin = plainConformance({
    ...{ name, drive, config, state, packed },
    plugin: ({ dma }) => plainDevice(dma, keeping(), packed),
  });
  describePlugin({ ...plugin, ...of("core", variant) });
});

describe("a PCI function, packed rings", () => {
  const plugin = pciConformance({
    ...{ name, drive, config, state },
    packed: true,
    plugin: (to) =>
      virtioPci({
        ...to,
        model: keeping(),
        ringFeatures: feature.RING_PACKED | feature.RING_EVENT_IDX,
        msixVectors: 2,
      }),
  });
  describePlugin({ ...plugin, ...of("pci", "packed") });
});

describe("a PCI Express function, transitional", () => {
  const plugin = pciConformance({
    ...{ name, drive, config, state },
    plugin: (to) => virtioPci({ ...to, model: keeping(), mode: "transitional", express: { ats: true } }),
  });
  describePlugin({ ...plugin, ...of("pci", "transitional") });
});

describe("a subchannel", () => {
  const plugin = ccwConformance({
    ...{ name, drive, config, state },
    plugin: (to) => virtioCcw({ ...to, model: keeping(), transitional: true }),
  });
  describePlugin({ ...plugin, ...of("ccw", "split") });
});

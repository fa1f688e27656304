// The plugin's promises, by the conformance suite: pages given up, statistics that the device keeps, and free page hints.
import { describePlugin } from "@godwit/testkit/vitest";
import { feature, type VirtioState } from "@godwit/virtio-core";
import { type ConformanceGuest, ccwConformance, pciConformance } from "@godwit/virtio-testkit";
import { describe } from "vitest";
import { type VirtioBalloonCcwOffer, virtioBalloonCcw } from "../src/ccw.ts";
import type { VirtioBalloonState } from "../src/device-state.ts";
import type { VirtioBalloonModel } from "../src/model.ts";
import { type VirtioBalloonPciOffer, virtioBalloonPci } from "../src/pci.ts";
import { ledger } from "./support/balloon-driver.ts";

const name = "virtio-balloon";
const states = 6;
const sources = new URL("../src/", import.meta.url);
const config = ({ balloon }: { readonly balloon: VirtioBalloonModel }) => balloon.configBytes();

function drive({ ask, random, offer: { balloon } }: ConformanceGuest<{ readonly balloon: VirtioBalloonModel }>): void {
  const numbers = () => new Uint8Array(Uint32Array.of(random.int(64), random.int(64)).buffer);
  balloon.setTarget(random.int(1000));
  ask(random.int(2), [numbers()], [], random.bool());
  ask(2, [random.bytes(20)]);
  if (random.bool()) balloon.requestStatistics();
  if (random.bool()) balloon.startHints();
}

function state(of: VirtioState<unknown, unknown, unknown, VirtioBalloonState, unknown>) {
  const { free_page_report: report } = of.device;
  const free_page_report = { ...report, free_page_hint_status: report.free_page_hint_status & 3 };
  return { ...of, device: { ...of.device, free_page_report } };
}

describe("over PCI, packed rings", () => {
  const ringFeatures = feature.RING_PACKED | feature.RING_EVENT_IDX;
  const plugin = pciConformance<VirtioBalloonPciOffer>({
    ...{ name, drive, config, state },
    packed: true,
    plugin: (to) => virtioBalloonPci({ ...to, ...ledger(), reporting: true, ringFeatures }),
  });
  describePlugin({ ...plugin, goldens: new URL("../goldens/pci-packed/", import.meta.url), sources, states });
});

describe("over channel I/O, split rings, without hints", () => {
  const plugin = ccwConformance<VirtioBalloonCcwOffer>({
    ...{ name, drive, config, state },
    plugin: (to) => virtioBalloonCcw({ ...to, discard: ledger().discard }),
  });
  describePlugin({ ...plugin, goldens: new URL("../goldens/ccw/", import.meta.url), sources, states });
});

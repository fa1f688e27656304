// The plugin's promises, by the conformance suite: frames on their way, the receive filter, and receive-side scaling.
import { describePlugin } from "@godwit/testkit/vitest";
import { feature, type VirtioState } from "@godwit/virtio-core";
import { type ConformanceGuest, ccwConformance, pciConformance } from "@godwit/virtio-testkit";
import { describe } from "vitest";
import { type VirtioNetCcwOffer, virtioNetCcw } from "../src/ccw.ts";
import { controlClass, macCommand, rxCommand, vlanCommand } from "../src/constants.ts";
import type { VirtioNetState } from "../src/device-state.ts";
import type { VirtioNetModel, VirtioNetOptions } from "../src/options.ts";
import { guestOffloads } from "../src/packet-header.ts";
import { type VirtioNetPciOffer, virtioNetPci } from "../src/pci.ts";
import { frame, mac, own } from "./support/net-driver.ts";

const name = "virtio-net";
const states = 6;
const sources = new URL("../src/", import.meta.url);
const config = ({ net }: { readonly net: VirtioNetModel }) => net.configBytes();

const drive =
  (pairs: number) =>
  ({ ask, random, offer: { net } }: ConformanceGuest<{ readonly net: VirtioNetModel }>): void => {
    const command = (kind: number, what: number, ...data: number[]) =>
      ask(2 * pairs, [Uint8Array.of(kind, what), Uint8Array.from(data)], [1]);
    command(controlClass.RX, random.pick(Object.values(rxCommand)), random.int(2));
    command(controlClass.VLAN, vlanCommand.ADD, random.int(256), random.int(16));
    command(controlClass.MAC, macCommand.TABLE_SET, 1, 0, 0, 0, ...random.bytes(6), 0, 0, 0, 0);
    if (pairs > 1) command(controlClass.MQ, 0, 1 + random.int(pairs), 0);
    for (let frames = 1 + random.int(3); frames > 0; frames--) {
      ask(1, [new Uint8Array(12), frame(own, frames)], [], random.bool());
      ask(0, [], [1526], random.bool());
      net.receive(frame(own, 100 + frames));
    }
    net.setLink(random.bool());
  };

/** What this device does not do for its guest, no state may ask for. */
const state =
  ({ vnetHdr = false, queuePairs = 1 }: Partial<VirtioNetOptions>) =>
  (of: VirtioState<unknown, unknown, unknown, VirtioNetState, unknown>) => {
    const { rss, mergeable_rx_bufs, curr_guest_offloads } = of.device;
    const entries = 2 ** (rss.indirections_len % 8);
    const table = Uint16Array.from({ length: entries }, (_, i) => (rss.indirections_table[i] ?? i) % queuePairs);
    const scaled = { default_queue: rss.default_queue % queuePairs, populate_hash: false };
    const device = {
      ...of.device,
      mergeable_rx_bufs: mergeable_rx_bufs & 1,
      has_vnet_hdr: vnetHdr ? 1 : 0,
      has_ufo: vnetHdr ? 1 : 0,
      curr_guest_offloads: vnetHdr ? curr_guest_offloads & guestOffloads : 0n,
      rss: vnetHdr && rss.enabled ? { ...rss, ...scaled, indirections_len: entries, indirections_table: table } : noRss,
      backend: { chunks: [] },
    };
    return { ...of, device };
  };

const noRss: VirtioNetState["rss"] = {
  enabled: false,
  redirect: false,
  populate_hash: false,
  hash_types: 0,
  supported_hash_types: 0,
  indirections_len: 0,
  default_queue: 0,
  key: new Uint8Array(40),
  indirections_table: new Uint16Array(0),
};

describe("over PCI, split rings, two queue pairs", () => {
  const options = { queuePairs: 2, vnetHdr: true, rss: true, mac: Uint8Array.from(mac(own)), send: () => {} };
  const plugin = pciConformance<VirtioNetPciOffer>({
    ...{ name, config, drive: drive(2), state: state(options) },
    plugin: (to) => virtioNetPci({ ...to, ...options }),
  });
  describePlugin({ ...plugin, goldens: new URL("../goldens/pci-two-pairs/", import.meta.url), sources, states });
});

describe("over channel I/O, packed rings", () => {
  const ringFeatures = feature.RING_PACKED | feature.RING_EVENT_IDX;
  const plugin = ccwConformance<VirtioNetCcwOffer>({
    ...{ name, config, drive: drive(1), state: state({}) },
    packed: true,
    plugin: (to) => virtioNetCcw({ ...to, ringFeatures, mac: own, send: () => {} }),
  });
  describePlugin({ ...plugin, goldens: new URL("../goldens/ccw-packed/", import.meta.url), sources, states });
});

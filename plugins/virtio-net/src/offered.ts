// Which features a network device offers, by its options.
import { netFeature } from "./constants.ts";
import type { VirtioNetOptions } from "./options.ts";
import { guestOffloads } from "./packet-header.ts";

const control = netFeature.CTRL_VQ | netFeature.CTRL_RX | netFeature.CTRL_RX_EXTRA | netFeature.CTRL_VLAN;
const hostOffloads = netFeature.CSUM | netFeature.HOST_TSO4 | netFeature.HOST_TSO6 | netFeature.HOST_ECN;

export function offeredFeatures(options: VirtioNetOptions): bigint {
  const { controlQueue = true, mergedBuffers = true, announce = true, vnetHdr = false, queuePairs = 1 } = options;
  let bits = netFeature.MAC | netFeature.STATUS;
  if (mergedBuffers) bits |= netFeature.MRG_RXBUF;
  if (options.mtu !== undefined) bits |= netFeature.MTU;
  if (vnetHdr) bits |= offloads(options.ufo ?? true);
  if (!controlQueue) return bits;
  // Without packet headers there is nothing to choose, but QEMU offers the choice all the same.
  bits |= control | netFeature.CTRL_MAC_ADDR | netFeature.CTRL_GUEST_OFFLOADS;
  if (announce) bits |= netFeature.GUEST_ANNOUNCE;
  if (queuePairs > 1) bits |= netFeature.MQ;
  if (options.rss ?? false) bits |= netFeature.RSS;
  return bits;
}

function offloads(ufo: boolean): bigint {
  if (ufo) return hostOffloads | netFeature.HOST_UFO | guestOffloads;
  return hostOffloads | (guestOffloads & ~netFeature.GUEST_UFO);
}

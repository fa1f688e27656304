// What a source did for its guest, and this device could not go on with.
import { MigrationError } from "@godwit/core";
import type { VirtioNetState } from "./device-state.ts";
import type { VirtioNetOptions } from "./options.ts";
import { guestOffloads } from "./packet-header.ts";

/** `DEVICE_CHECK` at the field that needs more than there is here. */
export function refuseForeign(options: VirtioNetOptions, state: VirtioNetState): undefined {
  const { vnetHdr = false, ufo = true, rss = false, queuePairs = 1 } = options;
  const refuse = (path: string, detail: string, expected: string, found: string): never => {
    throw new MigrationError("DEVICE_CHECK", detail, { path: `device.${path}`, expected, found });
  };
  if (state.has_vnet_hdr !== 0 && !vnetHdr) {
    const detail = "the guest's back end took packet headers, this one takes frames";
    refuse("has_vnet_hdr", detail, "0", String(state.has_vnet_hdr));
  }
  if (state.has_ufo !== 0 && !(vnetHdr && ufo)) {
    refuse("has_ufo", "the guest's back end fragmented UDP", "0", String(state.has_ufo));
  }
  if ((state.curr_guest_offloads & ~(vnetHdr ? guestOffloads : 0n)) !== 0n) {
    const found = `0x${state.curr_guest_offloads.toString(16)}`;
    refuse("curr_guest_offloads", "the guest has enabled offloads that are not offered here", "those offered", found);
  }
  if (state.rss.enabled) {
    if (!rss) refuse("rss.enabled", "receive-side scaling is not offered here", "false", "true");
    refuseRss(state.rss, queuePairs, refuse);
  }
  if (state.backend.chunks.length > 0) {
    const found = `${state.backend.chunks.length} chunks`;
    refuse("backend.chunks", "the state of a vhost-user back end needs one here", "none", found);
  }
  return undefined;
}

function refuseRss(
  { populate_hash, indirections_len, indirections_table, default_queue }: VirtioNetState["rss"],
  queuePairs: number,
  refuse: (path: string, detail: string, expected: string, found: string) => never,
): void {
  if (populate_hash) refuse("rss.populate_hash", "hashes are not reported here", "false", "true");
  if (indirections_len === 0 || (indirections_len & (indirections_len - 1)) !== 0) {
    refuse("rss.indirections_len", "a mask cannot pick from such a table", "a power of two", String(indirections_len));
  }
  for (const queue of [default_queue, ...indirections_table]) {
    if (queue < queuePairs) continue;
    const detail = "receive-side scaling leads to a queue pair that is not here";
    refuse("rss.indirections_table", detail, `below ${queuePairs}`, String(queue));
  }
}

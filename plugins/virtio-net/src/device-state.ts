// What virtio-net adds to the common state of a virtio device: QEMU's class description "virtio-net-device" v11, for
// any number of queue pairs and for both generations of receive-side scaling (wire reference 13.7).
import {
  array,
  bool,
  buffer,
  type Description,
  equal,
  named,
  range,
  type Scope,
  type StateOf,
  since,
  subsection,
  u8,
  u16,
  u32,
  u64,
  varray,
  vbuffer,
  vmstate,
  when,
} from "@godwit/core";
import type { VirtioDialect } from "@godwit/virtio-core";
import { backendField } from "./backend-field.ts";
import { macBytes, macTableEntries, netFeature, rssKeyBytes, vlanBytes } from "./constants.ts";

/** What decides about virtio-net's part of the section, and is not in it. Plain data. */
export interface VirtioNetDeviceParameters {
  /** Queue pairs that the device has, whatever the driver uses of them. */
  readonly queuePairs: number;
  readonly dialect: VirtioDialect;
}

// A driver's own limit; QEMU keeps 64 and skips the rest, so no table in use is anywhere near.
const maxMacTableBytes = 1024 * 1024;

/** Receive-side scaling. v1 (7.2) had no `supported_hash_types`. */
function rss(dialect: VirtioDialect) {
  return subsection({
    name: "virtio-net-device/rss",
    version: dialect === "7.2" ? 1 : 2,
    minimumVersion: 1,
    fields: {
      enabled: bool,
      redirect: bool,
      populate_hash: bool,
      hash_types: u32,
      supported_hash_types: since(2, u32, { absent: 0 }),
      indirections_len: u16,
      default_queue: u16,
      key: buffer(rssKeyBytes),
      indirections_table: varray("indirections_len", u16),
    },
    needed: (own) => own.enabled,
    absent: {
      enabled: false,
      redirect: false,
      populate_hash: false,
      hash_types: 0,
      supported_hash_types: 0,
      indirections_len: 0,
      default_queue: 0,
      key: new Uint8Array(rssKeyBytes),
      indirections_table: new Uint16Array(0),
    },
  });
}

/** The state of a vhost-user back end that migrates its own, as opaque chunks (version 0; wire reference 13.10). */
const backend = subsection({
  name: "virtio-net-device/backend",
  version: 0,
  fields: { chunks: backendField },
  needed: (own) => own.chunks.length > 0,
  absent: { chunks: [] },
});

function offloadsNegotiated(_: unknown, scope: Scope): boolean {
  const features: unknown = scope.parent?.record["guest_features"];
  return typeof features === "number" && (BigInt(features) & netFeature.CTRL_GUEST_OFFLOADS) !== 0n;
}

/** One element less than queue pairs in use: the first pair's stands at the beginning. */
function furtherPairs(record: Readonly<Record<string, unknown>>): number {
  const pairs = record["curr_queue_pairs"];
  return typeof pairs === "number" ? pairs - 1 : 0;
}

interface MacTable {
  mac_table_in_use: number;
  mac_table_macs: Uint8Array;
  mac_table_multi_overflow: number;
  mac_table_uni_overflow: number;
}

// A filter that lost addresses must let everything pass, or the guest misses what it asked for.
function clampMacTable<S extends MacTable>(state: S): S {
  if (state.mac_table_in_use <= macTableEntries) return state;
  return {
    ...state,
    mac_table_in_use: 0,
    mac_table_macs: new Uint8Array(0),
    mac_table_multi_overflow: 1,
    mac_table_uni_overflow: 1,
  };
}

/**
 * The class description. Its fields look at `guest_features` of the record around it. A MAC table of more than 64
 * entries stays whole in the wire record; the state has an empty one and both overflow flags, as QEMU loads it.
 */
export function virtioNetDevice({ queuePairs, dialect }: VirtioNetDeviceParameters) {
  const multiqueue = queuePairs > 1;
  return vmstate({
    name: "virtio-net-device",
    version: 11,
    minimumVersion: 11,
    fields: {
      mac: buffer(macBytes),
      tx_waiting: named("vqs[0].tx_waiting", u32),
      mergeable_rx_bufs: u32,
      status: u16,
      promisc: u8,
      allmulti: u8,
      mac_table_in_use: named("mac_table.in_use", u32),
      mac_table_macs: named(
        "mac_table.macs",
        vbuffer((record) => record["mac_table_in_use"] * macBytes, { max: maxMacTableBytes }),
      ),
      /** Bit `vid & 7` of byte `vid >> 3`: the u32 words that QEMU writes raw, as a little-endian host has them. */
      vlans: buffer(vlanBytes),
      has_vnet_hdr: u32,
      mac_table_multi_overflow: named("mac_table.multi_overflow", u8),
      mac_table_uni_overflow: named("mac_table.uni_overflow", u8),
      alluni: u8,
      nomulti: u8,
      nouni: u8,
      nobcast: u8,
      has_ufo: u8,
      max_queue_pairs: when(() => multiqueue, equal(u16, queuePairs), { absent: 1 }),
      curr_queue_pairs: when(() => multiqueue, range(u16, 1, queuePairs), { absent: 1 }),
      more_tx_waiting: named("vqs[1..].tx_waiting", array(u32, furtherPairs)),
      curr_guest_offloads: when(offloadsNegotiated, u64, { absent: 0n }),
    },
    subsections: { rss: rss(dialect), backend },
    postLoad: clampMacTable,
  });
}

/** The state of virtio-net beside the common part of a virtio device. */
export type VirtioNetState = StateOf<ReturnType<typeof virtioNetDevice>>;
export type VirtioNetDescription = Description<VirtioNetState>;

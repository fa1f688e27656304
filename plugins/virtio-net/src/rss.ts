// Receive-side scaling (virtio 1.2, section 5.1.6.5.6): a hash of a packet's addresses picks the receive queue.
import { rssHashTypes, rssKeyBytes, rssTableEntries } from "./constants.ts";
import type { VirtioNetState } from "./device-state.ts";

export type RssState = VirtioNetState["rss"];

export function noRss(): RssState {
  return {
    enabled: false,
    redirect: false,
    populate_hash: false,
    hash_types: 0,
    supported_hash_types: 0,
    indirections_len: 0,
    default_queue: 0,
    key: new Uint8Array(rssKeyBytes),
    indirections_table: new Uint16Array(0),
  };
}

export interface RssCommand {
  readonly rss: RssState;
  /** Transmit queues that the driver will use. */
  readonly pairs: number;
}

/** le32 hash types, le16 table mask, le16 default queue, the table, le16 transmit queues, u8 key length, key. */
export function parseRss(data: Uint8Array, littleEndian: boolean): RssCommand | undefined {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const u16 = (offset: number) => view.getUint16(offset, littleEndian);
  if (data.length < 8) return undefined;
  const entries = u16(4) + 1;
  const end = 8 + 2 * entries;
  if (entries > rssTableEntries || (entries & (entries - 1)) !== 0 || data.length < end + 3) return undefined;
  const keyLength = data[end + 2] as number;
  if (keyLength > rssKeyBytes || data.length !== end + 3 + keyLength) return undefined;
  const key = new Uint8Array(rssKeyBytes);
  key.set(data.subarray(end + 3));
  return {
    pairs: u16(end),
    rss: {
      enabled: true,
      redirect: true,
      populate_hash: false,
      hash_types: view.getUint32(0, littleEndian) & rssHashTypes,
      supported_hash_types: rssHashTypes,
      indirections_len: entries,
      default_queue: u16(6),
      key,
      indirections_table: Uint16Array.from({ length: entries }, (_, i) => u16(8 + 2 * i)),
    },
  };
}

/** Index of the receive queue pair. */
export function scaledPair(rss: RssState, frame: Uint8Array): number {
  const input = hashInput(rss.hash_types, frame);
  if (input === undefined) return rss.default_queue;
  return rss.indirections_table[toeplitz(rss.key, input) & (rss.indirections_len - 1)] ?? rss.default_queue;
}

/** The Toeplitz hash: for each bit that is set, the 32 bits of the key that begin there. */
function toeplitz(key: Uint8Array, input: Uint8Array): number {
  const bit = (i: number): number => (((key[i >> 3] ?? 0) >> (7 - (i & 7))) & 1) >>> 0;
  let window = 0;
  for (let i = 0; i < 32; i++) window = ((window << 1) | bit(i)) >>> 0;
  let hash = 0;
  for (let i = 0; i < 8 * input.length; i++) {
    if ((((input[i >> 3] as number) >> (7 - (i & 7))) & 1) !== 0) hash = (hash ^ window) >>> 0;
    window = ((window << 1) | bit(i + 32)) >>> 0;
  }
  return hash;
}

const etherType = { at: 12, ipv4: 0x0800, ipv6: 0x86dd } as const;
const protocol = { tcp: 6, udp: 17 } as const;
/** Hash types: addresses alone, with TCP ports, with UDP ports; those of IPv6 also as "extended". */
const type = { ip4: 1, tcp4: 2, udp4: 4, ip6: 8 | 0x40, tcp6: 0x10 | 0x80, udp6: 0x20 | 0x100 } as const;

/** Addresses, and ports where their kind is hashed. Extension headers of IPv6 are not looked into. */
function hashInput(types: number, frame: Uint8Array): Uint8Array | undefined {
  const kind = ((frame[etherType.at] ?? 0) << 8) | (frame[etherType.at + 1] ?? 0);
  const ip = frame.subarray(etherType.at + 2);
  if (kind === etherType.ipv4 && ip.length >= 20) {
    const fragment = (((ip[6] as number) & 0x3f) | (ip[7] as number)) !== 0;
    const ports = ip.subarray(4 * ((ip[0] as number) & 0x0f));
    return chosen(
      types,
      { ip: type.ip4, tcp: type.tcp4, udp: type.udp4 },
      ip.subarray(12, 20),
      fragment ? -1 : (ip[9] as number),
      ports,
    );
  }
  if (kind === etherType.ipv6 && ip.length >= 40) {
    return chosen(
      types,
      { ip: type.ip6, tcp: type.tcp6, udp: type.udp6 },
      ip.subarray(8, 40),
      ip[6] as number,
      ip.subarray(40),
    );
  }
  return undefined;
}

function chosen(
  types: number,
  bits: { readonly ip: number; readonly tcp: number; readonly udp: number },
  addresses: Uint8Array,
  carried: number,
  ports: Uint8Array,
): Uint8Array | undefined {
  const withPorts = carried === protocol.tcp ? bits.tcp : carried === protocol.udp ? bits.udp : 0;
  if ((types & withPorts) !== 0 && ports.length >= 4) return Uint8Array.of(...addresses, ...ports.subarray(0, 4));
  return (types & bits.ip) === 0 ? undefined : addresses;
}

// Which frames a driver wants: its address, receive modes, MAC table and VLAN ids (virtio 1.2, section 5.1.6.5).
import { macBytes, macTableEntries, vlanBytes } from "./constants.ts";
import { isBroadcast, isMulticast, sameMac } from "./mac.ts";

/** Named as in the class description, so that the device's state is a copy of it. Flags are 0 or 1. */
export interface ReceiveFilter {
  mac: Uint8Array;
  promisc: number;
  allmulti: number;
  alluni: number;
  nomulti: number;
  nouni: number;
  nobcast: number;
  /** Entries of `mac_table_macs`, unicast ones first. */
  mac_table_in_use: number;
  mac_table_macs: Uint8Array;
  mac_table_multi_overflow: number;
  mac_table_uni_overflow: number;
  vlans: Uint8Array;
}

/** After a reset: everything passes, as for a driver that knows of no filter. */
export function openFilter(mac: Uint8Array): ReceiveFilter {
  return {
    mac: mac.slice(),
    promisc: 1,
    allmulti: 0,
    alluni: 0,
    nomulti: 0,
    nouni: 0,
    nobcast: 0,
    mac_table_in_use: 0,
    mac_table_macs: new Uint8Array(0),
    mac_table_multi_overflow: 0,
    mac_table_uni_overflow: 0,
    vlans: new Uint8Array(vlanBytes).fill(0xff),
  };
}

const etherTypeAt = 12;
const vlanEtherType = 0x8100;

/** Whether the driver wants the frame. It begins with the destination's address. */
export function wants(filter: ReceiveFilter, frame: Uint8Array): boolean {
  if (filter.promisc) return true;
  if (frame.length >= etherTypeAt + 4 && word(frame, etherTypeAt) === vlanEtherType) {
    if (!hasVlan(filter, word(frame, etherTypeAt + 2) & 0xfff)) return false;
  }
  if (!isMulticast(frame)) {
    if (filter.nouni) return false;
    return (
      filter.alluni !== 0 ||
      filter.mac_table_uni_overflow !== 0 ||
      sameMac(frame, 0, filter.mac, 0) ||
      inTable(filter, frame)
    );
  }
  if (isBroadcast(frame)) return !filter.nobcast;
  if (filter.nomulti) return false;
  return filter.allmulti !== 0 || filter.mac_table_multi_overflow !== 0 || inTable(filter, frame);
}

function word(frame: Uint8Array, at: number): number {
  return ((frame[at] as number) << 8) | (frame[at + 1] as number);
}

function inTable(filter: ReceiveFilter, frame: Uint8Array): boolean {
  for (let i = 0; i < filter.mac_table_in_use; i++) {
    if (sameMac(frame, 0, filter.mac_table_macs, i * macBytes)) return true;
  }
  return false;
}

function hasVlan(filter: ReceiveFilter, vid: number): boolean {
  return (((filter.vlans[vid >> 3] as number) >> (vid & 7)) & 1) === 1;
}

export function setVlan(filter: ReceiveFilter, vid: number, on: boolean): void {
  const bit = 1 << (vid & 7);
  filter.vlans[vid >> 3] = on ? (filter.vlans[vid >> 3] as number) | bit : (filter.vlans[vid >> 3] as number) & ~bit;
}

/** Replaces the MAC table. A list that does not fit is left out whole, and its overflow flag lets all its kind pass. */
export function setMacTable(filter: ReceiveFilter, unicast: Uint8Array, multicast: Uint8Array): void {
  const room = macTableEntries * macBytes;
  const uni = unicast.length <= room ? unicast : new Uint8Array(0);
  const multi = uni.length + multicast.length <= room ? multicast : new Uint8Array(0);
  filter.mac_table_uni_overflow = uni.length === unicast.length ? 0 : 1;
  filter.mac_table_multi_overflow = multi.length === multicast.length ? 0 : 1;
  const macs = new Uint8Array(uni.length + multi.length);
  macs.set(uni);
  macs.set(multi, uni.length);
  filter.mac_table_macs = macs;
  filter.mac_table_in_use = macs.length / macBytes;
}

// The control queue: one command a chain, answered with one byte (virtio 1.2, section 5.1.6.5).
import {
  announceCommand,
  controlAck,
  controlClass,
  macBytes,
  macCommand,
  mqCommand,
  offloadsCommand,
  rxCommand,
  vlanCommand,
  vlanIds,
} from "./constants.ts";
import { type ReceiveFilter, setMacTable, setVlan } from "./receive-filter.ts";
import { parseRss, type RssCommand } from "./rss.ts";

/** What commands act on. */
export interface ControlTarget {
  readonly filter: ReceiveFilter;
  /** Byte order of numbers in commands. */
  readonly littleEndian: boolean;
  /** False: so many queue pairs cannot be used. */
  setQueuePairs(pairs: number): boolean;
  /** False: receive-side scaling cannot be set so. */
  setRss(command: RssCommand): boolean;
  /** The driver has announced itself. False: nobody asked it to. */
  announced(): boolean;
  /** False: not all of these are offered. */
  setOffloads(offloads: bigint): boolean;
}

/** The longest command: two lists of 64 addresses would do; drivers may send more, which then overflow the table. */
export const maxControlBytes = 64 * 1024;

const rxFlags = {
  [rxCommand.PROMISC]: "promisc",
  [rxCommand.ALLMULTI]: "allmulti",
  [rxCommand.ALLUNI]: "alluni",
  [rxCommand.NOMULTI]: "nomulti",
  [rxCommand.NOUNI]: "nouni",
  [rxCommand.NOBCAST]: "nobcast",
} as const;

/** Carries out one command (class, command, data) and gives the answer. A refused command changes nothing. */
export function control(target: ControlTarget, message: Uint8Array): number {
  const [kind, command] = message;
  if (kind === undefined || command === undefined) return controlAck.ERR;
  return run(target, kind, command, message.subarray(2)) ? controlAck.OK : controlAck.ERR;
}

function run(target: ControlTarget, kind: number, command: number, data: Uint8Array): boolean {
  const { filter } = target;
  switch (kind) {
    case controlClass.RX: {
      const flag = (rxFlags as Record<number, (typeof rxFlags)[keyof typeof rxFlags]>)[command];
      if (flag === undefined || data.length !== 1) return false;
      filter[flag] = data[0] === 0 ? 0 : 1;
      return true;
    }
    case controlClass.MAC:
      return mac(target, command, data);
    case controlClass.VLAN: {
      if (data.length !== 2 || (command !== vlanCommand.ADD && command !== vlanCommand.DEL)) return false;
      const vid = number(target, data, 0, 2);
      if (vid >= vlanIds) return false;
      setVlan(filter, vid, command === vlanCommand.ADD);
      return true;
    }
    case controlClass.ANNOUNCE:
      return command === announceCommand.ACK && data.length === 0 && target.announced();
    case controlClass.MQ:
      return queues(target, command, data);
    case controlClass.GUEST_OFFLOADS:
      return command === offloadsCommand.SET && data.length === 8 && target.setOffloads(wide(target, data));
    default:
      return false;
  }
}

function queues(target: ControlTarget, command: number, data: Uint8Array): boolean {
  if (command === mqCommand.VQ_PAIRS_SET) return data.length === 2 && target.setQueuePairs(number(target, data, 0, 2));
  if (command !== mqCommand.RSS_CONFIG) return false;
  const rss = parseRss(data, target.littleEndian);
  return rss !== undefined && target.setRss(rss);
}

function mac(target: ControlTarget, command: number, data: Uint8Array): boolean {
  const { filter } = target;
  if (command === macCommand.ADDR_SET) {
    if (data.length !== macBytes) return false;
    filter.mac = data.slice();
    return true;
  }
  if (command !== macCommand.TABLE_SET) return false;
  const unicast = macList(target, data, 0);
  if (unicast === undefined) return false;
  const multicast = macList(target, data, unicast.end);
  if (multicast === undefined || multicast.end !== data.length) return false;
  setMacTable(filter, unicast.macs, multicast.macs);
  return true;
}

/** A count of 32 bits, then addresses. */
function macList(target: ControlTarget, data: Uint8Array, at: number): { macs: Uint8Array; end: number } | undefined {
  if (data.length < at + 4) return undefined;
  const end = at + 4 + number(target, data, at, 4) * macBytes;
  return end > data.length ? undefined : { macs: data.slice(at + 4, end), end };
}

function number({ littleEndian }: ControlTarget, data: Uint8Array, at: number, bytes: 2 | 4): number {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return bytes === 2 ? view.getUint16(at, littleEndian) : view.getUint32(at, littleEndian);
}

function wide({ littleEndian }: ControlTarget, data: Uint8Array): bigint {
  return new DataView(data.buffer, data.byteOffset, data.byteLength).getBigUint64(0, littleEndian);
}

// The control queue: one command a chain, answered with one byte (virtio 1.2, section 5.1.6.5).
import {
  controlAck,
  controlClass,
  macBytes,
  macCommand,
  mqCommand,
  rxCommand,
  vlanCommand,
  vlanIds,
} from "./constants.ts";
import { type ReceiveFilter, setMacTable, setVlan } from "./receive-filter.ts";

/** What commands act on. */
export interface ControlTarget {
  readonly filter: ReceiveFilter;
  /** False: so many queue pairs cannot be used. */
  setQueuePairs(pairs: number): boolean;
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
      return mac(filter, command, data);
    case controlClass.VLAN: {
      if (data.length !== 2 || (command !== vlanCommand.ADD && command !== vlanCommand.DEL)) return false;
      const vid = le16(data, 0);
      if (vid >= vlanIds) return false;
      setVlan(filter, vid, command === vlanCommand.ADD);
      return true;
    }
    case controlClass.MQ:
      return command === mqCommand.VQ_PAIRS_SET && data.length === 2 && target.setQueuePairs(le16(data, 0));
    default:
      return false;
  }
}

function mac(filter: ReceiveFilter, command: number, data: Uint8Array): boolean {
  if (command === macCommand.ADDR_SET) {
    if (data.length !== macBytes) return false;
    filter.mac = data.slice();
    return true;
  }
  if (command !== macCommand.TABLE_SET) return false;
  const unicast = macList(data, 0);
  if (unicast === undefined) return false;
  const multicast = macList(data, unicast.end);
  if (multicast === undefined || multicast.end !== data.length) return false;
  setMacTable(filter, unicast.macs, multicast.macs);
  return true;
}

/** le32 count, then addresses. */
function macList(data: Uint8Array, at: number): { macs: Uint8Array; end: number } | undefined {
  if (data.length < at + 4) return undefined;
  const end = at + 4 + (le16(data, at) + le16(data, at + 2) * 0x1_0000) * macBytes;
  return end > data.length ? undefined : { macs: data.slice(at + 4, end), end };
}

function le16(data: Uint8Array, at: number): number {
  return (data[at] as number) | ((data[at + 1] as number) << 8);
}

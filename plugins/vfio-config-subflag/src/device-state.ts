// The device states of the VFIO v2 migration protocol and the way from one to another. Source: the kernel's public
// interface as of wire reference 15.5.
import { vfioError } from "./codes.ts";

/** The numbers of the kernel's interface. */
export const deviceState = {
  ERROR: 0,
  STOP: 1,
  RUNNING: 2,
  STOP_COPY: 3,
  RESUMING: 4,
  RUNNING_P2P: 5,
  PRE_COPY: 6,
  PRE_COPY_P2P: 7,
} as const;
export type DeviceState = keyof typeof deviceState;

/** What a driver can do. STOP_COPY all can. */
export interface DriverFeatures {
  /** States in which a device takes peer-to-peer accesses and starts none. */
  readonly p2p: boolean;
  /** State can be read while the device runs. */
  readonly preCopy: boolean;
}

/** The arcs that a driver implements; longer ways are made of them. */
export function arcs({ p2p, preCopy }: DriverFeatures): readonly (readonly [DeviceState, DeviceState])[] {
  const bothWays = (a: DeviceState, b: DeviceState): [DeviceState, DeviceState][] => [
    [a, b],
    [b, a],
  ];
  return [
    ...(p2p
      ? [...bothWays("RUNNING", "RUNNING_P2P"), ...bothWays("RUNNING_P2P", "STOP")]
      : bothWays("RUNNING", "STOP")),
    ...bothWays("STOP", "STOP_COPY"),
    ...bothWays("STOP", "RESUMING"),
    ...(preCopy ? [...bothWays("RUNNING", "PRE_COPY"), ["PRE_COPY", "STOP_COPY"] as const] : []),
    ...(preCopy && p2p ? [...bothWays("PRE_COPY", "PRE_COPY_P2P"), ["PRE_COPY_P2P", "STOP_COPY"] as const] : []),
  ];
}

/**
 * The states on the shortest way, the last one included. None leads through STOP_COPY or RESUMING, nor through PRE_COPY
 * to STOP_COPY: that would open a transfer that nobody asked for. `VFIO_STATE` where there is no way; ERROR is left by a
 * reset alone.
 */
export function wayTo(from: DeviceState, to: DeviceState, features: DriverFeatures): readonly DeviceState[] {
  const all = arcs(features);
  const cameFrom = new Map<DeviceState, DeviceState | undefined>([[from, undefined]]);
  for (const at of cameFrom.keys()) {
    if (at !== from && (at === "STOP_COPY" || at === "RESUMING")) continue;
    for (const [a, b] of all) {
      if (a !== at || cameFrom.has(b) || (a !== from && a !== "STOP" && b === "STOP_COPY")) continue;
      cameFrom.set(b, a);
    }
  }
  if (!cameFrom.has(to)) {
    throw vfioError("VFIO_STATE", "the device cannot go to this state", { expected: `a way to ${to}`, found: from });
  }
  const way: DeviceState[] = [];
  for (let at: DeviceState | undefined = to; at !== undefined && at !== from; at = cameFrom.get(at)) way.unshift(at);
  return way;
}

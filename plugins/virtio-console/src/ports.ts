// What the device keeps of each port, and how that travels.
import { MigrationError } from "@godwit/core";
import type { ConsoleSize } from "./configuration.ts";
import { mostPorts } from "./constants.ts";
import type { Taken } from "./output.ts";
import type { SerialPortOptions } from "./port.ts";
import { mapWords, noElement, type SerialPortState } from "./serial-state.ts";

export interface PortRecord {
  readonly init: SerialPortOptions;
  guestConnected: boolean;
  /** What `init.guestConnected` was last told. */
  reported: boolean;
  hostConnected: boolean;
  /** What the guest was last told of `hostConnected`. */
  told: boolean;
  /** The guest has said that it has the port, and hears of it. */
  ready: boolean;
  /** The host's end was full, and has not said otherwise. */
  blocked: boolean;
  taken: Taken | undefined;
  size: ConsoleSize | undefined;
  sizeTold: boolean;
}

export function portRecord(init: SerialPortOptions): PortRecord {
  return {
    init,
    guestConnected: false,
    reported: false,
    hostConnected: init.open ?? true,
    told: false,
    ready: false,
    blocked: false,
    taken: undefined,
    size: init.size,
    sizeTold: false,
  };
}

/** As a driver that has just begun finds it. What is the host's stays. */
export function forgetGuest(port: PortRecord): void {
  port.guestConnected = false;
  port.told = false;
  port.ready = false;
  port.blocked = false;
  port.taken = undefined;
  port.sizeTold = false;
}

export function savePort({ init, guestConnected, hostConnected, told, ready, taken }: PortRecord): SerialPortState {
  return {
    id: init.id,
    guest_connected: guestConnected ? 1 : 0,
    // Where the guest hears of it, what it has heard: the rest is told where the machine runs on.
    host_connected: (ready ? told : hostConnected) ? 1 : 0,
    elem_popped: taken === undefined ? 0 : 1,
    iov_idx: taken?.segment ?? 0,
    iov_offset: taken?.offset ?? 0,
    element: taken?.element ?? noElement,
  };
}

/** `hears`: the driver is at work, and knows of several ports. */
export function loadPort(port: PortRecord, state: SerialPortState, hears: boolean): void {
  port.guestConnected = state.guest_connected !== 0;
  port.told = state.host_connected !== 0;
  port.ready = hears;
  if (state.elem_popped === 0) return;
  port.taken = { element: state.element, segment: state.iov_idx, offset: state.iov_offset };
}

/** QEMU keeps place 0 for a console, whether there is one or not. */
export function portsMap(ports: readonly PortRecord[], maxPorts: number): Uint32Array {
  const map = new Uint32Array(mapWords(maxPorts));
  for (const id of [0, ...ports.map(({ init }) => init.id)])
    map[id >>> 5] = ((map[id >>> 5] as number) | (1 << (id & 31))) >>> 0;
  return map;
}

/** `DEFINITION_INVALID`. */
export function checkOptions(ports: readonly SerialPortOptions[], maxPorts: number): void {
  const refused = (what: string, expected: string, found: unknown): MigrationError =>
    new MigrationError("DEFINITION_INVALID", `virtio-console's ${what} cannot be`, { expected, found: String(found) });
  if (!Number.isInteger(maxPorts) || maxPorts < 1 || maxPorts > mostPorts) {
    throw refused("maxPorts", `1 to ${mostPorts}`, maxPorts);
  }
  const seen = new Set<number>();
  for (const { id, name = "" } of ports) {
    if (!Number.isInteger(id) || id < 0 || id >= maxPorts) throw refused("port id", `0 to ${maxPorts - 1}`, id);
    if (seen.has(id)) throw refused("port id", "each once", id);
    seen.add(id);
    if (!/^[\x20-\x7e]*$/.test(name)) throw refused("port name", "ASCII characters", name);
  }
}

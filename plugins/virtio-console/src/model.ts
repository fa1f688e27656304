// virtioConsole(): a console and serial ports over any back ends. Output that is half taken is part of its state.
import { MigrationError } from "@godwit/core";
import {
  feature,
  maxChain,
  type NoData,
  noData,
  segmentBytes,
  type VirtioDevice,
  type VirtioModel,
  type Virtqueue,
} from "@godwit/virtio-core";
import { checkPorts } from "./check.ts";
import {
  type ConsoleSize,
  configurationBytes,
  configurationWidths,
  emergencyCharacter,
  keptBytes,
  sizeOf,
} from "./configuration.ts";
import {
  consoleFeature,
  controlEvent,
  controlQueue,
  controlRingSize,
  portRingSize,
  receiveQueueOf,
  section,
} from "./constants.ts";
import { type ControlMessage, message } from "./control.ts";
import { controlChannel } from "./control-channel.ts";
import { writeOut } from "./output.ts";
import type { SerialPort, SerialPortOptions } from "./port.ts";
import { checkOptions, forgetGuest, loadPort, type PortRecord, portRecord, portsMap, savePort } from "./ports.ts";
import { serialState, type VirtioSerialState } from "./serial-state.ts";

export interface VirtioConsoleOptions {
  /** In the order in which they travel. */
  readonly ports: readonly SerialPortOptions[];
  /** Ports that there is room for; the default is 31. With 1, MULTIPORT is not offered. */
  readonly maxPorts?: number;
  /** Entries of a port's ring; the default is 128. */
  readonly queueSize?: number;
  /** Packed rings are offered, as the transport is told; what half-taken output is on the wire depends on it. */
  readonly packed?: boolean;
  /** Takes a character that the guest writes without a queue, as when it dies. With it, EMERG_WRITE is offered. */
  readonly emergencyWrite?: (character: number) => void;
}

export interface VirtioConsoleModel extends VirtioModel<NoData, VirtioSerialState> {
  readonly ports: readonly SerialPort[];
  /** The driver has reset one queue: what was taken from it is no more. */
  resetQueue(index: number): void;
}

const noSize: ConsoleSize = { cols: 0, rows: 0 };

export function virtioConsole(options: VirtioConsoleOptions): VirtioConsoleModel {
  const { maxPorts = 31, queueSize = portRingSize, emergencyWrite } = options;
  checkOptions(options.ports, maxPorts);
  if (!Number.isInteger(Math.log2(queueSize)) || queueSize > maxChain) {
    throw new MigrationError("DEFINITION_INVALID", "virtio-console's queueSize cannot be", {
      expected: `a power of two up to ${maxChain}`,
      found: String(queueSize),
    });
  }
  const ports = options.ports.map(portRecord);
  const byId = new Map(ports.map((port) => [port.init.id, port]));
  const map = portsMap(ports, maxPorts);
  const first = byId.get(0);
  let device: VirtioDevice | undefined;
  /** Between `quiesce` or `load` and the machine's running on: memory may have been sent. */
  let holding = false;
  /** A state has come, and the machine has not run since. */
  let arrived: { readonly size: ConsoleSize } | undefined;
  const channel = controlChannel({ device: () => device, answer, tell });

  const several = (): boolean => device?.has(consoleFeature.MULTIPORT) ?? false;

  /** The port of a queue that is not for control. */
  function portOf(index: number): PortRecord | undefined {
    return byId.get(index < controlQueue.in ? 0 : (index >> 1) - 1);
  }

  function usable(index: number): Virtqueue | undefined {
    const queue = device?.queues[index];
    return !holding && device?.running && queue?.ready ? queue : undefined;
  }

  function output(port: PortRecord): void {
    const queue = usable(receiveQueueOf(port.init.id) + 1);
    if (queue === undefined || (port.blocked && port.hostConnected)) return;
    let done = false;
    for (;;) {
      const element = port.taken?.element ?? queue.pop();
      if (element === undefined) break;
      port.taken ??= { element, segment: 0, offset: 0 };
      if (port.hostConnected && !writeOut(queue, port.taken, (bytes) => port.init.write(bytes))) {
        port.blocked = true;
        break;
      }
      port.taken = undefined;
      queue.push(element, 0);
      done = true;
    }
    if (done) queue.notify();
  }

  function input(port: PortRecord, bytes: Uint8Array): number {
    const queue = usable(receiveQueueOf(port.init.id));
    if (queue === undefined || !port.guestConnected || !port.hostConnected) return 0;
    let done = 0;
    while (done < bytes.length) {
      const element = queue.pop();
      if (element === undefined) break;
      const written = queue.write(element, 0, bytes.subarray(done, done + segmentBytes(element.in)));
      queue.push(element, written);
      done += written;
    }
    if (done > 0) queue.notify();
    return done;
  }

  function setGuestConnected(port: PortRecord, connected: boolean): void {
    port.guestConnected = connected;
    report(port);
  }

  function report(port: PortRecord): void {
    if (port.reported === port.guestConnected) return;
    port.reported = port.guestConnected;
    port.init.guestConnected?.(port.guestConnected);
  }

  /** What a message of the guest does, and what it is answered with (virtio 1.2, section 5.3.6.2). */
  function answer({ port: id, event, value }: ControlMessage): ControlMessage[] {
    if (event === controlEvent.DEVICE_READY) {
      if (value !== 1) return [];
      return ports.map(({ init }) => message.add(init.id));
    }
    const port = byId.get(id);
    if (port === undefined) return [];
    if (event === controlEvent.PORT_OPEN) setGuestConnected(port, value !== 0);
    if (event !== controlEvent.PORT_READY || value !== 1) return [];
    port.ready = true;
    port.told = false;
    port.sizeTold = false;
    const { console: isConsole = false, name } = port.init;
    return [...(isConsole ? [message.console(id)] : []), ...(name === undefined ? [] : [message.name(id, name)])];
  }

  /** Ports whose other end, or whose terminal's size, is not what the guest knows. */
  function tell(send: (message: ControlMessage) => boolean): void {
    for (const port of ports) {
      const { init, hostConnected, size } = port;
      if (!port.ready) continue;
      if (port.told !== hostConnected) {
        if (!send(message.open(init.id, hostConnected))) return;
        port.told = hostConnected;
      }
      if (init.console === true && size !== undefined && !port.sizeTold) {
        if (!send(message.resize(init.id, size))) return;
        port.sizeTold = true;
      }
    }
  }

  function controlled(): void {
    if (!holding && several()) channel.pump();
  }

  /** As the driver has them in its memory: QEMU does not turn them round for a big-endian legacy one. */
  function geometry(): Pick<VirtioSerialState, "cols" | "rows" | "max_nr_ports"> {
    const view = new DataView(
      configurationBytes({ ...(first?.size ?? noSize), maxPorts, emergencyWrite: false }).buffer,
    );
    const turned = !(device?.littleEndian ?? true);
    return {
      cols: view.getUint16(0, !turned),
      rows: view.getUint16(2, !turned),
      max_nr_ports: view.getUint32(4, !turned),
    };
  }

  /** Output that came half taken is one of those that its ring says to be taken. */
  function plausible(of: VirtioDevice): boolean {
    for (const { init, taken } of ports) {
      if (taken === undefined) continue;
      const { ndescs = 1 } = taken.element;
      const slots = of.has(feature.RING_PACKED) ? ndescs : 1;
      if ((of.queues[receiveQueueOf(init.id) + 1]?.inuse ?? 0) >= slots) continue;
      if (!of.broken) of.fail(`virtio-console: half-taken output of port ${init.id}, whose ring has none taken`);
      return false;
    }
    return true;
  }

  const handles = ports.map(
    (port): SerialPort => ({
      id: port.init.id,
      get guestConnected() {
        return port.guestConnected;
      },
      get hostConnected() {
        return port.hostConnected;
      },
      drained() {
        port.blocked = false;
        output(port);
      },
      send: (bytes) => input(port, bytes),
      setOpen(open) {
        port.hostConnected = open;
        port.blocked = false;
        controlled();
        output(port);
      },
      setSize(size) {
        port.size = size;
        port.sizeTold = false;
        controlled();
        if (port === first && !holding && device?.has(consoleFeature.SIZE)) device?.configChanged();
      },
    }),
  );

  return {
    name: section.name,
    sectionVersion: section.version,
    minimumVersion: section.minimumVersion,
    deviceId: section.deviceId,
    description: noData,
    legacySave: serialState({ maxPorts, packed: options.packed ?? false }),
    features:
      (first?.init.size === undefined ? 0n : consoleFeature.SIZE) |
      (maxPorts > 1 ? consoleFeature.MULTIPORT : 0n) |
      (emergencyWrite === undefined ? 0n : consoleFeature.EMERG_WRITE),
    queueSizes: Array.from({ length: 2 * (maxPorts + 1) }, (_, index) =>
      index === controlQueue.in || index === controlQueue.out ? controlRingSize : queueSize,
    ),
    ports: handles,
    configWidths: configurationWidths,
    configKeptBytes: keptBytes,
    configBytes: () =>
      configurationBytes({ ...(first?.size ?? noSize), maxPorts, emergencyWrite: emergencyWrite !== undefined }),
    writeConfig(offset, bytes) {
      const character = emergencyCharacter(offset, bytes);
      if (character !== undefined) emergencyWrite?.(character);
    },
    attach(to) {
      device = to;
    },
    kick(_, index) {
      if (holding) return;
      if (index === controlQueue.in || index === controlQueue.out) {
        controlled();
        return;
      }
      const port = portOf(index);
      if (port === undefined) return;
      if (index % 2 === 1) output(port);
      else port.init.room?.();
    },
    resetQueue(index) {
      if (index === controlQueue.out) channel.forget();
      const port = index === controlQueue.out ? undefined : portOf(index);
      if (port === undefined || index % 2 === 0) return;
      port.taken = undefined;
      port.blocked = false;
    },
    statusChanged() {
      // Nothing tells of a driver with one port whether somebody listens.
      if (device?.running && !several() && first !== undefined) setGuestConnected(first, true);
    },
    reset() {
      channel.forget();
      for (const port of ports) {
        forgetGuest(port);
        report(port);
      }
    },
    save: () => ({}),
    saveLegacy: () => ({
      ...geometry(),
      ports_map: map,
      nr_active_ports: ports.length,
      ports: ports.map(savePort),
    }),
    check: (_, context) => checkPorts(context, map),
    load(_, { legacy, config }) {
      channel.forget();
      holding = true;
      arrived = { size: sizeOf(config) ?? noSize };
      for (const port of ports) forgetGuest(port);
      for (const state of legacy.ports) {
        const port = byId.get(state.id);
        if (port !== undefined) loadPort(port, state, several());
      }
    },
    takenElements: () => ports.flatMap(({ taken }) => (taken === undefined ? [] : [taken.element])),
    async quiesce() {
      holding = true;
      channel.release();
    },
    resumed() {
      holding = false;
      for (const port of ports) report(port);
      if (!device?.running) return;
      if (arrived !== undefined) {
        channel.rewind();
        const { cols, rows } = first?.size ?? noSize;
        const changed = cols !== arrived.size.cols || rows !== arrived.size.rows;
        arrived = undefined;
        if (!plausible(device)) return;
        if (changed && device.has(consoleFeature.SIZE)) device.configChanged();
      }
      for (const port of ports) {
        port.blocked = false;
        output(port);
      }
    },
  };
}

// virtioNet(): a network device. Frames go out as the driver sends them, and come in as the driver has room.
import { MigrationError } from "@godwit/core";
import {
  feature,
  maxChain,
  segmentBytes,
  type VirtioDevice,
  type VirtioDialect,
  type VirtioModel,
  type Virtqueue,
  type VirtqueueElement,
} from "@godwit/virtio-core";
import { configurationBytes } from "./configuration.ts";
import { linkUp, maxQueuePairs, netFeature, section } from "./constants.ts";
import { control, maxControlBytes } from "./control.ts";
import { type VirtioNetState, virtioNetDevice } from "./device-state.ts";
import { macAddress } from "./mac.ts";
import { openFilter, type ReceiveFilter, wants } from "./receive-filter.ts";
import { steer } from "./steering.ts";

export interface VirtioNetOptions {
  /** `52:54:00:12:34:56`, or six bytes. */
  readonly mac: string | Uint8Array;
  /** Takes a frame that the driver sent: from the destination's address on, without checksum. Its bytes are its own. */
  readonly send: (frame: Uint8Array) => void;
  /** The default is 1. With more, MQ is offered. */
  readonly queuePairs?: number;
  /** Entries of a receive or transmit ring; the default is 256. */
  readonly queueSize?: number;
  /** Frames that wait for the driver's buffers, at most, in all; the default is 256. */
  readonly backlogFrames?: number;
  /** False: no control queue, so no receive modes, MAC table and VLAN filter. The default is true. */
  readonly controlQueue?: boolean;
  /** Which release's "virtio-net-device/rss" is read; the default is 10.0. */
  readonly dialect?: VirtioDialect;
}

/** What became of a frame. Dropped: filtered, link down, no driver, too long for its buffer, or the backlog was full. */
export type Received = "delivered" | "queued" | "dropped";

export interface VirtioNetModel extends VirtioModel<VirtioNetState> {
  /** Hands a frame to the driver; keeps no reference to it. */
  receive(frame: Uint8Array): Received;
  /**
   * Takes the frames out that wait for buffers, in order. They are on this side of the wire and no part of the state:
   * whoever moves the machine may give them to the device at its new place.
   */
  takeBacklog(): Uint8Array[];
  /** The link goes up or down; the driver is told. */
  setLink(up: boolean): void;
}

const controlQueueSize = 64;
/** Frames beyond this are not read from guest memory: IP's largest packet, and what encloses it. Bytes. */
const maxFrameBytes = 65_535 + 22;
const minFrameBytes = 14;
const bothDirections = 2;

export function virtioNet(options: VirtioNetOptions): VirtioNetModel {
  const { send, queuePairs = 1, queueSize = 256, backlogFrames = 256, controlQueue = true, dialect = "10.0" } = options;
  const factoryMac = macAddress(options.mac);
  if (!Number.isInteger(queuePairs) || queuePairs < 1 || queuePairs > maxQueuePairs) {
    throw refused("queuePairs", `1 to ${maxQueuePairs}`, queuePairs);
  }
  if (!Number.isInteger(Math.log2(queueSize)) || queueSize > maxChain) {
    throw refused("queueSize", `a power of two up to ${maxChain}`, queueSize);
  }
  if (queuePairs > 1 && !controlQueue) {
    throw new MigrationError("DEFINITION_INVALID", "more than one queue pair needs the control queue");
  }
  let device: VirtioDevice | undefined;
  let filter: ReceiveFilter = openFilter(factoryMac);
  let status = linkUp;
  let pairsInUse = 1;
  let backlogs: Uint8Array[][] = [];
  let waiting = 0;
  /** Between `quiesce` or `load` and the machine's running on: what arrives waits, since memory may have been sent. */
  let holding = false;

  const negotiated = (bits: bigint): boolean => ((device?.features ?? 0n) & bits) === bits;
  const headerBytes = (): number => (negotiated(feature.VERSION_1) ? 12 : 10);
  /** The control queue's place depends on what the driver knows of (virtio 1.2, section 5.1.2). */
  const controlIndex = (): number => bothDirections * (negotiated(netFeature.MQ) ? queuePairs : 1);

  function forgetBacklog(): void {
    backlogs = Array.from({ length: queuePairs }, () => []);
    waiting = 0;
  }
  forgetBacklog();

  function enqueue(frame: Uint8Array): void {
    (backlogs[steer(frame, pairsInUse)] as Uint8Array[]).push(frame);
    waiting++;
  }

  /** Puts a frame into the next receive buffer. Undefined: there is none. */
  function deliver(queue: Virtqueue, frame: Uint8Array): "delivered" | "dropped" | undefined {
    const element = queue.pop();
    if (element === undefined) return undefined;
    const header = new Uint8Array(headerBytes());
    // Without merged buffers a frame has one (num_buffers).
    if (header.length === 12) header[10] = 1;
    const bytes = header.length + frame.length;
    if (segmentBytes(element.in) < bytes) {
      queue.unpop(element);
      return "dropped";
    }
    queue.write(element, 0, header);
    queue.write(element, header.length, frame);
    queue.push(element, bytes);
    return "delivered";
  }

  function fillReceive(pair: number, queue: Virtqueue): void {
    if (holding) return;
    const backlog = backlogs[pair] as Uint8Array[];
    let delivered = false;
    for (let frame = backlog[0]; frame !== undefined; frame = backlog[0]) {
      const result = deliver(queue, frame);
      if (result === undefined) break;
      backlog.shift();
      waiting--;
      delivered ||= result === "delivered";
    }
    if (delivered) queue.notify();
  }

  function transmit(queue: Virtqueue): void {
    let done = false;
    for (let element = queue.pop(); element !== undefined; element = queue.pop()) {
      if (!sendElement(queue, element)) return;
      queue.push(element, 0);
      done = true;
    }
    if (done) queue.notify();
  }

  function sendElement(queue: Virtqueue, element: VirtqueueElement): boolean {
    const header = headerBytes();
    const bytes = segmentBytes(element.out) - header;
    if (bytes < 0 || element.in.length > 0) {
      device?.fail("virtio-net: a transmit buffer without room for its header, or one to write to");
      return false;
    }
    if (bytes < minFrameBytes || bytes > maxFrameBytes || (status & linkUp) === 0) return true;
    const frame = queue.read(element, header, bytes);
    // Fewer bytes: memory did not answer, and the queue has said so to the device.
    if (frame.length < bytes) return false;
    send(frame);
    return true;
  }

  function runControl(queue: Virtqueue): void {
    let done = false;
    for (let element = queue.pop(); element !== undefined; element = queue.pop()) {
      const room = segmentBytes(element.in);
      const length = segmentBytes(element.out);
      if (room < 1 || length < 2) {
        device?.fail("virtio-net: a control command without its class, or without room for the answer");
        return;
      }
      const answer = control(
        { filter, setQueuePairs },
        length > maxControlBytes ? new Uint8Array(0) : queue.read(element, 0, length),
      );
      queue.write(element, 0, Uint8Array.of(answer));
      queue.push(element, 1);
      done = true;
    }
    if (done) queue.notify();
  }

  function setQueuePairs(pairs: number): boolean {
    if (!negotiated(netFeature.MQ) || pairs < 1 || pairs > queuePairs) return false;
    const frames = backlogs.flat();
    pairsInUse = pairs;
    forgetBacklog();
    for (const frame of frames) enqueue(frame);
    return true;
  }

  function serve(queue: Virtqueue, index: number): void {
    const pair = index >> 1;
    if (controlQueue && index === controlIndex()) runControl(queue);
    else if (pair < pairsInUse) {
      if (index % bothDirections === 1) transmit(queue);
      else fillReceive(pair, queue);
    }
  }

  function reset(): void {
    filter = openFilter(factoryMac);
    pairsInUse = 1;
    forgetBacklog();
  }

  return {
    name: section.name,
    sectionVersion: section.version,
    minimumVersion: section.minimumVersion,
    deviceId: section.deviceId,
    description: virtioNetDevice({ queuePairs, dialect }),
    features:
      netFeature.MAC |
      netFeature.STATUS |
      (controlQueue ? netFeature.CTRL_VQ | netFeature.CTRL_RX | netFeature.CTRL_RX_EXTRA : 0n) |
      (controlQueue ? netFeature.CTRL_VLAN | netFeature.CTRL_MAC_ADDR : 0n) |
      (queuePairs > 1 ? netFeature.MQ : 0n),
    queueSizes: [
      ...new Array<number>(bothDirections * queuePairs).fill(queueSize),
      ...(controlQueue ? [controlQueueSize] : []),
    ],
    configBytes: () =>
      configurationBytes({ mac: filter.mac, status, maxQueuePairs: queuePairs > 1 ? queuePairs : undefined }),
    attach(to) {
      device = to;
    },
    kick: serve,
    featuresChanged(features) {
      // Without the filter every VLAN id passes; with it, those that the driver adds.
      filter.vlans.fill((features & netFeature.CTRL_VLAN) === 0n ? 0xff : 0);
    },
    reset,
    save: () => ({
      ...filter,
      tx_waiting: 0,
      mergeable_rx_bufs: 0,
      status,
      has_vnet_hdr: 0,
      has_ufo: 0,
      max_queue_pairs: queuePairs,
      curr_queue_pairs: pairsInUse,
      more_tx_waiting: new Uint32Array(pairsInUse - 1),
      curr_guest_offloads: 0n,
      rss: noRss(),
      backend: { chunks: [] },
    }),
    check: refuseForeign,
    load(state) {
      filter = {
        mac: state.mac,
        promisc: state.promisc,
        allmulti: state.allmulti,
        alluni: state.alluni,
        nomulti: state.nomulti,
        nouni: state.nouni,
        nobcast: state.nobcast,
        mac_table_in_use: state.mac_table_in_use,
        mac_table_macs: state.mac_table_macs,
        mac_table_multi_overflow: state.mac_table_multi_overflow,
        mac_table_uni_overflow: state.mac_table_uni_overflow,
        vlans: state.vlans,
      };
      status = state.status;
      pairsInUse = state.curr_queue_pairs;
      forgetBacklog();
      holding = true;
    },
    async quiesce() {
      holding = true;
    },
    resumed() {
      holding = false;
      for (const pair of backlogs.keys()) {
        const queue = device?.queues[bothDirections * pair];
        if (device?.running && queue?.ready) fillReceive(pair, queue);
      }
    },
    receive(frame) {
      if (!device?.running || (status & linkUp) === 0) return "dropped";
      if (frame.length < minFrameBytes || !wants(filter, frame)) return "dropped";
      const pair = steer(frame, pairsInUse);
      const backlog = backlogs[pair] as Uint8Array[];
      const queue = device.queues[bothDirections * pair];
      if (!holding && backlog.length === 0 && queue?.ready) {
        const result = deliver(queue, frame);
        if (result === "delivered") queue.notify();
        if (result !== undefined) return result;
      }
      if (waiting >= backlogFrames) return "dropped";
      enqueue(frame.slice());
      return "queued";
    },
    takeBacklog() {
      const frames = backlogs.flat();
      forgetBacklog();
      return frames;
    },
    setLink(up) {
      const next = up ? status | linkUp : status & ~linkUp;
      if (next === status) return;
      status = next;
      device?.configChanged();
    },
  };
}

function refused(what: string, expected: string, found: number): MigrationError {
  return new MigrationError("DEFINITION_INVALID", `virtio-net's ${what} cannot be`, { expected, found: String(found) });
}

function noRss(): VirtioNetState["rss"] {
  return {
    enabled: false,
    redirect: false,
    populate_hash: false,
    hash_types: 0,
    supported_hash_types: 0,
    indirections_len: 0,
    default_queue: 0,
    key: new Uint8Array(40),
    indirections_table: new Uint16Array(0),
  };
}

/** What a source did for its guest and this device could not go on with. */
function refuseForeign(state: VirtioNetState): undefined {
  const refuse = (path: string, detail: string, expected: string, found: string): never => {
    throw new MigrationError("DEVICE_CHECK", detail, { path: `device.${path}`, expected, found });
  };
  if (state.has_vnet_hdr !== 0) {
    refuse(
      "has_vnet_hdr",
      "the guest's back end took packet headers, this one takes frames",
      "0",
      String(state.has_vnet_hdr),
    );
  }
  if (state.has_ufo !== 0) refuse("has_ufo", "the guest's back end fragmented UDP", "0", String(state.has_ufo));
  if (state.mergeable_rx_bufs !== 0) {
    refuse("mergeable_rx_bufs", "merged receive buffers are not offered here", "0", String(state.mergeable_rx_bufs));
  }
  if (state.rss.enabled) refuse("rss.enabled", "receive-side scaling is not offered here", "false", "true");
  if (state.backend.chunks.length > 0) {
    refuse(
      "backend.chunks",
      "the state of a vhost-user back end needs one here",
      "none",
      `${state.backend.chunks.length} chunks`,
    );
  }
  return undefined;
}

// virtioNet(): a network device. Frames go out as the driver sends them, and come in as the driver has room.
import { MigrationError } from "@godwit/core";
import {
  feature,
  maxChain,
  segmentBytes,
  type VirtioDevice,
  type Virtqueue,
  type VirtqueueElement,
} from "@godwit/virtio-core";
import { configurationBytes, configurationWidths } from "./configuration.ts";
import { announceBit, linkUp, maxQueuePairs, netFeature, section } from "./constants.ts";
import { control, maxControlBytes } from "./control.ts";
import { virtioNetDevice } from "./device-state.ts";
import { refuseForeign } from "./foreign.ts";
import { macAddress } from "./mac.ts";
import { offeredFeatures } from "./offered.ts";
import type { VirtioNetModel, VirtioNetOptions, WaitingFrame } from "./options.ts";
import { guestOffloads, offloadsNeeded, parseHeader, plainHeader, visibleHeader } from "./packet-header.ts";
import { deliver, type ReceiveRules } from "./receive.ts";
import { openFilter, type ReceiveFilter, wants } from "./receive-filter.ts";
import { noRss, type RssCommand, type RssState, scaledPair } from "./rss.ts";
import { steer } from "./steering.ts";

export type { VirtioNetModel, VirtioNetOptions } from "./options.ts";

const controlQueueSize = 64;
/** Frames beyond this are not read from guest memory: IP's largest packet, and what encloses it. Bytes. */
const maxFrameBytes = 65_535 + 22;
const minFrameBytes = 14;
const bothDirections = 2;

export function virtioNet(options: VirtioNetOptions): VirtioNetModel {
  const { send, queuePairs = 1, queueSize = 256, backlogFrames = 256, controlQueue = true, dialect = "10.0" } = options;
  const { mergedBuffers = true, vnetHdr = false, rss: offersRss = false, mtu } = options;
  const factoryMac = macAddress(options.mac);
  checkSizes(options);
  let device: VirtioDevice | undefined;
  let filter: ReceiveFilter = openFilter(factoryMac);
  let status = linkUp;
  let pairsInUse = 1;
  /** Each pair's driver has kicked, and the machine has not yet run on to serve it. */
  let txWaiting = new Uint32Array(queuePairs);
  let merged = false;
  let offloads = 0n;
  let rss: RssState = noRss();
  let backlogs: WaitingFrame[][] = [];
  let waiting = 0;
  /** Between `quiesce` or `load` and the machine's running on: what arrives waits, since memory may have been sent. */
  let holding = false;
  /** The driver shall announce itself when the machine runs. */
  let arrived = false;

  const negotiated = (bits: bigint): boolean => device?.has(bits) ?? false;
  const littleEndian = (): boolean => device?.littleEndian ?? true;
  const headerLength = (): 10 | 12 => (merged || negotiated(feature.VERSION_1) ? 12 : 10);
  const rules = (): ReceiveRules => ({ headerLength: headerLength(), merged, littleEndian: littleEndian() });
  /** The control queue's place depends on what the driver knows of (virtio 1.2, section 5.1.2). */
  const controlIndex = (): number =>
    bothDirections * (negotiated(netFeature.MQ) || negotiated(netFeature.RSS) ? queuePairs : 1);
  const pairOf = (frame: Uint8Array): number =>
    rss.enabled && rss.redirect ? scaledPair(rss, frame) : steer(frame, pairsInUse);

  function forgetBacklog(): void {
    backlogs = Array.from({ length: queuePairs }, () => []);
    waiting = 0;
  }
  forgetBacklog();

  function enqueue(one: WaitingFrame): void {
    (backlogs[pairOf(one.frame)] as WaitingFrame[]).push(one);
    waiting++;
  }

  /** After the way from frame to queue has changed. */
  function sortAgain(): void {
    const frames = backlogs.flat();
    forgetBacklog();
    for (const one of frames) enqueue(one);
  }

  function fillReceive(pair: number, queue: Virtqueue): void {
    if (holding) return;
    const backlog = backlogs[pair] as WaitingFrame[];
    let delivered = false;
    for (let one = backlog[0]; one !== undefined; one = backlog[0]) {
      const result = deliver(queue, one.frame, one.header, rules());
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
    const header = headerLength();
    const bytes = segmentBytes(element.out) - header;
    if (bytes < 0 || element.in.length > 0) {
      device?.fail("virtio-net: a transmit buffer without room for its header, or one to write to");
      return false;
    }
    if (bytes < minFrameBytes || bytes > maxFrameBytes || (status & linkUp) === 0) return true;
    const message = queue.read(element, 0, header + bytes);
    // Fewer bytes: memory did not answer, and the queue has said so to the device.
    if (message.length < header + bytes) return false;
    send(message.slice(header), vnetHdr ? parseHeader(message, littleEndian()) : plainHeader);
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
      const target = { filter, littleEndian: littleEndian(), setQueuePairs, setRss, announced, setOffloads };
      const message = length > maxControlBytes ? new Uint8Array(0) : queue.read(element, 0, length);
      queue.write(element, 0, Uint8Array.of(control(target, message)));
      queue.push(element, 1);
      done = true;
    }
    if (done) queue.notify();
  }

  function setQueuePairs(pairs: number): boolean {
    if (!negotiated(netFeature.MQ) || pairs < 1 || pairs > queuePairs) return false;
    pairsInUse = pairs;
    rss = noRss();
    sortAgain();
    return true;
  }

  function setRss(command: RssCommand): boolean {
    const { indirections_table: table, default_queue } = command.rss;
    if (!negotiated(netFeature.RSS) || command.pairs < 1 || command.pairs > queuePairs) return false;
    if ([default_queue, ...table].some((queue) => queue >= queuePairs)) return false;
    rss = command.rss;
    pairsInUse = command.pairs;
    sortAgain();
    return true;
  }

  function announced(): boolean {
    if ((status & announceBit) === 0) return false;
    status &= ~announceBit;
    return true;
  }

  function setOffloads(wanted: bigint): boolean {
    if (!vnetHdr || !negotiated(netFeature.CTRL_GUEST_OFFLOADS)) return false;
    if ((wanted & ~((device?.features ?? 0n) & guestOffloads)) !== 0n) return false;
    offloads = wanted;
    return true;
  }

  function serve(queue: Virtqueue, index: number): void {
    if (controlQueue && index === controlIndex()) runControl(queue);
    else if (index % bothDirections === 0) {
      if (index >> 1 < queuePairs) fillReceive(index >> 1, queue);
    } else if (index >> 1 < pairsInUse) {
      txWaiting[index >> 1] = 0;
      transmit(queue);
    }
  }

  function announce(): boolean {
    if (!negotiated(netFeature.GUEST_ANNOUNCE | netFeature.CTRL_VQ)) return false;
    status |= announceBit;
    device?.configChanged();
    return true;
  }

  return {
    name: section.name,
    sectionVersion: section.version,
    minimumVersion: section.minimumVersion,
    deviceId: section.deviceId,
    description: virtioNetDevice({ queuePairs, dialect }),
    features: offeredFeatures(options),
    queueSizes: [
      ...new Array<number>(bothDirections * queuePairs).fill(queueSize),
      ...(controlQueue ? [controlQueueSize] : []),
    ],
    configWidths: configurationWidths,
    configBytes: () =>
      configurationBytes({
        mac: filter.mac,
        status,
        maxQueuePairs: queuePairs > 1 ? queuePairs : undefined,
        mtu,
        rss: offersRss,
      }),
    attach(to) {
      device = to;
    },
    kick: serve,
    featuresChanged(features) {
      // Without the filter every VLAN id passes; with it, those that the driver adds.
      filter.vlans.fill((features & netFeature.CTRL_VLAN) === 0n ? 0xff : 0);
      merged = mergedBuffers && (features & netFeature.MRG_RXBUF) !== 0n;
      offloads = vnetHdr ? features & guestOffloads : 0n;
    },
    reset() {
      filter = openFilter(factoryMac);
      status &= ~announceBit;
      pairsInUse = 1;
      txWaiting = new Uint32Array(queuePairs);
      merged = false;
      offloads = 0n;
      rss = noRss();
      arrived = false;
      forgetBacklog();
    },
    resetQueue(index) {
      if (index % bothDirections === 1 && index >> 1 < queuePairs) txWaiting[index >> 1] = 0;
    },
    save: () => ({
      ...filter,
      tx_waiting: txWaiting[0] as number,
      mergeable_rx_bufs: merged ? 1 : 0,
      status,
      has_vnet_hdr: vnetHdr ? 1 : 0,
      has_ufo: vnetHdr && (options.ufo ?? true) ? 1 : 0,
      max_queue_pairs: queuePairs,
      curr_queue_pairs: pairsInUse,
      more_tx_waiting: txWaiting.slice(1, pairsInUse),
      // On the wire where the driver has a choice.
      curr_guest_offloads: negotiated(netFeature.CTRL_GUEST_OFFLOADS) ? offloads : 0n,
      rss,
      backend: { chunks: [] },
    }),
    check: (state) => refuseForeign(options, state),
    load(state) {
      const { mac, promisc, allmulti, alluni, nomulti, nouni, nobcast, mac_table_in_use, mac_table_macs } = state;
      const { mac_table_multi_overflow, mac_table_uni_overflow, vlans } = state;
      filter = {
        ...{ mac, promisc, allmulti, alluni, nomulti, nouni, nobcast, mac_table_in_use, mac_table_macs },
        ...{ mac_table_multi_overflow, mac_table_uni_overflow, vlans },
      };
      status = state.status;
      pairsInUse = state.curr_queue_pairs;
      txWaiting = new Uint32Array(queuePairs);
      txWaiting.set([state.tx_waiting, ...state.more_tx_waiting]);
      merged = state.mergeable_rx_bufs !== 0;
      rss = state.rss;
      forgetBacklog();
      holding = true;
    },
    afterSubsections(state) {
      // Only where the driver could choose does the choice travel.
      const chosen = negotiated(netFeature.CTRL_GUEST_OFFLOADS);
      const all = vnetHdr ? (device?.features ?? 0n) & guestOffloads : 0n;
      offloads = chosen ? state.curr_guest_offloads : all;
      arrived = true;
    },
    async quiesce() {
      holding = true;
    },
    resumed() {
      holding = false;
      if (arrived) announce();
      arrived = false;
      for (const pair of backlogs.keys()) {
        const queue = device?.queues[bothDirections * pair];
        if (device?.running && queue?.ready) fillReceive(pair, queue);
      }
    },
    get guestOffloads() {
      return offloads;
    },
    receive(frame, header = plainHeader) {
      if (!device?.running || (status & linkUp) === 0) return "dropped";
      if (frame.length < minFrameBytes || !wants(filter, frame)) return "dropped";
      const needed = offloadsNeeded(header);
      if (needed === undefined || (needed & ~offloads) !== 0n) return "dropped";
      const visible = visibleHeader(header, offloads);
      const pair = pairOf(frame);
      const queue = device.queues[bothDirections * pair];
      if (!holding && backlogs[pair]?.length === 0 && queue?.ready) {
        const result = deliver(queue, frame, visible, rules());
        if (result === "delivered") queue.notify();
        if (result !== undefined) return result;
      }
      if (waiting >= backlogFrames) return "dropped";
      enqueue({ frame: frame.slice(), header: visible });
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
    announce,
  };
}

function checkSizes({
  queuePairs = 1,
  queueSize = 256,
  controlQueue = true,
  rss = false,
  mtu,
}: VirtioNetOptions): void {
  if (!Number.isInteger(queuePairs) || queuePairs < 1 || queuePairs > maxQueuePairs) {
    throw refused("queuePairs", `1 to ${maxQueuePairs}`, queuePairs);
  }
  if (!Number.isInteger(Math.log2(queueSize)) || queueSize > maxChain) {
    throw refused("queueSize", `a power of two up to ${maxChain}`, queueSize);
  }
  if ((queuePairs > 1 || rss) && !controlQueue) {
    throw new MigrationError("DEFINITION_INVALID", "more than one queue pair needs the control queue");
  }
  if (mtu !== undefined && !(Number.isInteger(mtu) && mtu >= 68 && mtu <= 65_535)) {
    throw refused("mtu", "68 to 65535", mtu);
  }
}

function refused(what: string, expected: string, found: number): MigrationError {
  return new MigrationError("DEFINITION_INVALID", `virtio-net's ${what} cannot be`, { expected, found: String(found) });
}

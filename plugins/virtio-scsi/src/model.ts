// virtioScsi(): a host adapter with its disks. Requests that a disk has taken travel in the disk's own section.
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
  type VirtqueueElement,
} from "@godwit/virtio-core";
import {
  cdbSizeAt,
  configurationBytes,
  configurationWidths,
  isCdbSize,
  isSenseSize,
  senseSizeAt,
  sizesIn,
} from "./configuration.ts";
import {
  controlQueue,
  defaultCdbBytes,
  defaultSenseBytes,
  event,
  eventQueue,
  fixedQueues,
  requestHeaderBytes,
  response,
  scsiFeature,
  section,
} from "./constants.ts";
import { serveControl } from "./control.ts";
import { type ScsiDiskOptions, ScsiDiskUnit, type UnitRequest } from "./disk.ts";
import {
  type Answer,
  answerRequest,
  type DriverRequest,
  lunBytes,
  type RequestForm,
  readRequest,
  type UnitAddress,
} from "./request.ts";
import type { CarriedScsiRequest } from "./requests-field.ts";
import { senseOf } from "./sense.ts";
import { answerForMissing } from "./target.ts";

export interface VirtioScsiOptions {
  readonly disks: readonly ScsiDiskOptions[];
  /** Request queues; the default is 1. */
  readonly queues?: number;
  /** Entries of a ring; the default is 256. */
  readonly queueSize?: number;
  /** As virtio-blk's: what the back end gives up travels in the disk's section. The default is false. */
  readonly carryInFlight?: boolean;
  /** Told of what a back end threw; the guest sees a medium error. */
  readonly onError?: (error: unknown) => void;
}

export interface VirtioScsiModel extends VirtioModel<NoData, NoData> {
  readonly units: readonly ScsiDiskUnit[];
  /** Requests that disks have taken and not answered. */
  readonly inFlight: number;
  /** The size of a disk has changed: announced, where the driver listens. */
  capacityChanged(unit: ScsiDiskUnit): void;
  /** Begins what came with a load, or was given back; so does a machine that resumes. */
  retry(): void;
}

interface ScsiEvent {
  readonly what: number;
  readonly address: UnitAddress | undefined;
  readonly reason: number;
}

const maxRequestQueues = 1024 - fixedQueues;
const eventBytes = 16;

export function virtioScsi(options: VirtioScsiOptions): VirtioScsiModel {
  const { queues = 1, queueSize = 256, carryInFlight = false, onError = () => {} } = options;
  if (!Number.isInteger(queues) || queues < 1 || queues > maxRequestQueues) {
    throw refused("queues", `1 to ${maxRequestQueues}`, queues);
  }
  if (!Number.isInteger(Math.log2(queueSize)) || queueSize < 4 || queueSize > maxChain) {
    throw refused("queueSize", `a power of two from 4 to ${maxChain}`, queueSize);
  }
  const units = options.disks.map((disk) => new ScsiDiskUnit(disk));
  const unitAt = ({ target, lun }: UnitAddress): ScsiDiskUnit | undefined =>
    units.find(({ address }) => address.target === target && address.lun === lun);
  for (const unit of units) {
    if (unitAt(unit.address) !== unit) {
      throw refused("disks", "each at an address of its own", `${unit.address.target}:${unit.address.lun} twice`);
    }
  }
  let device: VirtioDevice | undefined;
  let senseSize = defaultSenseBytes;
  let cdbSize = defaultCdbBytes;
  /** Events that found no buffer. */
  let missed = false;
  /** Events that found a buffer whose memory has not come (post-copy), in their order. */
  let waiting: ScsiEvent[] = [];
  /** Nothing is taken: between `quiesce` and the machine's running on. */
  let holding = false;
  /** The first control request has given requests up, and waits for the back end to be done with them. */
  let controlWaits = false;

  const form = (): RequestForm => ({ cdbSize, senseSize, littleEndian: device?.littleEndian ?? true });
  const requestQueue = (index: number): Virtqueue => device?.queues[fixedQueues + index] as Virtqueue;

  const lunsOf = (target: number): readonly number[] =>
    units.filter(({ address }) => address.target === target).map(({ address }) => address.lun);
  /** Queues to interrupt when the batch is over; undefined outside of one. */
  let answered: Set<Virtqueue> | undefined;

  function answerIn(queue: Virtqueue, element: VirtqueueElement, answer: Answer): void {
    answerRequest(queue, element, form(), answer);
    if (answered === undefined) queue.notify();
    else answered.add(queue);
  }

  /** Interrupts once for each queue that `work` answers in. */
  function batch(work: () => void): void {
    if (answered !== undefined) {
      work();
      return;
    }
    const queuesAnswered = new Set<Virtqueue>();
    answered = queuesAnswered;
    try {
      work();
    } finally {
      answered = undefined;
    }
    for (const queue of queuesAnswered) queue.notify();
  }

  for (const unit of units) {
    unit.attach({
      get live() {
        return device !== undefined && !device.broken;
      },
      adopt,
      read: ({ queue, element }, bytes) => requestQueue(queue).read(element, requestHeaderBytes + cdbSize, bytes),
      answer: ({ queue, element }, answer) => answerIn(requestQueue(queue), element, answer),
      batch,
      cancelled: () => takeControl(device?.queues[controlQueue] as Virtqueue),
      luns: lunsOf,
      onError,
    });
  }

  function adopt({ queue, element, cdb }: CarriedScsiRequest): UnitRequest | undefined {
    const found = readRequest(requestQueue(queue), element, form());
    if (found === undefined) {
      device?.fail("virtio-scsi: a request in flight has no chain");
      return undefined;
    }
    const { id, inBytes, outBytes } = found;
    return { queue, element, id, cdb, inBytes, outBytes };
  }

  function takeRequests(queue: Virtqueue): void {
    if (holding) return;
    batch(() => {
      for (let element = queue.pop(); element !== undefined; element = queue.pop()) {
        const found = readRequest(queue, element, form());
        if (found === undefined) {
          device?.fail("virtio-scsi: a request without its header or without room for its answer");
          return;
        }
        take(queue, element, found);
      }
    });
  }

  function take(queue: Virtqueue, element: VirtqueueElement, { unit: address, ...request }: DriverRequest): void {
    const unit = address === undefined ? undefined : unitAt(address);
    if (unit !== undefined) {
      unit.submit({ queue: queue.index - fixedQueues, element, ...request });
      return;
    }
    const luns = address === undefined ? [] : lunsOf(address.target);
    if (address === undefined || luns.length === 0) answerIn(queue, element, { response: response.BAD_TARGET });
    else answerIn(queue, element, answerForMissing(address.lun, luns, request.cdb, request.inBytes));
  }

  /** One after the other: a request that waits stays in its ring, and so travels by itself. */
  function takeControl(queue: Virtqueue): void {
    while (device !== undefined && !device.broken && (!holding || controlWaits)) {
      const element = queue.pop();
      if (element === undefined) return;
      const context = { littleEndian: device.littleEndian, units, again: controlWaits };
      const outcome = serveControl(queue, element, context);
      controlWaits = outcome === "wait";
      if (outcome === "malformed") device.fail("virtio-scsi: a control request that is none");
      else if (controlWaits) queue.unpop(element);
      else queue.notify();
      if (controlWaits) return;
    }
  }

  function tell(one: ScsiEvent): void {
    if (device === undefined || !device.running || !device.has(scsiFeature.CHANGE)) return;
    const queue = device.queues[eventQueue] as Virtqueue;
    // While the machine is saved, its rings stay as they are; an event does not pass those that wait.
    const element = holding || waiting.length > 0 ? undefined : queue.pop();
    if (element === undefined) {
      const waits = !holding && queue.suspended && waiting.length < queueSize;
      if (waits) waiting.push(one);
      else missed = true;
      return;
    }
    const { what, address, reason } = one;
    if (segmentBytes(element.in) < eventBytes) {
      device.fail("virtio-scsi: a buffer that is too small for an event");
      return;
    }
    const view = new DataView(new ArrayBuffer(eventBytes));
    view.setUint32(0, (what | (missed ? event.MISSED : 0)) >>> 0, device.littleEndian);
    if (address !== undefined) new Uint8Array(view.buffer).set([1, address.target, ...lunBytes(address.lun)], 4);
    view.setUint32(12, reason, device.littleEndian);
    missed = false;
    queue.push(element, queue.write(element, 0, new Uint8Array(view.buffer)));
    queue.notify();
  }

  function resume(): void {
    holding = false;
    if (device === undefined || device.broken || !plausible(device)) return;
    batch(() => {
      for (const unit of units) if (!unit.adopt()) return;
      for (const unit of units) unit.resume();
    });
    tellWaiting();
    tellMissed();
  }

  /** Their memory has come; where that of the next one has not, the rest waits on. */
  function tellWaiting(): void {
    if (holding) return;
    const events = waiting;
    waiting = [];
    for (const one of events) tell(one);
  }

  /** Events that found no buffer are told of as soon as there is one. */
  function tellMissed(): void {
    if (missed && !holding && waiting.length === 0) tell({ what: event.NO_EVENT, address: undefined, reason: 0 });
  }

  /** Requests must be entries of their rings, each once, and no more than a ring has lost: they came so. */
  function plausible(of: VirtioDevice): boolean {
    const taken = new Map<number, Set<number>>();
    for (const { queue: number, index } of units.flatMap((unit) => unit.heads())) {
      const queue = of.queues[fixedQueues + number];
      const heads = taken.get(number) ?? new Set();
      // In a packed ring it is the driver's id of the buffer, which may be any.
      const most = of.has(feature.RING_PACKED) ? 0x1_0000 : (queue?.size ?? 0);
      if (queue?.ready !== true || index >= most || heads.has(index)) {
        of.fail(`virtio-scsi: a request in flight is entry ${index} of request queue ${number}, which cannot be`);
        return false;
      }
      taken.set(number, heads.add(index));
    }
    for (const [number, { size }] of taken) {
      const inuse = of.queues[fixedQueues + number]?.inuse ?? 0;
      if (of.broken) return false;
      if (size <= inuse) continue;
      of.fail(`virtio-scsi: ${size} requests in flight, of which request queue ${number} has ${inuse}`);
      return false;
    }
    return true;
  }

  return {
    name: section.name,
    sectionVersion: section.version,
    minimumVersion: section.minimumVersion,
    deviceId: section.deviceId,
    description: noData,
    features: scsiFeature.HOTPLUG | scsiFeature.CHANGE,
    queueSizes: new Array<number>(fixedQueues + queues).fill(queueSize),
    configBytes: () => configurationBytes({ requestQueues: queues, segMax: queueSize - 2, senseSize, cdbSize }),
    configWidths: configurationWidths,
    writeConfig(offset, bytes) {
      const image = configurationBytes({ requestQueues: queues, segMax: queueSize - 2, senseSize, cdbSize });
      image.set(bytes, offset);
      const sizes = sizesIn(image);
      // A size that cannot be breaks the device, as QEMU's does; every other field is read-only.
      if (!isSenseSize(sizes.senseSize) || !isCdbSize(sizes.cdbSize)) {
        device?.fail("virtio-scsi: a sense or command size that cannot be");
        return;
      }
      if (offset < senseSizeAt + 4 && offset + bytes.length > senseSizeAt) senseSize = sizes.senseSize;
      if (offset < cdbSizeAt + 4 && offset + bytes.length > cdbSizeAt) cdbSize = sizes.cdbSize;
    },
    attach(to) {
      device = to;
    },
    kick(queue, index) {
      if (index === controlQueue) takeControl(queue);
      else if (index === eventQueue) {
        tellWaiting();
        tellMissed();
      } else takeRequests(queue);
    },
    reset() {
      senseSize = defaultSenseBytes;
      cdbSize = defaultCdbBytes;
      missed = false;
      waiting = [];
      controlWaits = false;
      for (const unit of units) unit.reset();
    },
    resetQueue(index) {
      if (index === controlQueue) controlWaits = false;
      else if (index !== eventQueue) for (const unit of units) unit.resetQueue(index - fixedQueues);
    },
    save: () => ({}),
    check(_, { config }) {
      const { senseSize: sense, cdbSize: cdb } = sizesIn(config);
      if (isSenseSize(sense) && isCdbSize(cdb)) return;
      throw new MigrationError("DEVICE_CHECK", "sizes in configuration space cannot be", {
        path: "config",
        expected: "sense_size below 65536 and cdb_size of 1 to 255",
        found: `${sense} and ${cdb}`,
      });
    },
    load(_, { config }) {
      ({ senseSize, cdbSize } = sizesIn(config));
      missed = false;
      waiting = [];
      controlWaits = false;
      // The disks load after the adapter: nothing is taken before the machine runs.
      holding = true;
    },
    takenElements: () => units.flatMap((unit) => unit.taken().map(({ element }) => element)),
    async quiesce() {
      holding = true;
      for (const unit of units) unit.hold();
      if (carryInFlight) await Promise.all(units.map((unit) => unit.backend.recall?.()));
      await Promise.all(units.map((unit) => unit.settled()));
    },
    resumed: resume,
    retry: resume,
    capacityChanged(unit) {
      const { capacityChanged: sense } = senseOf;
      unit.attention(sense);
      tell({ what: event.PARAM_CHANGE, address: unit.address, reason: sense.asc | (sense.ascq << 8) });
    },
    units,
    get inFlight() {
      return units.reduce((sum, unit) => sum + unit.inFlight, 0);
    },
  };
}

function refused(what: string, expected: string, found: unknown): MigrationError {
  return new MigrationError("DEFINITION_INVALID", `virtio-scsi's ${what} cannot be`, {
    expected,
    found: String(found),
  });
}

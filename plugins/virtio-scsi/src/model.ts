// virtioScsi(): a host adapter with its disks. Requests that a disk has taken travel in the disk's own section.
import { MigrationError } from "@godwit/core";
import {
  maxChain,
  type NoData,
  noData,
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
  response,
  scsiFeature,
  section,
} from "./constants.ts";
import { serveControl } from "./control.ts";
import { type ScsiDiskOptions, ScsiDiskUnit, type UnitRequest } from "./disk.ts";
import { answerRequest, type RequestForm, readRequest, type UnitAddress } from "./request.ts";
import type { CarriedScsiRequest } from "./requests-field.ts";

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

const maxRequestQueues = 1024 - fixedQueues;

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
  const unitsOf = (target: number): readonly ScsiDiskUnit[] => units.filter(({ address }) => address.target === target);
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
  /** Nothing is taken: between `quiesce` and the machine's running on. */
  let holding = false;

  const form = (): RequestForm => ({ cdbSize, senseSize, littleEndian: device?.littleEndian ?? true });
  const requestQueue = (index: number): Virtqueue => device?.queues[fixedQueues + index] as Virtqueue;

  for (const unit of units) {
    unit.attach({
      adopt,
      answer({ queue, element }, answer) {
        answerRequest(requestQueue(queue), element, form(), answer);
        requestQueue(queue).notify();
      },
      onError,
    });
  }

  /** Reads a request's data from its chain, which is the device's until it is answered. */
  function dataOf(queue: Virtqueue, element: VirtqueueElement) {
    const request = readRequest(queue, element, form());
    if (request === undefined) return undefined;
    return { request, out: queue.read(element, 19 + cdbSize, request.outBytes) };
  }

  function adopt({ queue, element, tag, cdb }: CarriedScsiRequest): UnitRequest | undefined {
    const found = dataOf(requestQueue(queue), element);
    if (found === undefined) {
      device?.fail("virtio-scsi: a request in flight has no chain");
      return undefined;
    }
    return { queue, element, tag, cdb, inBytes: found.request.inBytes, out: found.out };
  }

  function takeRequests(queue: Virtqueue): void {
    if (holding) return;
    for (let element = queue.pop(); element !== undefined; element = queue.pop()) {
      const found = dataOf(queue, element);
      if (found === undefined) {
        device?.fail("virtio-scsi: a request without its header or without room for its answer");
        return;
      }
      const { unit: address, tag, cdb, inBytes } = found.request;
      const unit = address === undefined ? undefined : unitAt(address);
      if (unit === undefined) {
        // A target that is there answers for units that are not.
        const target = address !== undefined && unitsOf(address.target).length > 0;
        answerRequest(queue, element, form(), { response: target ? response.FAILURE : response.BAD_TARGET });
        queue.notify();
        continue;
      }
      unit.submit({ queue: queue.index - fixedQueues, element, tag, cdb, inBytes, out: found.out });
    }
  }

  function takeControl(queue: Virtqueue): void {
    if (holding) return;
    for (let element = queue.pop(); element !== undefined; element = queue.pop()) {
      if (!serveControl(queue, element, form().littleEndian, unitAt, unitsOf)) {
        device?.fail("virtio-scsi: a control request that is none");
        return;
      }
      queue.notify();
    }
  }

  function tell(what: number, { target, lun }: UnitAddress, reason: number): void {
    if (device === undefined || !device.running || !device.has(scsiFeature.CHANGE)) return;
    const queue = device.queues[eventQueue] as Virtqueue;
    const element = queue.pop();
    if (element === undefined) {
      missed = true;
      return;
    }
    const view = new DataView(new ArrayBuffer(16));
    view.setUint32(0, (what | (missed ? event.MISSED : 0)) >>> 0, device.littleEndian);
    [1, target, 0x40 | (lun >> 8), lun & 0xff].forEach((byte, i) => {
      view.setUint8(4 + i, byte);
    });
    view.setUint32(12, reason, device.littleEndian);
    missed = false;
    queue.push(element, queue.write(element, 0, new Uint8Array(view.buffer)));
    queue.notify();
  }

  function resume(): void {
    holding = false;
    if (device === undefined || device.broken || !plausible(device)) return;
    for (const unit of units) unit.resume();
  }

  /** More requests than a ring says to have been taken cannot be answered: they came so, and the driver is told. */
  function plausible(of: VirtioDevice): boolean {
    const taken = new Map<number, number>();
    for (const unit of units) {
      for (const [queue, count] of unit.taken()) taken.set(queue, (taken.get(queue) ?? 0) + count);
    }
    for (const [queue, count] of taken) {
      const inuse = of.queues[fixedQueues + queue]?.inuse ?? 0;
      if (of.broken) return false;
      if (count <= inuse) continue;
      of.fail(`virtio-scsi: ${count} requests in flight, of which request queue ${queue} has ${inuse}`);
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
      else if (index !== eventQueue) takeRequests(queue);
    },
    reset() {
      senseSize = defaultSenseBytes;
      cdbSize = defaultCdbBytes;
      missed = false;
      for (const unit of units) unit.reset();
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
      holding = false;
    },
    async quiesce() {
      holding = true;
      for (const unit of units) {
        unit.hold();
        if (carryInFlight) await unit.backend.recall?.();
      }
      await Promise.all(units.map((unit) => unit.settled()));
    },
    resumed: resume,
    retry: resume,
    capacityChanged: (unit) => tell(event.PARAM_CHANGE, unit.address, 0x2a | (0x09 << 8)),
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

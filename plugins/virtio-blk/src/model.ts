// virtioBlk(): a block device over any back end. Requests that are under way are part of its state.
import { MigrationError } from "@godwit/core";
import {
  feature,
  maxChain,
  type NoData,
  noData,
  type VirtioCheckContext,
  type VirtioDevice,
  type VirtioModel,
  type Virtqueue,
  type VirtqueueElement,
} from "@godwit/virtio-core";
import type { BlockBackend } from "./backend.ts";
import {
  capacityOf,
  configurationBytes,
  configurationWidths,
  type Geometry,
  guessedGeometry,
  writeBackAt,
  writeBackOf,
} from "./configuration.ts";
import { blkFeature, requestStatus, section, sectorBytes, serialBytes } from "./constants.ts";
import { answer, type Disk, malformed, workOf } from "./request.ts";
import { type CarriedRequest, requestList } from "./request-list.ts";

export interface VirtioBlkOptions {
  readonly backend: BlockBackend;
  /** What GET_ID answers: up to 20 ASCII characters. */
  readonly serial?: string;
  /** The default is 1. With more, MQ is offered. */
  readonly queues?: number;
  /** Entries of a ring; the default is 256. */
  readonly queueSize?: number;
  readonly readOnly?: boolean;
  /** False: DISCARD is not offered. The default is true; a back end without `discard` then does nothing. */
  readonly discard?: boolean;
  /** False: WRITE_ZEROES is not offered. The default is true; a back end without `writeZeroes` then writes zeros. */
  readonly writeZeroes?: boolean;
  /** False: CONFIG_WCE is not offered, and the driver cannot switch the cache. The default is true. */
  readonly configWce?: boolean;
  /** What a BIOS is told; by default 16 heads of 63 sectors, as QEMU makes it up. */
  readonly geometry?: Geometry;
  /** RING_PACKED is offered: QEMU then writes requests in flight with their descriptors' count. The default is false. */
  readonly packed?: boolean;
  /**
   * For a back end that may stall. `quiesce` starts nothing more and waits for what the back end has; with true it first
   * asks for what has not been begun (`recall`). What is given back travels, and is submitted again when the machine
   * runs: where it arrives or, after a failure, here. The default is false.
   */
  readonly carryInFlight?: boolean;
  /** Told of what the back end threw; the guest sees an I/O error. */
  readonly onError?: (error: unknown) => void;
}

export interface VirtioBlkModel extends VirtioModel<NoData, CarriedRequest[]> {
  /** Requests that were taken from a queue and not answered. */
  readonly inFlight: number;
  /** Submits what the back end gave back as `retry`; so does a machine that resumes. */
  retry(): void;
  /** The driver has reset a queue: what was taken from it is not answered. */
  resetQueue(index: number): void;
}

interface InFlight {
  readonly queue: number;
  readonly element: VirtqueueElement;
  /** The back end has it. */
  started: boolean;
}

const maxQueues = 256;

export function virtioBlk(options: VirtioBlkOptions): VirtioBlkModel {
  const { backend, queues = 1, queueSize = 256, carryInFlight = false, onError } = options;
  const { readOnly = false, discard = true, writeZeroes = true, configWce = true, packed = false } = options;
  const serial = serialOf(options.serial ?? "");
  if (!isCount(queues, maxQueues)) throw refused("queues", `1 to ${maxQueues}`, queues);
  if (!isRingSize(queueSize)) throw refused("queueSize", "a power of two from 4 to 1024", queueSize);
  if (!Number.isSafeInteger(backend.sizeBytes) || backend.sizeBytes < 0 || backend.sizeBytes % sectorBytes !== 0) {
    throw refused("sizeBytes", `a multiple of ${sectorBytes}`, backend.sizeBytes);
  }
  const geometry = options.geometry ?? guessedGeometry(backend.sizeBytes);
  let device: VirtioDevice | undefined;
  /** What the driver chose by CONFIG_WCE. */
  let writeBack = true;
  /** In the order in which they were taken. Replaced as a whole where the past no longer counts: reset and load. */
  let inFlight = new Set<InFlight>();
  /** Settles when the back end is done with what is under way. */
  const underWay = new Set<Promise<void>>();
  /** Requests of the past that the back end still has: a later one must not overtake them. */
  let past: Promise<void> | undefined;
  /** Nothing is started: between `quiesce` and the machine's running on. */
  let holding = false;
  /** `retry` was asked for while the past was not over. */
  let wanted = false;

  function disk(): Disk {
    const has = (bits: bigint): boolean => device?.has(bits) ?? false;
    // A driver that cannot flush must not be told of what only a cache has.
    const writeThrough = !has(blkFeature.FLUSH) || (has(blkFeature.CONFIG_WCE) && !writeBack);
    const littleEndian = device?.littleEndian ?? true;
    return { backend, readOnly, serial, discard, writeZeroes, littleEndian, writeThrough };
  }

  function queueOf({ queue }: InFlight): Virtqueue {
    return device?.queues[queue] as Virtqueue;
  }

  /** Starts a request. True where it is answered already. */
  function submit(request: InFlight): boolean {
    const queue = queueOf(request);
    const work = workOf(disk(), queue, request.element);
    if (work === malformed) {
      device?.fail("virtio-blk: a request without its header or without room for its status");
      return false;
    }
    if (typeof work === "number") return finish(request, work);
    request.started = true;
    try {
      const outcome = work.start();
      if (outcome instanceof Promise) {
        follow(request, outcome, work.data);
        return false;
      }
      return settle(request, outcome, work.data);
    } catch (error) {
      onError?.(error);
      return finish(request, requestStatus.IOERR);
    }
  }

  function follow(request: InFlight, outcome: Promise<unknown>, data: Uint8Array | undefined): void {
    // A request that is no longer there was reset, or another state has been loaded.
    const settled = outcome.then(
      (value) => inFlight.has(request) && settle(request, value, data),
      (error: unknown) => {
        onError?.(error);
        return inFlight.has(request) && finish(request, requestStatus.IOERR);
      },
    );
    const done = settled.then((answered) => {
      underWay.delete(done);
      if (answered) queueOf(request).notify();
    });
    underWay.add(done);
  }

  function settle(request: InFlight, outcome: unknown, data: Uint8Array | undefined): boolean {
    if (outcome !== "retry") return finish(request, requestStatus.OK, data);
    request.started = false;
    return false;
  }

  function finish(request: InFlight, status: number, data?: Uint8Array): boolean {
    inFlight.delete(request);
    answer(queueOf(request), request.element, status, data);
    return true;
  }

  function take(queue: Virtqueue): void {
    // What is still in its ring travels there, and a machine that runs on looks at every queue.
    if (holding) return;
    let answered = false;
    for (let element = queue.pop(); element !== undefined; element = queue.pop()) {
      const request: InFlight = { queue: queue.index, element, started: false };
      inFlight.add(request);
      if (past !== undefined) wanted = true;
      else answered = submit(request) || answered;
    }
    if (answered) queue.notify();
  }

  function retry(): void {
    holding = false;
    wanted = past !== undefined;
    if (wanted || device === undefined || device.broken) return;
    if (!plausible(device)) return;
    const answered = new Set<Virtqueue>();
    for (const request of [...inFlight]) {
      if (!request.started && submit(request)) answered.add(queueOf(request));
    }
    for (const queue of answered) queue.notify();
  }

  /** More than a ring says to have been taken cannot be given back: it came so, and the driver is told. */
  function plausible(of: VirtioDevice): boolean {
    const taken = new Map<number, number>();
    const isPacked = of.has(feature.RING_PACKED);
    for (const { queue, element } of inFlight) taken.set(queue, (taken.get(queue) ?? 0) + slotsOf(element, isPacked));
    for (const [index, count] of taken) {
      const inuse = of.queues[index]?.inuse ?? 0;
      if (of.broken) return false;
      if (count <= inuse) continue;
      of.fail(`virtio-blk: requests in flight take ${count} entries, of which queue ${index} has ${inuse}`);
      return false;
    }
    return true;
  }

  /** Lets go of every request. What the back end still has may take effect; nothing new starts before that is over. */
  function forget(): void {
    inFlight = new Set();
    wanted = false;
    outlive();
  }

  /** Nothing is started until the back end is done with what it has. */
  function outlive(): void {
    if (underWay.size === 0) return;
    const waited = Promise.all(underWay).then(() => {
      if (past !== waited) return;
      past = undefined;
      // A machine that is being saved starts nothing: it travels, or begins where the machine runs on.
      if (wanted && !holding) retry();
    });
    past = waited;
  }

  return {
    name: section.name,
    sectionVersion: section.version,
    minimumVersion: section.minimumVersion,
    deviceId: section.deviceId,
    description: noData,
    legacySave: requestList({ queues, packed }),
    features:
      blkFeature.SEG_MAX |
      blkFeature.GEOMETRY |
      blkFeature.BLK_SIZE |
      blkFeature.FLUSH |
      blkFeature.TOPOLOGY |
      (configWce ? blkFeature.CONFIG_WCE : 0n) |
      (discard ? blkFeature.DISCARD : 0n) |
      (writeZeroes ? blkFeature.WRITE_ZEROES : 0n) |
      (readOnly ? blkFeature.RO : 0n) |
      (queues > 1 ? blkFeature.MQ : 0n),
    queueSizes: new Array<number>(queues).fill(queueSize),
    // Header and status take a descriptor each.
    configBytes: () =>
      configurationBytes({
        sizeBytes: backend.sizeBytes,
        segMax: queueSize - 2,
        queues,
        geometry,
        blockBytes: sectorBytes,
        writeBack,
        discard,
        writeZeroes,
      }),
    configWidths: configurationWidths,
    writeConfig(offset, bytes) {
      const byte = bytes[writeBackAt - offset];
      if (configWce && byte !== undefined) writeBack = byte !== 0;
    },
    attach(to) {
      device = to;
    },
    kick: take,
    reset() {
      writeBack = true;
      forget();
    },
    resetQueue(index) {
      const gone = [...inFlight].filter(({ queue }) => queue === index);
      for (const request of gone) inFlight.delete(request);
      if (gone.some(({ started }) => started)) outlive();
    },
    save: () => ({}),
    saveLegacy: () => Array.from(inFlight, ({ queue, element }) => ({ queue, element })),
    check: (_, context) => checkState(context, backend.sizeBytes),
    load(_, { legacy, config, lowFeatures }) {
      // Only who negotiated it can have switched the cache; and zeros are an image that nobody has read or written.
      const switchable = (BigInt(lowFeatures) & blkFeature.CONFIG_WCE) !== 0n && config.some((byte) => byte !== 0);
      writeBack = (switchable ? writeBackOf(config) : undefined) ?? true;
      forget();
      holding = false;
      for (const { queue, element } of legacy) inFlight.add({ queue, element, started: false });
    },
    takenElements: () => Array.from(inFlight, ({ element }) => element),
    async quiesce() {
      // The guest may still run: what it adds from here on stays in its rings.
      holding = true;
      if (carryInFlight) await backend.recall?.();
      while (underWay.size > 0) await Promise.all(underWay);
    },
    resumed: retry,
    retry,
    get inFlight() {
      return inFlight.size;
    },
  };
}

function isCount(count: number, most: number): boolean {
  return Number.isInteger(count) && count >= 1 && count <= most;
}

/** Header, status and two segments at least; QEMU has none larger. */
function isRingSize(size: number): boolean {
  return Number.isInteger(Math.log2(size)) && size >= 4 && size <= maxChain;
}

function serialOf(text: string): Uint8Array {
  if (text.length > serialBytes || !/^[\x20-\x7e]*$/.test(text)) {
    throw refused("serial", `up to ${serialBytes} ASCII characters`, text);
  }
  const bytes = new Uint8Array(serialBytes);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function refused(what: string, expected: string, found: unknown): MigrationError {
  return new MigrationError("DEFINITION_INVALID", `virtio-blk's ${what} cannot be`, { expected, found: String(found) });
}

/** What an element takes of a ring, as `inuse` counts it. */
function slotsOf({ ndescs = 1 }: VirtqueueElement, isPacked: boolean): number {
  return isPacked ? ndescs : 1;
}

/** Buffer ids of a packed ring are the driver's own: any 16 bits (virtio 1.2, section 2.8.1). */
const bufferIds = 0x1_0000;

/** A request that is carried must be one that its queue can have, once; and the disk must not have shrunk. */
function checkState(context: VirtioCheckContext<CarriedRequest[]>, sizeBytes: number): undefined {
  const { legacy, config, queues, features } = context;
  const isPacked = (features & feature.RING_PACKED) !== 0n;
  const seen = new Set<string>();
  for (const [i, { queue, element }] of legacy.entries()) {
    const at = queues[queue];
    const refuse = (detail: string, expected: string, found: number): never => {
      throw new MigrationError("DEVICE_CHECK", detail, { path: `legacy[${i}]`, expected, found: String(found) });
    };
    if (at === undefined || at.desc === 0n)
      refuse("a request in flight belongs to a queue that is not set up", "a queue in use", queue);
    else {
      const places = isPacked ? bufferIds : at.num;
      if (element.index >= places)
        refuse("a request in flight has no place in its ring", `below ${places}`, element.index);
      const slots = slotsOf(element, isPacked);
      if (slots < 1 || slots > at.num)
        refuse("a request in flight cannot take so many entries", `1 to ${at.num}`, slots);
    }
    if (seen.has(`${queue}/${element.index}`)) refuse("a request in flight came twice", "each once", element.index);
    seen.add(`${queue}/${element.index}`);
  }
  const capacity = capacityOf(config);
  if (capacity !== undefined && capacity * BigInt(sectorBytes) > BigInt(sizeBytes)) {
    throw new MigrationError("DEVICE_CHECK", "the guest's disk is larger than the one here", {
      path: "config",
      expected: `at most ${sizeBytes} bytes`,
      found: `${capacity} sectors of ${sectorBytes} bytes`,
    });
  }
  return undefined;
}

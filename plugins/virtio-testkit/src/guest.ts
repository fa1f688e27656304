// A guest for tests of virtio devices: plain memory, a transport without registers, and a driver's side of the rings.
import {
  type Description,
  type DeviceInit,
  decodeState,
  encodeState,
  type KernelForPlugins,
  type StateOf,
  type View,
  virtualClock,
} from "@godwit/core";
import {
  type Dma,
  feature,
  type NoData,
  noData,
  status,
  type TransportedDevice,
  type VirtioModel,
  type VirtioTransport,
  virtioDevice,
} from "@godwit/virtio-core";

/** Memory from address 0 on. */
function plainDma(ram: Uint8Array): Dma {
  const at = (address: number, length: number): Uint8Array => {
    if (address + length > ram.length) throw new RangeError(`${address} + ${length} is outside of memory`);
    return ram.subarray(address, address + length);
  };
  return {
    after: [],
    read: at,
    write: (address, bytes) => at(address, bytes.length).set(bytes),
    staged: () => ({ read: at }),
  };
}

type Transport = VirtioTransport<NoData, NoData, NoData>;

/** What a driver needs of a machine. */
export interface Bench {
  readonly ram: Uint8Array;
  /** The driver is one from before virtio 1.0: it knows no FEATURES_OK, and places a ring by its first page. */
  readonly legacy?: boolean;
  /** The guest's CPU is big-endian: so are the rings of a legacy driver. */
  readonly bigEndian?: boolean;
  readonly device: Pick<TransportedDevice, "hostFeatures" | "setFeatures" | "setRings" | "setStatus" | "kick"> & {
    readonly queues: readonly { readonly index: number; readonly size: number }[];
  };
}

/** A device in a machine of its own. */
export interface Machine extends Bench {
  readonly device: TransportedDevice;
  /** Of the section that it saves. */
  readonly description: Description;
  /** Queue indices in the order of their interrupts; -1 for configuration. */
  readonly interrupts: number[];
  resume(): void;
  quiesce(): Promise<void>;
  save(): Uint8Array;
  /** Decodes, checks and loads, as a kernel does. Returns what the check noted. */
  load(bytes: Uint8Array): string | undefined;
}

const noView: View = {
  offer() {
    throw new Error("nothing is offered here");
  },
};

const notHere = (): never => {
  throw new Error("only devices are registered here");
};

/**
 * `moreFeatures` are offered beside the model's, VERSION_1 and RING_INDIRECT_DESC: RING_PACKED, say. `through`: what the
 * device sees memory by.
 */
export function machine<S, L>(
  model: VirtioModel<S, L>,
  ram: Uint8Array = new Uint8Array(1 << 20),
  moreFeatures = 0n,
  through: (dma: Dma) => Dma = (dma) => dma,
): Machine {
  const interrupts: number[] = [];
  let registered: { description: Description; init: DeviceInit<unknown> } | undefined;
  const kernel: KernelForPlugins = {
    clock: virtualClock(() => 0n),
    device<D extends Description>(description: D, init: DeviceInit<StateOf<D>>) {
      registered = { description, init: init as unknown as DeviceInit<unknown> };
      return { idstr: model.name, instance: 0, sectionId: 0, remove() {} };
    },
    iterable: notHere,
    kind: notHere,
    retired: notHere,
    split: notHere,
    merged: notHere,
  };
  const transport: Transport = {
    descriptions: { config: noData, queue: noData },
    notifyQueue: (index) => interrupts.push(index),
    notifyConfig: () => interrupts.push(-1),
    updateInterrupt() {},
    reset() {},
    saveConfig: () => ({}),
    saveQueue: () => ({}),
    saveExtraState: () => ({}),
    dmaEnabled: () => true,
    loadConfig() {},
    loadQueue() {},
    loadExtraState() {},
  };
  const ringFeatures = feature.VERSION_1 | feature.RING_INDIRECT_DESC;
  const { device } = virtioDevice<NoData, NoData, NoData, Transport, S, L>({
    kernel,
    path: "test",
    model,
    dma: through(plainDma(ram)),
    parameters: { hostFeatures: model.features | ringFeatures | moreFeatures, dialect: "10.0" },
    transport: () => transport,
  });
  if (registered === undefined) throw new Error("the device did not register");
  const { description, init } = registered;
  return {
    ram,
    device,
    description,
    interrupts,
    resume: () => init.resumed?.(),
    quiesce: async () => init.quiesce?.(),
    save: () =>
      encodeState(description as Description<Record<string, unknown>>, init.save() as Record<string, unknown>),
    load(bytes) {
      const state: unknown = decodeState(description, bytes);
      const answer = init.check?.(state, noView);
      if (answer !== undefined && "missing" in answer) throw new Error("memory is missing");
      init.load(answer?.amended ?? state);
      return answer?.note;
    },
  };
}

/** The guest's driver. It is what a CPU's registers are to a real one: it goes on in another machine with a copy of RAM. */
export class Driver<M extends Bench = Machine> {
  machine: M;
  readonly rings: Ring[] = [];
  #next = 0x1000;

  constructor(to: M, features?: bigint) {
    this.machine = to;
    const { device } = to;
    device.setStatus(status.ACKNOWLEDGE | status.DRIVER);
    if (!device.setFeatures(features ?? device.hostFeatures)) throw new Error("features were refused");
    const agreed = to.legacy ? 0 : status.FEATURES_OK;
    if (!to.legacy) device.setStatus(status.ACKNOWLEDGE | status.DRIVER | agreed);
    for (const { index, size } of device.queues) this.setUp(index, size);
    device.setStatus(status.ACKNOWLEDGE | status.DRIVER | agreed | status.DRIVER_OK);
  }

  /** Gives a queue a new ring. */
  setUp(index: number, size: number): void {
    const ring = new Ring(this, index, size);
    this.rings[index] = ring;
    this.machine.device.setRings(index, BigInt(ring.desc), BigInt(ring.avail), BigInt(ring.used));
  }

  ring(index: number): Ring {
    const ring = this.rings[index];
    if (ring === undefined) throw new Error(`no queue ${index}`);
    return ring;
  }

  /** Memory of the guest's own, 16-byte aligned. */
  allocate(bytes: number, alignment = 16): number {
    const at = Math.ceil(this.#next / alignment) * alignment;
    this.#next = at + ((bytes + 15) & ~15);
    if (this.#next > this.machine.ram.length) throw new Error("the guest is out of memory");
    return at;
  }

  get view(): DataView {
    const { ram } = this.machine;
    return new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
  }

  bytes(at: number, length: number): Uint8Array {
    return this.machine.ram.slice(at, at + length);
  }
}

export interface Buffer {
  readonly at: number;
  readonly length: number;
}

export class Ring {
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
  readonly #driver: Driver<Bench>;
  readonly #index: number;
  readonly #size: number;
  readonly #free: number[];
  readonly #chains = new Map<number, number[]>();
  readonly #littleEndian: boolean;
  #usedSeen = 0;

  constructor(driver: Driver<Bench>, index: number, size: number) {
    this.#driver = driver;
    this.#index = index;
    this.#size = size;
    this.#littleEndian = !(driver.machine.bigEndian ?? false);
    const page = driver.machine.legacy ? 4096 : undefined;
    this.desc = driver.allocate(16 * size, page);
    // Of a legacy ring, which is one piece, the used part alone is aligned.
    this.avail = driver.allocate(6 + 2 * size);
    this.used = driver.allocate(6 + 8 * size, page);
    driver.machine.ram.fill(0, this.desc, this.used + 6 + 8 * size);
    this.#free = Array.from({ length: size }, (_, i) => size - 1 - i);
  }

  get availIdx(): number {
    return this.#driver.view.getUint16(this.avail + 2, this.#littleEndian);
  }

  get usedIdx(): number {
    return this.#driver.view.getUint16(this.used + 2, this.#littleEndian);
  }

  /** Adds one chain; gives its head. */
  add(out: readonly Buffer[], into: readonly Buffer[]): number {
    const { view } = this.#driver;
    const all = [...out.map((b) => ({ ...b, write: 0 })), ...into.map((b) => ({ ...b, write: 2 }))];
    const ids = all.map(() => {
      const id = this.#free.pop();
      if (id === undefined) throw new Error("the ring is full");
      return id;
    });
    all.forEach(({ at, length, write }, i) => {
      const where = this.desc + 16 * (ids[i] as number);
      view.setBigUint64(where, BigInt(at), this.#littleEndian);
      view.setUint32(where + 8, length, this.#littleEndian);
      view.setUint16(where + 12, write | (i + 1 < all.length ? 1 : 0), this.#littleEndian);
      view.setUint16(where + 14, ids[i + 1] ?? 0, this.#littleEndian);
    });
    const head = ids[0] as number;
    this.#chains.set(head, ids);
    const idx = this.availIdx;
    view.setUint16(this.avail + 4 + 2 * (idx % this.#size), head, this.#littleEndian);
    view.setUint16(this.avail + 2, (idx + 1) & 0xffff, this.#littleEndian);
    return head;
  }

  kick(): void {
    this.#driver.machine.device.kick(this.#index);
  }

  /** What the device gave back since the last call. A head that was not under way is an error. */
  reap(): { readonly head: number; readonly length: number }[] {
    const { view } = this.#driver;
    const done: { head: number; length: number }[] = [];
    for (; this.#usedSeen !== this.usedIdx; this.#usedSeen = (this.#usedSeen + 1) & 0xffff) {
      const at = this.used + 4 + 8 * (this.#usedSeen % this.#size);
      const head = view.getUint32(at, this.#littleEndian);
      const ids = this.#chains.get(head);
      if (ids === undefined) throw new Error(`head ${head} was given back twice`);
      this.#chains.delete(head);
      this.#free.push(...ids.reverse());
      done.push({ head, length: view.getUint32(at + 4, this.#littleEndian) });
    }
    return done;
  }
}

/** The same guest in another machine: its memory is copied, its driver goes on there. */
export function move(driver: Driver, to: Machine): void {
  to.ram.set(driver.machine.ram);
  to.load(driver.machine.save());
  driver.machine = to;
  to.resume();
}

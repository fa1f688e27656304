// A model takes over the device of a real section: a transport that keeps what it loads, and the guest's own memory.
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
  type DmaReader,
  type TransportedDevice,
  type VirtioModel,
  type VirtioParameters,
  type VirtioTransport,
  type VirtioTransportDescriptions,
  virtioDevice,
} from "@godwit/virtio-core";

export interface Adopted {
  readonly device: TransportedDevice;
  /** Queue indices in the order of their interrupts; -1 for configuration. */
  readonly interrupts: number[];
  /** What the device wrote to memory, in order. */
  readonly writes: { readonly address: number; readonly bytes: Uint8Array }[];
  save(): Uint8Array;
  resume(): void;
  /** The guest's CPU reads and writes what the device sees. */
  peek(address: number, length: number): Uint8Array;
  poke(address: number, bytes: Uint8Array): void;
}

export interface AdoptInit<S, L, C, Q, X> {
  readonly model: VirtioModel<S, L>;
  readonly parameters: VirtioParameters;
  readonly descriptions: VirtioTransportDescriptions<C, Q, X>;
  /** The guest's memory as the device sees it; what the device writes is kept over it. */
  readonly memory: DmaReader;
  readonly bytes: Uint8Array;
}

const noView: View = {
  offer() {
    throw new Error("nothing is offered here");
  },
};
const notHere = (): never => {
  throw new Error("only devices are registered here");
};

export function adopt<S, L, C, Q, X>(init: AdoptInit<S, L, C, Q, X>): Adopted {
  const interrupts: number[] = [];
  const writes: { address: number; bytes: Uint8Array }[] = [];
  let registered: { description: Description; init: DeviceInit<unknown> } | undefined;
  const kernel: KernelForPlugins = {
    clock: virtualClock(() => 0n),
    device<D extends Description>(description: D, given: DeviceInit<StateOf<D>>) {
      registered = { description, init: given as unknown as DeviceInit<unknown> };
      return { idstr: init.model.name, instance: 0, sectionId: 0, remove() {} };
    },
    iterable: notHere,
    kind: notHere,
    retired: notHere,
    split: notHere,
    merged: notHere,
  };
  const read = (address: number, length: number): Uint8Array => {
    const bytes = init.memory.read(address, length).slice();
    for (const one of writes) {
      for (const [i, byte] of one.bytes.entries()) {
        const at = one.address + i - address;
        if (at >= 0 && at < length) bytes[at] = byte;
      }
    }
    return bytes;
  };
  const dma: Dma = {
    after: [],
    read,
    write: (address, bytes) => writes.push({ address, bytes: bytes.slice() }),
    staged: () => ({ read }),
  };
  const kept: { config?: C; queues: Q[]; extra?: X } = { queues: [] };
  const transport: VirtioTransport<C, Q, X> = {
    descriptions: init.descriptions,
    notifyQueue: (index) => interrupts.push(index),
    notifyConfig: () => interrupts.push(-1),
    updateInterrupt() {},
    reset() {},
    saveConfig: () => kept.config as C,
    saveQueue: (index) => kept.queues[index] as Q,
    saveExtraState: () => kept.extra as X,
    dmaEnabled: () => true,
    loadConfig(config) {
      kept.config = config;
    },
    loadQueue(index, queue) {
      kept.queues[index] = queue;
    },
    loadExtraState(extra) {
      kept.extra = extra;
    },
  };
  const { device, resume } = virtioDevice<C, Q, X, VirtioTransport<C, Q, X>, S, L>({
    kernel,
    path: "real",
    model: init.model,
    dma,
    parameters: init.parameters,
    transport: () => transport,
  });
  if (registered === undefined) throw new Error("the device did not register");
  const { description, init: hooks } = registered;
  const state: unknown = decodeState(description, init.bytes);
  const answer = hooks.check?.(state, noView);
  if (answer !== undefined) throw new Error(`the check changed the state: ${JSON.stringify(answer)}`);
  hooks.load(state);
  return {
    device,
    interrupts,
    writes,
    resume,
    peek: read,
    poke: dma.write,
    save: () =>
      encodeState(description as Description<Record<string, unknown>>, hooks.save() as Record<string, unknown>),
  };
}

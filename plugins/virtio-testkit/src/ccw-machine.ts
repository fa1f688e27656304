// A machine of the real parts, without a CPU: kernel, RAM, one virtio device on a subchannel; and a driver's way to it
// through channel programs in memory.
import { createKernel, type Kernel, type Plugin, virtualClock } from "@godwit/core";
import type { Dma } from "@godwit/ram-dirty-tracker";
import type { IoInterruption, VirtioCcwOffer } from "@godwit/virtio-ccw";
import type { Bench } from "./guest.ts";
import { testRam } from "./test-ram.ts";

/** What the plugin under test is given by the machine. */
export interface CcwWiring {
  readonly dma: Dma;
  readonly ioInterrupt: (interruption: IoInterruption) => void;
  readonly adapterInterrupt: (isc: number) => void;
}

export interface CcwMachine<Offer> extends Bench {
  readonly kernel: Kernel;
  readonly offer: Offer;
  /** What the guest's interrupt handlers found, in order: 0 configuration, `n` + 1 queue `n`. */
  readonly messages: number[];
  save(): Promise<Uint8Array>;
}

export interface CcwMachineOptions {
  /** Queues interrupt by adapter interruptions (the default), or by the subchannel's own. */
  readonly adapter?: boolean;
  readonly ramBytes?: number;
}

// Below what the guest's driver allocates.
const at = {
  orb: 0x100,
  program: 0x120,
  data: 0x180,
  irb: 0x200,
  schib: 0x280,
  queues: 0x300,
  config: 0x308,
  summary: 0x310,
};
const isc = 3;
const codes = {
  setRevision: 0x83,
  readFeatures: 0x12,
  writeFeatures: 0x11,
  writeStatus: 0x31,
  readQueue: 0x32,
  setQueue: 0x13,
  setIndicators: 0x43,
  setConfigIndicators: 0x53,
  setAdapterIndicators: 0x73,
};

/** What a machine is made of beside its kernel. */
export interface CcwParts<Offer> extends Pick<CcwMachine<Offer>, "offer" | "messages" | "ram"> {
  /** Enables the subchannel, and gives the driver's way to the device. */
  boot(): Bench["device"];
}

/** RAM and a subchannel; `use` takes the plugin in. Nothing is programmed. */
export function ccwParts<Offer extends VirtioCcwOffer>(
  kernel: Kernel,
  plugin: (wiring: CcwWiring) => Plugin<Offer>,
  { adapter = true, ramBytes }: CcwMachineOptions = {},
  use: (plugin: Plugin<Offer>) => Offer = (one) => kernel.use(one),
): CcwParts<Offer> {
  const messages: number[] = [];
  const { ram: memory, dma } = testRam(kernel, ramBytes);
  const view = new DataView(memory.buffer);
  const asking = { now: false };
  /** Takes the bits of a doubleword of indicators, as an interrupt handler does. */
  const taken = (address: number): number[] => {
    const bits = view.getBigUint64(address);
    view.setBigUint64(address, 0n);
    return Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => ((bits >> BigInt(bit)) & 1n) !== 0n);
  };
  const offer: Offer = use(
    plugin({
      dma,
      ioInterrupt: () => {
        // What the driver asked for itself, it looks at itself.
        if (asking.now) return;
        offer.subchannel.testSubchannel(at.irb);
        messages.push(...taken(at.config).map(() => 0));
        if (!adapter) messages.push(...taken(at.queues).map((bit) => bit + 1));
      },
      adapterInterrupt: () => {
        memory[at.summary] = 0;
        // An adapter's bits are counted from the most significant.
        messages.push(
          ...taken(at.queues)
            .map((bit) => 64 - bit)
            .reverse(),
        );
      },
    }),
  );
  return { offer, messages, ram: memory, boot: () => channel(offer, view, adapter, asking) };
}

export function ccwMachine<Offer extends VirtioCcwOffer>(
  plugin: (wiring: CcwWiring) => Plugin<Offer>,
  options: CcwMachineOptions = {},
): CcwMachine<Offer> {
  let time = 0n;
  const kernel = createKernel({
    machineType: "virtio-test",
    machine: { pause() {}, resume() {}, reset: () => offer.reset() },
    clock: virtualClock(() => time++),
  });
  const { boot, ...parts } = ccwParts(kernel, plugin, options);
  const { offer } = parts;
  kernel.resume();
  return {
    ...parts,
    kernel,
    device: boot(),
    async save() {
      const chunks: Uint8Array[] = [];
      for await (const chunk of kernel.save()) chunks.push(chunk);
      return Uint8Array.from(chunks.flatMap((chunk) => [...chunk]));
    },
  };
}

/** The driver's side of virtio 1.2, section 4.3: every access is an I/O instruction. */
function channel(
  { subchannel }: VirtioCcwOffer,
  view: DataView,
  adapter: boolean,
  asking: { now: boolean },
): Bench["device"] {
  const memory = new Uint8Array(view.buffer);
  /** Runs one command on `bytes`; gives what they are then. */
  const run = (code: number, bytes: ArrayLike<number>): Uint8Array => {
    memory.set(Uint8Array.from(bytes), at.data);
    view.setUint32(at.program, (code << 24) | bytes.length);
    view.setUint32(at.program + 4, at.data);
    [0, 0x0080ff00, at.program].forEach((word, i) => {
      view.setUint32(at.orb + 4 * i, word);
    });
    asking.now = true;
    const started = subchannel.startSubchannel(at.orb);
    asking.now = false;
    if (started !== 0) throw new Error(`SSCH said ${started}`);
    const tested = subchannel.testSubchannel(at.irb);
    const [dstat, cstat] = [view.getUint8(at.irb + 8), view.getUint8(at.irb + 9)];
    if (tested !== 0 || dstat !== 0x0c || cstat !== 0) {
      throw new Error(`command 0x${code.toString(16)}: TSCH ${tested}, status ${dstat} and ${cstat}`);
    }
    return memory.slice(at.data, at.data + bytes.length);
  };
  const be = (length: number, fill: (data: DataView) => void): Uint8Array => {
    const bytes = new Uint8Array(length);
    fill(new DataView(bytes.buffer));
    return bytes;
  };
  subchannel.storeSubchannel(at.schib);
  view.setUint16(at.schib + 4, view.getUint16(at.schib + 4) | (isc << 11) | 0x80);
  subchannel.modifySubchannel(at.schib);
  run(codes.setRevision, [0, 2, 0, 0]);
  const queueSize = (index: number): number => new DataView(run(codes.readQueue, [0, index, 0, 0]).buffer).getUint16(2);
  return {
    get hostFeatures() {
      return [0, 1].reduce((sum, word) => {
        const read = run(codes.readFeatures, [0, 0, 0, 0, word]);
        return sum | (BigInt(new DataView(read.buffer).getUint32(0, true)) << BigInt(32 * word));
      }, 0n);
    },
    get queues() {
      const queues: { index: number; size: number }[] = [];
      for (let index = 0, size = queueSize(0); size > 0; size = queueSize(++index)) queues.push({ index, size });
      return queues;
    },
    setFeatures(features) {
      for (const word of [0, 1]) {
        const half = Number((features >> BigInt(32 * word)) & 0xffff_ffffn);
        run(
          codes.writeFeatures,
          be(5, (data) => {
            data.setUint32(0, half, true);
            data.setUint8(4, word);
          }),
        );
      }
      return true;
    },
    setStatus(status) {
      // The last step: by then all queues are set up.
      if ((status & 4) !== 0) setIndicators();
      run(codes.writeStatus, [status]);
    },
    setRings(index, desc, avail, used) {
      const num = queueSize(index);
      run(
        codes.setQueue,
        be(32, (data) => {
          data.setBigUint64(0, desc);
          data.setUint16(12, index);
          data.setUint16(14, num);
          data.setBigUint64(16, avail);
          data.setBigUint64(24, used);
        }),
      );
    },
    kick(index) {
      if (!subchannel.kick(index)) throw new Error(`no queue ${index}`);
    },
  };

  function setIndicators(): void {
    run(
      codes.setConfigIndicators,
      be(8, (data) => data.setBigUint64(0, BigInt(at.config))),
    );
    if (adapter) {
      const area = be(25, (data) => {
        data.setBigUint64(0, BigInt(at.summary));
        data.setBigUint64(8, BigInt(at.queues));
        data.setUint8(24, isc);
      });
      run(codes.setAdapterIndicators, area);
    } else {
      run(
        codes.setIndicators,
        be(8, (data) => data.setBigUint64(0, BigInt(at.queues))),
      );
    }
  }
}

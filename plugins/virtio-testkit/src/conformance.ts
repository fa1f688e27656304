// The conformance suite's test of a virtio device, over PCI and over channel I/O: a guest that boots and drives it, and
// what ties the fields of its states.
import { createKernel, type Description, type Kernel, type Plugin, virtualClock } from "@godwit/core";
import type { VirtioCcwConfigState, VirtioCcwOffer } from "@godwit/virtio-ccw";
import { type Dma, feature, type TransportedDevice } from "@godwit/virtio-core";
import type { VirtioPciConfigState, VirtioPciOffer } from "@godwit/virtio-pci";
import { type CcwParts, type CcwWiring, ccwParts } from "./ccw-machine.ts";
import { Driver, type Bench as GuestBench } from "./guest.ts";
import { PackedDriver } from "./packed-driver.ts";
import { type PciParts, pciParts, pciRegisters, type Wiring } from "./pci-machine.ts";
import { testRam } from "./test-ram.ts";
import { ccwTransportOf, pciTransportOf, plainTransport, writableBits } from "./transport-states.ts";
import { type DeviceFacts, prepareSpareRings, statesOf, type VirtioStates } from "./virtio-states.ts";

/** As `Bench` of `@godwit/testkit`. */
export interface ConformanceBench {
  readonly kernel: Kernel;
  use<Offer>(plugin: Plugin<Offer>): Offer;
}

/** As `Random` of `@godwit/testkit`. */
export interface Chance {
  int(below: number): number;
  bool(): boolean;
  bytes(length: number): Uint8Array;
  pick<T>(list: readonly T[]): T;
}

export const conformanceSlot = "00:02.0";
export const conformanceBusId = "fe.0.0001";

/** The guest in the middle of its work. */
export interface ConformanceGuest<Offer> {
  readonly offer: Offer;
  readonly random: Chance;
  /**
   * Puts a request into a queue: pieces that the device reads, and room that it writes to. The queue is kicked, or not if
   * `kick` is false: then the request waits there.
   */
  ask(queue: number, out: readonly Uint8Array[], room?: readonly number[], kick?: boolean): void;
}

export interface VirtioConformance<W, Offer> extends VirtioStates {
  /** The section's name, such as `virtio-rng`. */
  readonly name: string;
  readonly plugin: (wiring: W) => Plugin<Offer>;
  /** The driver accepts packed rings, which the plugin must offer. */
  readonly packed?: boolean;
  /** Image of configuration space as its driver reads it; the default is none. */
  readonly config?: (offer: NoInfer<Offer>) => Uint8Array;
  /** What the guest does once its driver is at work. */
  readonly drive: (guest: ConformanceGuest<NoInfer<Offer>>) => void | Promise<void>;
}

type PciWiring = Wiring & { readonly slot: string };
type ChannelWiring = CcwWiring & { readonly busId: string };

/** `setup`, `exercise` and `arbitrary` of a plugin's test: the device as a PCI function. */
export function pciConformance<Offer extends VirtioPciOffer>(init: VirtioConformance<PciWiring, Offer>) {
  const plugin = (wiring: Wiring): Plugin<Offer> => init.plugin({ slot: conformanceSlot, ...wiring });
  const probe = once(() => {
    const { kernel, saved } = recording();
    const { offer } = pciParts(kernel, plugin);
    const own = saved().transport as VirtioPciConfigState;
    const writable = writableBits(offer.function, own.pci_dev.config.length);
    return { facts: factsOf(init, offer), transport: pciTransportOf(own, writable) };
  });
  return {
    setup: (bench: ConformanceBench) => withSpareRings(pciParts(bench.kernel, plugin, (one) => bench.use(one))),
    async exercise({ offer, ram }: PciParts<Offer>, random: Chance): Promise<void> {
      offer.reset();
      await drive(init, offer, { ram, device: pciRegisters(offer) }, random);
      // Registers that no driver of virtio writes.
      offer.function.configWrite(0x3c, 1, random.int(0x100));
    },
    arbitrary: statesOf(`0000:${conformanceSlot}/${init.name}`, init, probe),
  };
}

/** What a device's plugin needs that brings its own transport. */
export interface PlainWiring {
  readonly dma: Dma;
}

/** The same for a device whose plugin is its own transport, and registers `plain/` and its name. */
export function plainConformance<Offer extends { readonly device: TransportedDevice }>(
  init: VirtioConformance<PlainWiring, Offer>,
) {
  const parts = (kernel: Kernel, use: (plugin: Plugin<Offer>) => Offer) => {
    const { ram, dma } = testRam(kernel);
    return { ram, offer: use(init.plugin({ dma })) };
  };
  const probe = once(() => {
    const { kernel } = recording();
    return { facts: factsOf(init, parts(kernel, (one) => kernel.use(one)).offer), transport: plainTransport };
  });
  return {
    setup: (bench: ConformanceBench) => withSpareRings(parts(bench.kernel, (one) => bench.use(one))),
    async exercise({ offer, ram }: { readonly offer: Offer; readonly ram: Uint8Array }, random: Chance): Promise<void> {
      offer.device.reset();
      await drive(init, offer, { ram, device: offer.device }, random);
    },
    arbitrary: statesOf(`plain/${init.name}`, init, probe),
  };
}

/** The same for a device on a subchannel. */
export function ccwConformance<Offer extends VirtioCcwOffer>(init: VirtioConformance<ChannelWiring, Offer>) {
  const plugin = (wiring: CcwWiring): Plugin<Offer> => init.plugin({ busId: conformanceBusId, ...wiring });
  const probe = once(() => {
    const { kernel, saved } = recording();
    const { offer } = ccwParts(kernel, plugin);
    return { facts: factsOf(init, offer), transport: ccwTransportOf(saved().transport as VirtioCcwConfigState) };
  });
  return {
    setup: (bench: ConformanceBench) => withSpareRings(ccwParts(bench.kernel, plugin, {}, (one) => bench.use(one))),
    async exercise({ offer, ram, boot }: CcwParts<Offer>, random: Chance): Promise<void> {
      offer.reset();
      await drive(init, offer, { ram, device: boot() }, random);
    },
    arbitrary: statesOf(`/${conformanceBusId}/${init.name}`, init, probe),
  };
}

async function drive<W, Offer>(
  { packed = false, drive: work }: VirtioConformance<W, Offer>,
  offer: Offer,
  machine: GuestBench,
  random: Chance,
): Promise<void> {
  const offered = machine.device.hostFeatures & ~(packed ? 0n : feature.RING_PACKED);
  const features = random.bool() ? offered : offered & ~feature.RING_EVENT_IDX;
  const driver = packed ? new PackedDriver<GuestBench>(machine, features) : new Driver<GuestBench>(machine, features);
  const place = (bytes: Uint8Array) => {
    const at = driver.allocate(bytes.length);
    machine.ram.set(bytes, at);
    return { at, length: bytes.length };
  };
  await work({
    offer,
    random,
    ask(queue, out, room = [], kick = true) {
      const ring = driver.ring(queue);
      ring.reap();
      ring.add(
        out.map(place),
        room.map((length) => place(new Uint8Array(length))),
      );
      if (kick) ring.kick();
    },
  });
}

function factsOf<W, Offer extends Pick<VirtioPciOffer, "device">>(
  { config }: VirtioConformance<W, Offer>,
  offer: Offer,
): DeviceFacts {
  const { hostFeatures, queues } = offer.device;
  return { hostFeatures, queues: queues.length, config: config?.(offer) ?? new Uint8Array(0) };
}

function withSpareRings<P extends { readonly ram: Uint8Array }>(parts: P): P {
  prepareSpareRings(parts.ram);
  return parts;
}

/** A kernel of its own, and what the virtio device in it saves: the section that was registered first. */
function recording(): { kernel: Kernel; saved: () => { readonly transport: unknown } } {
  const kernel = createKernel({
    machineType: "virtio-probe",
    machine: { pause() {}, resume() {}, reset() {} },
    clock: virtualClock(() => 0n),
  });
  const register = kernel.device.bind(kernel);
  let save: (() => unknown) | undefined;
  const device = (description: Description, init: Parameters<typeof register>[1]) => {
    save ??= () => init.save();
    return register(description, init);
  };
  Object.assign(kernel, { device });
  return { kernel, saved: () => save?.() as { readonly transport: unknown } };
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

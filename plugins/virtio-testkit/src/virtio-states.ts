// What ties the common fields of a virtio device's states: features to what is offered, rings to memory, indices to each
// other, and every list of queues to the queues that there are.
import {
  type AnyVirtioState,
  feature,
  legacyRing,
  type PackedVirtqueueState,
  type VirtioState,
  type VirtqueueAddresses,
  type VirtqueueElement,
} from "@godwit/virtio-core";
import { type TransportFit, vectorOf } from "./transport-states.ts";

/** What a device is, which no state may contradict. */
export interface DeviceFacts {
  readonly hostFeatures: bigint;
  readonly queues: number;
  /** Image of configuration space. */
  readonly config: Uint8Array;
}

/** What a device class adds. */
export interface VirtioStates {
  /** The class's own fields, where they are tied; the rest of the state fits already. May give a copy. */
  // biome-ignore lint/suspicious/noExplicitAny: a class knows its own fields
  readonly state?: (state: any) => unknown;
  /** By section or path, as `arbitrary` of a plugin's test. */
  readonly more?: Arbitraries;
}

// biome-ignore lint/suspicious/noExplicitAny: as fast-check's, whose states are the author's to know
type Generated = any;
/** As `Arbitraries` of `@godwit/testkit`. */
export type Arbitraries = Readonly<Record<string, (base: Generated) => Generated>>;

type Probed = () => { readonly facts: DeviceFacts; readonly transport: AnyTransportFit };
// biome-ignore lint/suspicious/noExplicitAny: of whatever transport
type AnyTransportFit = TransportFit<any>;
type State = VirtioState<unknown, { vector: number }, { modern_state?: ModernState }, unknown, unknown>;
interface ModernState {
  readonly vqs: unknown[];
}

const low = 0xffff_ffffn;

/** Arbitraries of a device's section, made of what its description tells. */
export function statesOf(section: string, { state: own = (state) => state, more = {} }: VirtioStates, probe: Probed) {
  const arbitrary: Arbitraries = {
    // Drawn before what is counted by them, or looks at them.
    guest_features: (base) => base.map((bits: number) => Number(BigInt(bits) & probe().facts.hostFeatures & low)),
    config_len: (base) => base.map(() => probe().facts.config.length),
    queue_count: (base) => base.map(() => probe().facts.queues),
    [section]: (base) =>
      base.map((state: State) => {
        const { facts, transport } = probe();
        return own(fitted(state, facts, transport));
      }),
    ...more,
  };
  return arbitrary;
}

function fitted(state: State, facts: DeviceFacts, transport: AnyTransportFit): State {
  const { hostFeatures, queues } = facts;
  const { config, reachesMemory } = transport.fit(state.transport, state.isr, queues);
  const { virtio } = state;
  const features = BigInt(state.guest_features) | (virtio.features64.guest_features & hostFeatures & ~low);
  const look = { features, hostFeatures, reachesMemory, broken: virtio.broken.broken };
  const fits = state.vqs.map((queue, i) => fitQueue(look, queue, packedOf(virtio, i), addressesOf(virtio, i)));
  const { modern_state: modern } = virtio.extra_state.extra_state;
  return {
    ...state,
    transport: config,
    // As nobody has read it yet, or as it is.
    config: (state.config[0] ?? 0) % 4 === 0 ? new Uint8Array(facts.config.length) : facts.config.slice(),
    vqs: state.vqs.map((queue, i) => ({
      ...queue,
      ...(fits[i] as Fit).queue,
      transport: { vector: vectorOf(queue.transport.vector, transport.vectors(queues)) },
    })),
    virtio: {
      ...virtio,
      features64: { guest_features: features },
      virtqueues: { vq: virtio.virtqueues.vq.map((_, i) => fits[i]?.addresses ?? { avail: 0n, used: 0n }) },
      ringsize: {
        num_default: virtio.ringsize.num_default.map((num, i) => (i < queues ? 1 + (num % 1024) : 0)),
      },
      packed_virtqueues: { vq: virtio.packed_virtqueues.vq.map((_, i) => fits[i]?.packed ?? fresh) },
      ...(modern && {
        extra_state: {
          extra_state: { modern_state: { ...modern, vqs: modern.vqs.map((one, i) => (i < queues ? one : unused)) } },
        },
      }),
    },
  };
}

const fresh: PackedVirtqueueState = {
  last_avail_idx: 0,
  last_avail_wrap_counter: true,
  used_idx: 0,
  used_wrap_counter: true,
  inuse: 0,
};

const unused = {
  num: 0,
  enabled: 0,
  desc_low: 0,
  desc_high: 0,
  avail_low: 0,
  avail_high: 0,
  used_low: 0,
  used_high: 0,
};

interface Look {
  readonly features: bigint;
  readonly hostFeatures: bigint;
  readonly reachesMemory: boolean;
  readonly broken: boolean;
}

interface Fit {
  readonly queue: {
    readonly num: number;
    readonly align: number;
    readonly desc: bigint;
    readonly last_avail_idx: number;
  };
  readonly addresses: VirtqueueAddresses;
  readonly packed: PackedVirtqueueState;
}

type Queue = State["vqs"][number];

/** A queue that is not set up, a ring of a driver from before virtio 1.0, a split ring, or a packed one. */
function fitQueue(look: Look, queue: Queue, packed: PackedVirtqueueState, given: VirtqueueAddresses): Fit {
  const isModern = (look.features & feature.VERSION_1) !== 0n;
  const isPacked = (look.features & feature.RING_PACKED) !== 0n;
  // A driver may choose any size; of a split ring, one that the spare rings fit.
  const num = isPacked ? 1 + (queue.num % 1024) : 4 + (queue.num % 1021);
  if (queue.desc % 4n === 0n) {
    const indices = { ...packed, last_avail_idx: 0 };
    return fit(look, { num, desc: 0n, last: 0 }, { avail: 0n, used: 0n }, isPacked ? indices : splitOf(indices));
  }
  const spare = Number(given.avail & 0xffffn) % spareRings;
  const place = isModern ? { desc: tableAt(queue.desc), ...spareAt(spare) } : legacyPlace(num);
  const base = isModern ? (bases[spare] as number) : 0;
  if (isPacked) {
    const indices = look.reachesMemory ? tied(packed, num) : packed;
    return fit(look, { num, desc: place.desc, last: indices.last_avail_idx }, place, indices);
  }
  const inuse = isModern ? (queue.last_avail_idx & 0xff) % (spareWaiting + 1) : 0;
  const last = look.reachesMemory ? (base + inuse) & 0xffff : queue.last_avail_idx;
  const seen = look.broken ? { used_idx: 0, inuse: 0 } : { used_idx: base, inuse };
  const indices = { ...packed, last_avail_idx: last, ...(look.reachesMemory ? seen : {}) };
  return fit(look, { num, desc: place.desc, last }, place, splitOf(indices));
}

function fit(
  { hostFeatures }: Look,
  { num, desc, last }: { readonly num: number; readonly desc: bigint; readonly last: number },
  { avail, used }: VirtqueueAddresses,
  packed: PackedVirtqueueState,
): Fit {
  const offers = (bit: bigint) => (hostFeatures & bit) !== 0n;
  return {
    queue: { num, align: 4096, desc, last_avail_idx: last },
    addresses: offers(feature.VERSION_1) ? { avail, used } : { avail: 0n, used: 0n },
    packed: offers(feature.RING_PACKED) ? packed : fresh,
  };
}

/** A split ring has no laps. */
function splitOf(indices: PackedVirtqueueState): PackedVirtqueueState {
  return { ...indices, last_avail_wrap_counter: true, used_wrap_counter: true };
}

/** The next available slot is as far from the next used one as slots are in use. */
function tied(packed: PackedVirtqueueState, num: number): PackedVirtqueueState {
  const used_idx = packed.used_idx % num;
  const inuse = packed.inuse % (num + 1);
  const isNextLap = used_idx + inuse >= num;
  return {
    used_idx,
    used_wrap_counter: packed.used_wrap_counter,
    inuse,
    last_avail_idx: (used_idx + inuse) % num,
    last_avail_wrap_counter: packed.used_wrap_counter !== isNextLap,
  };
}

const packedOf = ({ packed_virtqueues }: AnyVirtioState["virtio"], index: number): PackedVirtqueueState =>
  packed_virtqueues.vq[index] ?? fresh;
const addressesOf = ({ virtqueues }: AnyVirtioState["virtio"], index: number): VirtqueueAddresses =>
  virtqueues.vq[index] ?? { avail: 0n, used: 0n };

/** Parts of split rings in memory: requests 0 to `spareWaiting` behind an index are available, none is used. */
const spareWaiting = 3;
const bases = [0, 1, 0x7fff, 0xfffe, 0xfffd, 0x8000, 0x1234, 0xff00] as const;
const spareRings: number = bases.length;
const spareFrom = 0x2_0000;
const spareBytes = 0x4000;
const usedBehind = 0x1000;
/** Memory that stays zero: a ring of a driver from before virtio 1.0, on which nothing has gone on. */
const zerosFrom = 0x1_0000;

function spareAt(index: number): VirtqueueAddresses {
  const avail = spareFrom + spareBytes * index;
  return { avail: BigInt(avail), used: BigInt(avail + usedBehind) };
}

/** Descriptors are looked at: they lie in memory. */
function tableAt(found: bigint): bigint {
  return BigInt(zerosFrom) + 16n * (found % 256n);
}

function legacyPlace(num: number) {
  return legacyRing(BigInt(zerosFrom), num, 4096);
}

/** Writes them into a machine's RAM; a guest's driver allocates below. */
export function prepareSpareRings(ram: Uint8Array): void {
  const view = new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
  for (const [i, base] of bases.entries()) {
    const { avail, used } = spareAt(i);
    view.setUint16(Number(avail) + 2, (base + spareWaiting) & 0xffff, true);
    view.setUint16(Number(used) + 2, base, true);
  }
}

/** A request in flight that a device may have taken from a queue: `place` is another one for each. */
export function carriedElement(
  { vqs, virtio }: AnyVirtioState,
  queue: number,
  { index, out, ndescs }: VirtqueueElement,
  place: number,
): VirtqueueElement {
  const isPacked = (virtio.features64.guest_features & feature.RING_PACKED) !== 0n;
  const num = vqs[queue]?.num ?? 1;
  return {
    index: isPacked ? (index + place) & 0xffff : place % num,
    out: [...out.slice(0, 2), { address: 0x3000 + (index % 4096), length: 1 + (index % 512) }],
    in: [{ address: 0x5000, length: 1 + (index % 9) }],
    ...(ndescs !== undefined && { ndescs: 1 + (ndescs % Math.min(num, 3)) }),
  };
}

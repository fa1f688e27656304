// The description "virtio" v1: no fields, and the subsections that every virtio device may send.
import {
  type AnyRecord,
  array,
  bool,
  type Description,
  type Field,
  mustExist,
  type Scope,
  type StateOf,
  type Subsection,
  sameValue,
  struct,
  subsection,
  u8,
  u16,
  u32,
  u64,
  vmstate,
} from "@godwit/core";
import { endian, feature, maxQueues } from "./constants.ts";
import { noData } from "./no-data.ts";
import type { VirtioParameters, VirtioTransportDescriptions } from "./section.ts";

const virtqueueState = vmstate({ name: "virtqueue_state", version: 1, fields: { avail: u64, used: u64 } });
const packedVirtqueueState = vmstate({
  name: "packed_virtqueue_state",
  version: 1,
  fields: {
    last_avail_idx: u16,
    last_avail_wrap_counter: bool,
    used_idx: u16,
    used_wrap_counter: bool,
    inuse: u32,
  },
});

/** Where the driver put the other two parts of a ring. */
export type VirtqueueAddresses = StateOf<typeof virtqueueState>;
/** The indices of a packed ring (virtio 1.2, section 2.8). */
export type PackedVirtqueueState = StateOf<typeof packedVirtqueueState>;

/** What the subsections of "virtio" add up to. The arrays always have 1,024 entries, one for each possible queue. */
export interface VirtioSubsections<X> {
  /** 1 little, 2 big. What negotiated VERSION_1 is always little. */
  device_endian: { device_endian: number };
  /** Negotiated features from bit 64 on. */
  features128: { guest_features: bigint };
  /** All of the lower 64 bits, the low half once more. */
  features64: { guest_features: bigint };
  virtqueues: { vq: VirtqueueAddresses[] };
  /** Ring sizes that a reset restores. */
  ringsize: { num_default: Uint32Array };
  broken: { broken: boolean };
  extra_state: { extra_state: X };
  started: { started: boolean };
  packed_virtqueues: { vq: PackedVirtqueueState[] };
  disabled: { disabled: boolean };
}

/** Of a device without VERSION_1: rings follow from the address of the descriptor table. */
export const noAddresses: { readonly vq: VirtqueueAddresses[] } = {
  vq: new Array<VirtqueueAddresses>(maxQueues).fill(Object.freeze({ avail: 0n, used: 0n })),
};

/** How a queue begins; the wrap counters of a packed ring are both 1 (virtio 1.2, section 2.8.1). */
export const freshIndices: PackedVirtqueueState = Object.freeze({
  last_avail_idx: 0,
  last_avail_wrap_counter: true,
  used_idx: 0,
  used_wrap_counter: true,
  inuse: 0,
});

/** Of a device that does not offer packed rings. */
export const freshPackedQueues: { readonly vq: PackedVirtqueueState[] } = {
  vq: new Array<PackedVirtqueueState>(maxQueues).fill(freshIndices),
};

/**
 * The body that ends every virtio section (wire reference 13.4; QEMU: vmstate_virtio). Where QEMU decides by offered
 * features, so does `needed` here; what did not come is what QEMU would take.
 */
export function virtioSubsections<X>(
  parameters: VirtioParameters,
  extra: VirtioTransportDescriptions<unknown, unknown, X>["extraState"],
): Description<VirtioSubsections<X>> {
  const { hostFeatures } = parameters;
  const offers = (bits: bigint): boolean => (hostFeatures & bits) !== 0n;
  const targetEndian = parameters.targetEndian === "big" ? endian.big : endian.little;
  const description = vmstate({
    name: "virtio",
    version: 1,
    fields: {},
    subsections: {
      device_endian: subsection({
        name: "virtio/device_endian",
        version: 1,
        fields: { device_endian: u8 },
        needed: (own, { record }) => own.device_endian !== endianOf(record, targetEndian),
        absent: ({ record }) => ({ device_endian: endianOf(record, targetEndian) }),
      }),
      features128: subsection({
        name: "virtio/128bit_features",
        version: 1,
        fields: { guest_features: u64 },
        needed: () => parameters.dialect !== "7.2" && hostFeatures >> 64n !== 0n,
        absent: { guest_features: 0n },
      }),
      features64: subsection({
        name: "virtio/64bit_features",
        version: 1,
        fields: { guest_features: u64 },
        needed: () => BigInt.asUintN(64, hostFeatures) >> 32n !== 0n,
        absent: (scope) => ({ guest_features: BigInt(section(scope).guest_features) }),
      }),
      virtqueues: subsection({
        name: "virtio/virtqueues",
        version: 1,
        fields: { vq: array(struct(virtqueueState), maxQueues) },
        needed: () => offers(feature.VERSION_1),
        // A function: what core copies only where it is used. The arrays are long, and tools make many descriptions.
        absent: () => noAddresses,
      }),
      ringsize: subsection({
        name: "virtio/ringsize",
        version: 1,
        fields: { num_default: array(u32, maxQueues) },
        needed: (own, scope) => !sameValue(own.num_default, ringSizes(scope)),
        absent: (scope) => ({ num_default: ringSizes(scope) }),
      }),
      broken: flag("broken"),
      extra_state: subsection({
        name: "virtio/extra_state",
        version: 1,
        fields: {
          // Like QEMU, a transport without extra state refuses what another kind of transport has sent.
          extra_state: extra ? struct(extra.description) : mustExist(() => false, struct(noData) as Field<X>),
        },
        needed: () => extra?.needed ?? false,
        absent: (() => ({ extra_state: extra ? extra.absent : {} })) as never,
      }),
      started: flag("started"),
      packed_virtqueues: subsection({
        name: "virtio/packed_virtqueues",
        version: 1,
        fields: { vq: array(struct(packedVirtqueueState), maxQueues) },
        needed: () => offers(feature.RING_PACKED),
        absent: () => freshPackedQueues,
      }),
      disabled: flag("disabled"),
    },
    // Only here are the features known that decide what an endianness that did not come means.
    postLoad: (state) =>
      state.device_endian.device_endian === endian.unknown
        ? { ...state, device_endian: { device_endian: endianOf(state, targetEndian) } }
        : state,
  });
  // As in section.ts: the compiler does not look into mapped types over the open parameter X.
  return description as unknown as Description<VirtioSubsections<X>>;
}

function flag<K extends "broken" | "started" | "disabled">(key: K): Subsection<Record<K, boolean>> {
  const state = (value: boolean) => ({ [key]: value });
  const made = subsection({
    name: `virtio/${key}`,
    version: 1,
    fields: { [key]: bool },
    needed: (own) => own[key] === true,
    absent: state(false),
  });
  return made as unknown as Subsection<Record<K, boolean>>;
}

/** Legacy: the CPU's. Unknown, as long as the record does not have the features yet. */
function endianOf(record: AnyRecord, targetEndian: number): number {
  const features: bigint | undefined = record["features64"]?.guest_features;
  if (features === undefined) return endian.unknown;
  return (features & feature.VERSION_1) === 0n ? targetEndian : endian.little;
}

/** The record of the section around "virtio". */
function section(scope: Scope): AnyRecord {
  return scope.parent?.record ?? {};
}

function ringSizes(scope: Scope): Uint32Array {
  const sizes = new Uint32Array(maxQueues);
  (section(scope)["vqs"] as { num: number }[]).forEach(({ num }, i) => {
    sizes[i] = num;
  });
  return sizes;
}

// The section of a virtio device as QEMU's virtio_save writes it: transport, common fields, queues, device, subsections.
import {
  array,
  checked,
  type Description,
  type Field,
  range,
  struct,
  u8,
  u16,
  u32,
  u64,
  vbuffer,
  vmstate,
  when,
} from "@godwit/core";
import { maxQueues } from "./constants.ts";
import { type NoData, noData } from "./no-data.ts";
import { type VirtioSubsections, virtioSubsections } from "./subsections.ts";

/** Which QEMU release the bytes are written for. Reading takes either. */
export type VirtioDialect = "7.2" | "10.0";

/** What decides about the wire, and is not on it. Plain data. */
export interface VirtioParameters {
  /** Every bit that the device offers. Several subsections travel by what is offered, not by what was negotiated. */
  readonly hostFeatures: bigint;
  readonly dialect: VirtioDialect;
  /** The byte order of the guest's CPU by default; `little` if not given. Legacy devices only look at it. */
  readonly targetEndian?: "little" | "big";
}

/** How a transport's part of the section is described. `C` is its config, `Q` its data of a queue, `X` its extra state. */
export interface VirtioTransportDescriptions<C, Q, X> {
  readonly config: Description<C>;
  /** The data that follows each queue; `noData` where there is none. */
  readonly queue: Description<Q>;
  /** True where the driver sets the alignment of a legacy ring (virtio-mmio): it then travels with the queue. */
  readonly variableAlign?: boolean;
  readonly extraState?: {
    readonly description: Description<X>;
    /** Whether this instance sends it (QEMU: has_extra_state). */
    readonly needed: boolean;
    readonly absent: X;
  };
}

/** One queue. The address of a ring's other two parts is in `virtio.virtqueues`, or follows from `desc` (legacy). */
export interface VirtqueueState<Q> {
  /** Ring size, entries. */
  num: number;
  /** Alignment of a legacy ring's used part, bytes. */
  align: number;
  /** Address of the descriptor table; 0 where the driver has not set up the queue. */
  desc: bigint;
  /** The available entry that the device takes next, mod 2^16. */
  last_avail_idx: number;
  transport: Q;
}

/** The state of a virtio device. `L` is what the device class writes before its description (virtio-blk's requests). */
export interface VirtioState<C, Q, X, D, L> {
  transport: C;
  status: number;
  isr: number;
  queue_sel: number;
  /** The low 32 bits of the negotiated features; all of them are in `virtio.features64`. */
  guest_features: number;
  config_len: number;
  /** Image of the device's configuration space. */
  config: Uint8Array;
  /** Number of queues up to the first of size 0. */
  queue_count: number;
  vqs: VirtqueueState<Q>[];
  legacy: L;
  device: D;
  virtio: VirtioSubsections<X>;
}

export interface VirtioSectionInit<C, Q, X, D, L> {
  /** The section's name, such as `virtio-net`. */
  readonly name: string;
  readonly version: number;
  readonly minimumVersion?: number;
  readonly parameters: VirtioParameters;
  readonly transport: VirtioTransportDescriptions<C, Q, X>;
  /** The device class's description, such as `virtio-net-device`. Its fields see the section's record as the parent. */
  readonly device: Description<D>;
  /** What the device class writes before that (QEMU: VirtioDeviceClass::save). */
  readonly legacySave?: Field<L>;
}

/** Of a legacy ring's used part. Bytes. */
const alignment = checked(u32, (bytes) => bytes > 0 && (bytes & (bytes - 1)) === 0, "a power of two");

// A device's config space is far below a page; nothing justifies more.
const maxConfigBytes = 4096;

/**
 * The fields up to the queues: what a virtio section begins with, whatever the device. A tool that does not know the
 * device yet reads these first.
 */
export function commonFields<C, Q, X>(transport: VirtioTransportDescriptions<C, Q, X>) {
  const variableAlign = transport.variableAlign ?? false;
  const queue = vmstate({
    name: "(virtqueue)",
    version: 1,
    fields: {
      num: u32,
      align: when(() => variableAlign, alignment, { absent: 4096 }),
      desc: u64,
      last_avail_idx: u16,
      transport: struct(transport.queue),
    },
  });
  return {
    transport: struct(transport.config),
    status: u8,
    isr: u8,
    queue_sel: range(u16, 0, maxQueues - 1),
    guest_features: u32,
    config_len: u32,
    config: vbuffer("config_len", { max: maxConfigBytes }),
    queue_count: u32,
    vqs: array(struct(queue), "queue_count", { max: maxQueues }),
  } as const;
}

/**
 * The description of a whole virtio section (wire reference 13.2; QEMU: virtio_save). A section written from a state
 * has exactly the subsections that QEMU would send.
 */
export function virtioSection<C, Q, X, D, L = NoData>(
  init: VirtioSectionInit<C, Q, X, D, L>,
): Description<VirtioState<C, Q, X, D, L>> {
  const { name, version, minimumVersion = version, parameters, transport, device } = init;
  const section = vmstate({
    name,
    version,
    minimumVersion,
    fields: {
      ...commonFields(transport),
      legacy: init.legacySave ?? struct(noData),
      device: struct(device),
      virtio: struct(virtioSubsections(parameters, transport.extraState)),
    },
  });
  // The compiler cannot relate mapped types over the open parameters to the interface; a test does for closed ones.
  return section as unknown as Description<VirtioState<C, Q, X, D, L>>;
}

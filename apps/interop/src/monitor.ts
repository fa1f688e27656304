// What QEMU itself says of its virtio devices, in the terms of a decoded state: so that both can be compared.
import { type AnyVirtioState, negotiated, ringOf } from "@godwit/virtio-core";
import type { Qemu } from "./qemu.ts";

/** A device as far as both ways of looking at it tell. */
export interface SeenDevice {
  readonly status: number;
  readonly isr: number;
  readonly queueSelect: number;
  readonly broken: boolean;
  readonly started: boolean;
  readonly littleEndian: boolean;
  /** How many features were negotiated; QEMU tells names for those that it knows, and the others' bits. */
  readonly features: number;
  readonly ringFeatures: readonly string[];
  readonly queues: readonly SeenQueue[];
}

export interface SeenQueue {
  readonly num: number;
  readonly lastAvailIdx: number;
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
}

interface QemuStatus {
  readonly isr: number;
  readonly "queue-sel": number;
  readonly broken: boolean;
  readonly started: boolean;
  readonly "device-endian": string;
  readonly "num-vqs": number;
  readonly status: { readonly statuses: readonly string[] };
  readonly "guest-features": {
    readonly "dev-features": readonly string[];
    readonly transports: readonly string[];
    readonly "unknown-dev-features"?: number;
  };
}

interface QemuQueue {
  readonly "vring-num": number;
  readonly "last-avail-idx": number;
  readonly "vring-desc": number;
  readonly "vring-avail": number;
  readonly "vring-used": number;
}

const statusBits: Readonly<Record<string, number>> = {
  VIRTIO_CONFIG_S_ACKNOWLEDGE: 1,
  VIRTIO_CONFIG_S_DRIVER: 2,
  VIRTIO_CONFIG_S_DRIVER_OK: 4,
  VIRTIO_CONFIG_S_FEATURES_OK: 8,
  VIRTIO_CONFIG_S_NEEDS_RESET: 64,
  VIRTIO_CONFIG_S_FAILED: 128,
};

const ringFeatureBits: Readonly<Record<string, bigint>> = {
  VIRTIO_RING_F_INDIRECT_DESC: 1n << 28n,
  VIRTIO_RING_F_EVENT_IDX: 1n << 29n,
  VIRTIO_F_VERSION_1: 1n << 32n,
  VIRTIO_F_IOMMU_PLATFORM: 1n << 33n,
};

/** The queues of a state, as its device would go on with them; those that the driver has not set up have no address. */
export function seenInState(state: AnyVirtioState): SeenDevice {
  const features = negotiated(state);
  return {
    status: state.status,
    isr: state.isr,
    queueSelect: state.queue_sel,
    broken: state.virtio.broken.broken,
    started: state.virtio.started.started,
    littleEndian: state.virtio.device_endian.device_endian !== 2,
    features: popcount(features),
    ringFeatures: Object.keys(ringFeatureBits).filter((name) => (features & (ringFeatureBits[name] ?? 0n)) !== 0n),
    queues: state.vqs.map(({ num, last_avail_idx: lastAvailIdx }, index) => {
      const { desc = 0n, avail = 0n, used = 0n } = ringOf(state, index) ?? {};
      return { num, lastAvailIdx, desc: Number(desc), avail: Number(avail), used: Number(used) };
    }),
  };
}

/** `queues`: how many of them to ask for. */
export async function seenByQemu(qemu: Qemu, path: string, queues: number): Promise<SeenDevice> {
  const status = await qemu.qmp<QemuStatus>("x-query-virtio-status", { path });
  const { "dev-features": own, transports, "unknown-dev-features": unknown = 0 } = status["guest-features"];
  const nameOf = (text: string): string => text.replace(/:.*/s, "");
  const seen: SeenQueue[] = [];
  for (let queue = 0; queue < queues; queue++) {
    const at = await qemu.qmp<QemuQueue>("x-query-virtio-queue-status", { path, queue });
    seen.push({
      num: at["vring-num"],
      lastAvailIdx: at["last-avail-idx"],
      desc: at["vring-desc"],
      avail: at["vring-avail"],
      used: at["vring-used"],
    });
  }
  return {
    status: status.status.statuses.reduce((sum, text) => sum | statusBit(nameOf(text)), 0),
    isr: status.isr,
    queueSelect: status["queue-sel"],
    broken: status.broken,
    started: status.started,
    littleEndian: status["device-endian"] === "little",
    features: own.length + transports.length + popcount(BigInt(unknown)),
    ringFeatures: Object.keys(ringFeatureBits).filter((name) => transports.some((text) => nameOf(text) === name)),
    queues: seen,
  };
}

/** Paths of QEMU's virtio devices, by their names: `virtio-blk`, and `virtio-serial` for the section virtio-console. */
export async function virtioPaths(qemu: Qemu): Promise<ReadonlyMap<string, string>> {
  const devices = await qemu.qmp<{ name: string; path: string }[]>("x-query-virtio");
  return new Map(devices.map(({ name, path }) => [name === "virtio-serial" ? "virtio-console" : name, path]));
}

/** Guest-physical memory, as the monitor's `xp` reads it. */
export async function examine(qemu: Qemu, gpa: number, length: number): Promise<Uint8Array> {
  const text = await qemu.monitor(`xp /${length}xb 0x${gpa.toString(16)}`);
  return Uint8Array.from(
    text
      .split("\n")
      .flatMap((line) => line.replace(/^[^:]*:/, "").match(/0x[0-9a-f]+/g) ?? [])
      .map(Number),
  );
}

function statusBit(name: string): number {
  const bit = statusBits[name];
  if (bit === undefined) throw new Error(`QEMU names a status ${name}`);
  return bit;
}

function popcount(bits: bigint): number {
  return [...bits.toString(2)].filter((digit) => digit === "1").length;
}

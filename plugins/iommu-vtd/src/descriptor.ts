// One invalidation descriptor, carried out.
// Source: VT-d specification, "Invalidation Descriptors"; which types are known without scalable mode is QEMU's unit's.
import type { Capability } from "./capability.ts";
import type { GuestMemory } from "./dma.ts";
import type { InterruptEntryCache } from "./interrupt-cache.ts";
import { invalidateContexts, invalidateTranslations } from "./invalidation.ts";
import type { ContextCache, Iotlb } from "./iotlb.ts";

export const descriptorType = {
  CONTEXT: 1,
  IOTLB: 2,
  DEVICE_TLB: 3,
  INTERRUPT_CACHE: 4,
  WAIT: 5,
  PASID_IOTLB: 6,
  PASID_CACHE: 7,
} as const;

const waitFlag = { INTERRUPT: 0x10, STATUS_WRITE: 0x20 } as const;

/** A device with a TLB of its own is to drop `bytes` from `iova` on, both of them 2^64 at most and so bigints. */
export type InvalidateDeviceTlb = (sourceId: number, iova: bigint, bytes: bigint) => void;

/** What descriptors act on. */
export interface DescriptorTargets {
  readonly capability: Capability;
  readonly memory: GuestMemory;
  readonly contexts: ContextCache;
  readonly iotlb: Iotlb;
  readonly interruptEntries: InterruptEntryCache;
  readonly invalidateDeviceTlb: InvalidateDeviceTlb | undefined;
  /** A wait descriptor asked for an interrupt. */
  readonly onWaitComplete: () => void;
}

/** A descriptor's 32-bit words: four, or eight. */
export type Words = readonly [number, number, number, number, ...number[]];

export function typeOf([word0]: Words): number {
  return word0 & 0xf;
}

/** False where the descriptor is not valid. `MEMORY_UNMAPPED` where the status of a wait lies outside memory. */
export function carryOut(targets: DescriptorTargets, words: Words): boolean {
  const { capability, memory } = targets;
  const [word0, word1, word2, word3] = words;
  const type = typeOf(words);
  if (reservedBits(type, words)) return false;
  const how = (word0 >>> 4) & 0x3;
  const domainId = word0 >>> 16;
  switch (type) {
    case descriptorType.CONTEXT: {
      const target = { domainId, sourceId: word1 & 0xffff, functionMask: (word1 >>> 16) & 0x3 };
      return invalidateContexts(targets.contexts, how, target);
    }
    case descriptorType.IOTLB:
      return invalidateTranslations(targets.iotlb, how, domainId, word2, word3);
    case descriptorType.DEVICE_TLB: {
      if (!capability.deviceTlb) return false;
      const { iova, bytes } = deviceRange((BigInt(word3) << 32n) | BigInt(word2));
      targets.invalidateDeviceTlb?.(word1 & 0xffff, iova, bytes);
      return true;
    }
    case descriptorType.INTERRUPT_CACHE:
      if (!capability.intremap) return false;
      if ((word0 & 0x10) === 0) targets.interruptEntries.clear();
      else targets.interruptEntries.clearIndexes(word1 & 0xffff, word0 >>> 27);
      return true;
    case descriptorType.WAIT:
      if ((word0 & waitFlag.STATUS_WRITE) !== 0) memory.write(word3 * 2 ** 32 + word2, littleEndian(word1));
      if ((word0 & waitFlag.INTERRUPT) !== 0) targets.onWaitComplete();
      return true;
    case descriptorType.PASID_IOTLB:
    case descriptorType.PASID_CACHE:
      // Nothing that depends on a PASID is cached, as scalable mode is not translated.
      return capability.scalableMode;
    default:
      return false;
  }
}

/** S clear is one page; S set is as many pages as the ones from bit 12 up tell, and twice that. */
function deviceRange(upper: bigint): { iova: bigint; bytes: bigint } {
  const address = upper & ~0xfffn;
  if ((upper & 1n) === 0n) return { iova: address, bytes: 4096n };
  let bytes = 8192n;
  while (bytes < 1n << 64n && (address & (bytes >> 1n)) !== 0n) bytes <<= 1n;
  return { iova: address & ~(bytes - 1n), bytes };
}

/** Bits that must be zero in each type of descriptor; an unknown type has none to look at. */
function reservedBits(type: number, [word0, word1, word2, word3, ...upper]: Words): boolean {
  if (type <= descriptorType.WAIT && upper.some((word) => word !== 0)) return true;
  switch (type) {
    case descriptorType.CONTEXT:
      return (word0 & 0xffc0) !== 0 || (word1 & 0xfffc_0000) !== 0 || word2 !== 0 || word3 !== 0;
    case descriptorType.IOTLB:
      return (word0 & 0xff00) !== 0 || word1 !== 0 || (word2 & 0xf80) !== 0;
    case descriptorType.DEVICE_TLB:
      return (word0 & 0xffe0_fff0) !== 0 || (word1 & 0xffff_0000) !== 0 || (word2 & 0xffe) !== 0;
    case descriptorType.INTERRUPT_CACHE:
      return (word0 & 0x07ff_ffe0) !== 0 || (word1 & 0xffff_0000) !== 0 || word2 !== 0 || word3 !== 0;
    case descriptorType.WAIT:
      return (word0 & 0xffff_ff80) !== 0 || (word2 & 0x3) !== 0 || (word3 & 0xfff0_0000) !== 0;
    default:
      return false;
  }
}

function littleEndian(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

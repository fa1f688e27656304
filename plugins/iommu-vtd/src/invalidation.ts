// Invalidations: what drops which cache entries, and the two registers that ask for it.
import type { ContextCache, Iotlb } from "./iotlb.ts";
import { COMMAND_BUSY, maximumAddressMask, type RegisterFile, register } from "./registers.ts";

/** Granularities, in registers and descriptors alike; 0 is none and never valid. */
const granularity = { GLOBAL: 1, DOMAIN: 2, DEVICE: 3, PAGE: 3 } as const;

/** Drops context entries. False: the request is not a valid one. */
export function invalidateContexts(
  contexts: ContextCache,
  how: number,
  target: { readonly domainId: number; readonly sourceId: number; readonly functionMask: number },
): boolean {
  if (how === granularity.GLOBAL) contexts.clear();
  else if (how === granularity.DOMAIN) contexts.clearDomain(target.domainId);
  else if (how === granularity.DEVICE) contexts.clearDevice(target.sourceId, target.functionMask);
  return how !== 0;
}

/**
 * Drops translations. `low` and `high` are the address with its mask (IVA, or the upper half of a descriptor): 2^AM
 * pages of 4 KiB from ADDR, which is taken as aligned to them. False: the request is not a valid one.
 */
export function invalidateTranslations(
  iotlb: Iotlb,
  how: number,
  domainId: number,
  low: number,
  high: number,
): boolean {
  if (how === granularity.GLOBAL) iotlb.clear();
  else if (how === granularity.DOMAIN) iotlb.clearDomain(domainId);
  else if (how === granularity.PAGE) {
    const mask = low & 0x3f;
    if (mask > maximumAddressMask) return false;
    const bytes = 4096 * 2 ** mask;
    const address = high * 2 ** 32 + ((low & 0xffff_f000) >>> 0);
    iotlb.clearPages(domainId, Math.floor(address / bytes) * bytes, bytes);
  }
  return how !== 0;
}

/**
 * CCMD, after its upper half was written: ICC asks, and is cleared with CAIG telling what was done; 0 is a request that
 * was not valid. While the invalidation queue is on (`allowed` false) none is.
 */
export function contextCommand(registers: RegisterFile, contexts: ContextCache, allowed: boolean): void {
  const high = registers.get(register.CCMD + 4);
  if ((high & COMMAND_BUSY) === 0) return;
  const low = registers.get(register.CCMD);
  const how = (high >>> 29) & 0x3;
  const target = { domainId: low & 0xffff, sourceId: low >>> 16, functionMask: high & 0x3 };
  const done = allowed && invalidateContexts(contexts, how, target) ? how : 0;
  registers.set(register.CCMD + 4, (high & ~(COMMAND_BUSY | (0x3 << 27))) | (done << 27));
}

/** The IOTLB register, after its upper half was written: IVT asks, IAIG answers, as in CCMD. */
export function iotlbCommand(registers: RegisterFile, iotlb: Iotlb, allowed: boolean): void {
  const high = registers.get(register.IOTLB + 4);
  if ((high & COMMAND_BUSY) === 0) return;
  const how = (high >>> 28) & 0x3;
  const [low, upper] = [registers.get(register.IVA), registers.get(register.IVA + 4)];
  const done = allowed && invalidateTranslations(iotlb, how, high & 0xffff, low, upper) ? how : 0;
  registers.set(register.IOTLB + 4, (high & ~(COMMAND_BUSY | (0x3 << 25))) | (done << 25));
}

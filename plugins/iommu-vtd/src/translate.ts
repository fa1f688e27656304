// From a state and guest memory to translated addresses: for tools, for checks of what arrived, and for the live unit.
import { MigrationError } from "@godwit/core";
import { capabilityOf } from "./capability.ts";
import type { VtdState } from "./description.ts";
import { denied, describe, faultReason, hex, type Request, TranslationFault } from "./fault.ts";
import type { ContextCache, Iotlb } from "./iotlb.ts";
import { global, RegisterFile, register, tableMode } from "./registers.ts";
import { sourceIdOf } from "./source-id.ts";
import { type Context, type Mapping, type Root, readContext, type TableMemory, walkPages } from "./tables.ts";

/** Where a device address leads. */
export interface Translation {
  /** Guest-physical address of the byte. */
  readonly gpa: number;
  /** Bytes of the page that the answer holds for, aligned in the device's addresses. */
  readonly pageBytes: number;
  readonly read: boolean;
  readonly write: boolean;
  /** The domain whose page tables were walked; undefined where the address is taken as it is. */
  readonly domainId: number | undefined;
}

export interface Translator {
  /**
   * Translates one address for a device (`"00:02.0"`, or its 16-bit source id). Throws `TRANSLATION_FAULT`, which says
   * at which table, level and address the walk ended.
   */
  translate(bdf: number | string, iova: number, write: boolean): Translation;
}

/** The live unit's caches, and what they count. */
export interface Caches {
  readonly contexts: ContextCache;
  readonly iotlb: Iotlb;
  readonly counts: { hits: number; misses: number; walks: number };
}

/**
 * Translates as a unit of this state does, reading the guest's tables from `memory` at every call. The root table is
 * the one that SRTP latched (`state.root`); with translation off (GSTS.TES 0) an address is taken as it is.
 */
export function translator(state: VtdState, memory: TableMemory): Translator {
  return cachedTranslator(state, memory, undefined);
}

/** Untranslated addresses are answered for a page at a time. Bytes. */
const identityPageBytes = 4096;

export function cachedTranslator(state: VtdState, memory: TableMemory, caches: Caches | undefined): Translator {
  const registers = new RegisterFile(state.csr);
  const capability = capabilityOf(registers);
  // Latched with the root table, but not part of the state: after a load it is what RTADDR holds, as in QEMU.
  const mode = capability.scalableMode ? (registers.get(register.RTADDR) & tableMode.MASK) >>> tableMode.SHIFT : 0;

  function contextOf(request: Request): Context {
    const known = caches?.contexts.lookup(request.sourceId);
    if (known !== undefined) return known;
    refuseOtherModes(mode, request);
    const context = readContext(memory, rootOf(state, registers, request), capability, request);
    caches?.contexts.insert(request.sourceId, context);
    return context;
  }

  function mappingOf(context: Context, request: Request): Mapping {
    if (caches === undefined) return walkPages(memory, context, capability, request);
    const known = caches.iotlb.lookup(context.domainId, request.iova);
    // An entry that does not allow the access is no answer: the tables may, and if not they tell the reason.
    if (known !== undefined && (request.write ? known.write : known.read)) {
      caches.counts.hits++;
      return known;
    }
    caches.counts.misses++;
    caches.counts.walks++;
    const mapping = walkPages(memory, context, capability, request);
    caches.iotlb.insert(context.domainId, request.iova, mapping);
    return mapping;
  }

  return {
    translate(bdf, iova, write) {
      const request = { sourceId: sourceIdOf(bdf), iova, write };
      if (!Number.isSafeInteger(iova) || iova < 0) {
        throw new TranslationFault(request, { reason: faultReason.ADDRESS_TOO_LARGE, what: "this is no address" });
      }
      if (!registers.has(register.GSTS, global.TRANSLATION)) return asItIs(iova);
      if (iova >= 0xfee0_0000 && iova <= 0xfeef_ffff) {
        const what = "the interrupt address range is not translated";
        throw new TranslationFault(request, { reason: denied(request), what });
      }
      const context = contextOf(request);
      if (context.passThrough) return asItIs(iova);
      const mapping = mappingOf(context, request);
      return {
        ...mapping,
        gpa: mapping.gpa + (iova % mapping.pageBytes),
        domainId: context.domainId,
      };
    },
  };
}

function asItIs(iova: number): Translation {
  return { gpa: iova, pageBytes: identityPageBytes, read: true, write: true, domainId: undefined };
}

/** RTADDR.TTM: 0 is legacy mode, the one whose tables are read here. */
function refuseOtherModes(mode: number, request: Request): void {
  if (mode === 0) return;
  throw new MigrationError(
    "TRANSLATION_FAULT",
    `${describe(request)}: the guest uses ${mode === 1 ? "scalable" : "another than legacy"} mode, which is not supported`,
    { expected: "RTADDR.TTM 0 (legacy mode)", found: `RTADDR.TTM ${mode}` },
  );
}

/** The latched root table. Without one there is nothing to walk, which is another mistake than an empty table. */
function rootOf(state: VtdState, registers: RegisterFile, request: Request): Root {
  const written = registers.pageAddress(register.RTADDR);
  if (!registers.has(register.GSTS, global.ROOT_POINTER)) {
    throw new TranslationFault(request, {
      reason: faultReason.ROOT_UNREADABLE,
      what: "translation is on, but no root table was ever set (SRTP)",
      expected: "GSTS.RTPS 1",
      found: `GSTS.RTPS 0, RTADDR ${hex(written)}`,
    });
  }
  const table = Number(state.root);
  const note = table === written ? "" : ` (RTADDR holds another table, ${hex(written)}, that SRTP has not set)`;
  return { table, note };
}

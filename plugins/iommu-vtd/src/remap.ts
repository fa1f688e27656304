// From a device's interrupt message to the one that is delivered, through the guest's interrupt-remapping table.
// Source: VT-d specification, "Interrupt Request Formats" and "Interrupt Remapping Hardware Operation".
import type { VtdState } from "./description.ts";
import { InterruptFault, type InterruptRequest, interruptFaultReason } from "./fault.ts";
import type { InterruptEntryCache } from "./interrupt-cache.ts";
import { checkSource } from "./interrupt-source.ts";
import { type InterruptEntry, readInterruptEntry } from "./interrupt-table.ts";
import { global, RegisterFile, register } from "./registers.ts";
import { sourceIdOf } from "./source-id.ts";
import type { TableMemory } from "./tables.ts";

/** The message that is delivered, and what it says. */
export interface RemappedInterrupt {
  /** Lower half of the address; the upper half is 0 but for bits 31 to 8 of a 32-bit destination (EIME). */
  readonly address: number;
  readonly upperAddress: number;
  readonly data: number;
  /** Which entry of the table it went through; undefined where the message was taken as it is. */
  readonly index: number | undefined;
}

export interface InterruptRemapper {
  /**
   * Remaps one message of a device (`"00:02.0"`, or its 16-bit source id): `data`, of 32 bits, written to `address`.
   * Throws `TRANSLATION_FAULT` where it is blocked, which says by which entry, and why.
   */
  remap(bdf: number | string, address: number, data: number): RemappedInterrupt;
}

/**
 * What becomes of messages that are not in remappable format while interrupt remapping is on. `"cfi"`, as in the
 * specification: they pass where the guest has asked for that (GSTS.CFIS) and destinations have 8 bits. `"pass"`, as
 * in QEMU: they always pass, and CFI does nothing.
 */
export type CompatibilityFormat = "cfi" | "pass";

export interface RemapperOptions {
  /** Default: `"cfi"`. */
  readonly compatibilityFormat?: CompatibilityFormat;
}

/** Remaps as a unit of this state does, reading the guest's table from `memory` at every call. */
export function interruptRemapper(
  state: VtdState,
  memory: TableMemory,
  { compatibilityFormat = "cfi" }: RemapperOptions = {},
): InterruptRemapper {
  return cachedRemapper(state, memory, compatibilityFormat, undefined);
}

export function cachedRemapper(
  state: VtdState,
  memory: TableMemory,
  compatibilityFormat: CompatibilityFormat,
  cache: InterruptEntryCache | undefined,
): InterruptRemapper {
  const registers = new RegisterFile(state.csr);

  function entryOf(index: number, request: InterruptRequest): InterruptEntry {
    const known = cache?.lookup(index);
    if (known !== undefined) return known;
    const table = { root: Number(state.intr_root), entries: state.intr_size };
    const entry = readInterruptEntry(memory, table, index, request);
    cache?.insert(index, entry);
    return entry;
  }

  return {
    remap(bdf, address, data) {
      const request = { sourceId: sourceIdOf(bdf), address, data };
      if (!state.intr_enabled || !isInterruptAddress(address)) return asItIs(address, data);
      if ((address & format.REMAPPABLE) === 0) {
        const passes = registers.has(register.GSTS, global.COMPATIBILITY_FORMAT) && !state.intr_eime;
        if (compatibilityFormat === "pass" || passes) return asItIs(address, data);
        throw blocked(request, state.intr_eime);
      }
      const index = indexOf(request);
      const entry = entryOf(index, request);
      checkSource(entry, index, request);
      return { ...compose(entry, state.intr_eime), index };
    },
  };
}

/** Bits of an address in remappable format. */
const format = { REMAPPABLE: 0x10, SUBHANDLE_VALID: 0x08 } as const;

function isInterruptAddress(address: number): boolean {
  return address >= 0xfee0_0000 && address <= 0xfeef_ffff;
}

/** HANDLE, whose bit 15 stands apart, and with SHV the subhandle from the data. */
function indexOf(request: InterruptRequest): number {
  const { address, data } = request;
  const handle = ((address >>> 5) & 0x7fff) | ((address & 0x4) << 13);
  if ((address & format.SUBHANDLE_VALID) === 0) return handle;
  if (data > 0xffff) {
    throw new InterruptFault(request, 0, {
      reason: interruptFaultReason.REQUEST_RESERVED,
      what: "a subhandle has 16 bits",
      expected: "data of at most 0xffff",
      found: `0x${data.toString(16)}`,
    });
  }
  return handle + data;
}

function blocked(request: InterruptRequest, wide: boolean): InterruptFault {
  return new InterruptFault(request, 0, {
    reason: interruptFaultReason.COMPATIBILITY_BLOCKED,
    what: "a message in compatibility format is blocked while interrupts are remapped",
    expected: wide ? "remappable format, as destinations have 32 bits" : "remappable format, or GSTS.CFIS 1",
    found: "compatibility format",
  });
}

/** The message of an entry. Its data says "asserted", as edge-triggered messages of QEMU's unit do, too. */
function compose(entry: InterruptEntry, wide: boolean): Omit<RemappedInterrupt, "index"> {
  const id = wide ? entry.destination & 0xff : (entry.destination >>> 8) & 0xff;
  const flags = (entry.redirectionHint ? 0x8 : 0) | (entry.logical ? 0x4 : 0);
  return {
    address: (0xfee0_0000 | (id << 12) | flags) >>> 0,
    upperAddress: wide ? (entry.destination & 0xffff_ff00) >>> 0 : 0,
    data: entry.vector | (entry.deliveryMode << 8) | 0x4000 | (entry.level ? 0x8000 : 0),
  };
}

function asItIs(address: number, data: number): RemappedInterrupt {
  return { address: address >>> 0, upperAddress: Math.floor(address / 2 ** 32), data, index: undefined };
}

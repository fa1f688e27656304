// The plugin: registers the unit with a kernel and hands out its registers and the DMA of the devices behind it.
import type { Dependency, Plugin, Registration, View } from "@godwit/core";
import { checkSameUnit, checkVtdState } from "./check.ts";
import { vtd } from "./description.ts";
import { type Dma, type GuestMemory, readThrough, writeThrough } from "./dma.ts";
import type { SignalMsi } from "./events.ts";
import { sourceIdOf } from "./source-id.ts";
import { type Translator, translator } from "./translate.ts";
import { type IommuStatistics, Unit } from "./unit.ts";
import { version } from "./version.ts";

/** Guest RAM as the assembler hands it over. */
export interface Ram {
  readonly memory: GuestMemory;
  /** What a device that reads this memory must be checked and loaded after. */
  readonly after: readonly Dependency[];
  /** The memory that arrived, for checks. */
  staged(view: View): Pick<GuestMemory, "read">;
}

export interface VtdIommuOptions {
  readonly memory: Ram;
  /** Bits of device addresses: 39 (three levels of tables, the default) or 48 (three or four). */
  readonly addressWidth?: 39 | 48;
  /** CAP.CM: the guest is to invalidate after every change of a table. */
  readonly cachingMode?: boolean;
  /** ECAP.PT: context entries may say "pass through". The default is true. */
  readonly passThrough?: boolean;
  /** Devices to be checked and loaded before this one, beside the memory. */
  readonly after?: readonly Dependency[];
  /** Delivers the unit's own interrupts. Without it they stay pending in FECTL and IECTL, for a guest that polls. */
  readonly signalMsi?: SignalMsi;
}

export interface VtdIommuOffer {
  readonly registration: Registration;
  /**
   * The registers, at offsets 0 to 0xfff. Accesses have 4 bytes, and 64-bit registers are two of them; a command in
   * one is carried out when its upper half is written. Other sizes read as all ones and write nothing.
   */
  readonly mmio: {
    read(offset: number, size: number): number;
    write(offset: number, size: number, value: number): void;
  };
  /**
   * The DMA of one device. `ordered: false` leaves the IOMMU out of `after`, for a machine whose devices are loaded
   * before it: their checks then translate as the unit does that is already there.
   */
  dmaFor(bdf: number | string, choice?: { readonly ordered?: boolean }): Dma;
  statistics(): IommuStatistics;
  reset(): void;
}

/**
 * An Intel VT-d unit: legacy mode, second-level tables, register and queued invalidation; no interrupt remapping and no
 * device TLB. Checks of dependents see it as a `Translator` over the state and memory that arrived.
 */
export function vtdIommu(options: VtdIommuOptions): Plugin<VtdIommuOffer> {
  const { memory: ram, addressWidth = 39, cachingMode = false, passThrough = true, after = [], signalMsi } = options;
  return {
    name: "@godwit/iommu-vtd",
    version,
    contract: 2,
    setup(kernel) {
      const unit = new Unit({ addressWidth, cachingMode, passThrough }, ram.memory, signalMsi);
      const registration = kernel.device(vtd, {
        after: [...ram.after, ...after],
        save: () => unit.state,
        offer: (state, view): Translator => translator(state, ram.staged(view)),
        check: (state) => {
          checkVtdState(state);
          checkSameUnit(state, unit.state.csr);
          return undefined;
        },
        load: (state) => unit.load(state),
      });
      const self: Dependency = { idstr: registration.idstr, instance: registration.instance };
      return {
        registration,
        mmio: {
          read: (offset, size) => unit.readRegister(offset, size),
          write: (offset, size, value) => unit.writeRegister(offset, size, value),
        },
        dmaFor(bdf, { ordered = true } = {}) {
          const sourceId = sourceIdOf(bdf);
          return {
            after: ordered ? [self, ...ram.after] : ram.after,
            read: (address, length) =>
              readThrough(ram.memory, (iova) => unit.translate(sourceId, iova, false), address, length),
            write: (address, bytes) =>
              writeThrough(ram.memory, (iova) => unit.translate(sourceId, iova, true), address, bytes),
            staged: (view) => {
              const memory = ram.staged(view);
              const { translate } = view.offer<Translator>(self);
              return {
                read: (address, length) =>
                  readThrough(memory, (iova) => translate(sourceId, iova, false), address, length),
              };
            },
          };
        },
        statistics: () => unit.statistics(),
        reset: () => unit.reset(),
      };
    },
  };
}

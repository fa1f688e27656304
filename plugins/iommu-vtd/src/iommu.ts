// The plugin: registers the unit with a kernel and hands out its registers and the DMA of the devices behind it.
import type { Dependency, Plugin, Registration, View } from "@godwit/core";
import { type CapabilityOptions, chooseCapability } from "./capability.ts";
import { checkSameUnit, checkVtdState } from "./check.ts";
import { vtd } from "./description.ts";
import type { InvalidateDeviceTlb } from "./descriptor.ts";
import { type AbsentMemory, type Dma, demandThrough, type GuestMemory, readThrough, writeThrough } from "./dma.ts";
import type { SignalMsi } from "./events.ts";
import type { CompatibilityFormat, RemappedInterrupt } from "./remap.ts";
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
  /** Without it, memory is always there. */
  readonly postcopy?: AbsentMemory;
}

/** The capabilities must be those of the units whose states are to be loaded: `optionsFor(state)` tells them. */
export interface VtdIommuOptions extends CapabilityOptions {
  readonly memory: Ram;
  /** Devices to be checked and loaded before this one, beside the memory. */
  readonly after?: readonly Dependency[];
  /**
   * Delivers the unit's own interrupts and those of the devices behind it. Without it the unit's own stay pending in
   * FECTL and IECTL, for a guest that polls, and those of devices are lost.
   */
  readonly signalMsi?: SignalMsi;
  /** With `intremap`: whether messages that are not in remappable format pass. Default: `"cfi"`, as the guest says. */
  readonly compatibilityFormat?: CompatibilityFormat;
  /** With `deviceTlb`: told of every invalidation of a device's own TLB. */
  readonly invalidateDeviceTlb?: InvalidateDeviceTlb;
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
  /**
   * The interrupts of one device, remapped and given to `signalMsi`. A message that the guest's table does not allow is
   * recorded as a fault and not delivered.
   */
  msiFor(bdf: number | string): (address: number, data: number) => void;
  /**
   * Remaps a message and delivers nothing: for a machine that wires its interrupts itself. `TRANSLATION_FAULT` where it
   * is blocked; the fault is recorded.
   */
  remap(bdf: number | string, address: number, data: number): RemappedInterrupt;
  statistics(): IommuStatistics;
  reset(): void;
}

/**
 * An Intel VT-d unit: legacy mode, second-level tables, register and queued invalidation, interrupt remapping. Checks of
 * dependents see it as a `Translator` over the state and memory that arrived.
 */
export function vtdIommu(options: VtdIommuOptions): Plugin<VtdIommuOffer> {
  const { memory: ram, after = [], signalMsi, invalidateDeviceTlb, compatibilityFormat = "cfi" } = options;
  const choice = chooseCapability(options);
  const { postcopy } = ram;
  return {
    name: "@godwit/iommu-vtd",
    version,
    contract: 2,
    setup(kernel) {
      const unit = new Unit(choice, {
        memory: ram.memory,
        postcopy,
        signalMsi,
        invalidateDeviceTlb,
        compatibilityFormat,
      });
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
              writeThrough(ram.memory, (iova) => unit.translate(sourceId, iova, true), address, bytes, postcopy),
            staged: (view) => {
              const memory = ram.staged(view);
              const { translate } = view.offer<Translator>(self);
              return {
                read: (address, length) =>
                  readThrough(memory, (iova) => translate(sourceId, iova, false), address, length),
              };
            },
            ...(postcopy && {
              postcopy: {
                get active() {
                  return postcopy.active;
                },
                demand: (address, length, write) =>
                  demandThrough(postcopy, (iova) => unit.probe(sourceId, iova, write), address, length, write),
                whenPresent: (error) => postcopy.whenPresent(error),
              },
            }),
          };
        },
        msiFor(bdf) {
          const sourceId = sourceIdOf(bdf);
          return (address, data) => unit.signal(sourceId, address, data);
        },
        remap: (bdf, address, data) => unit.remap(sourceIdOf(bdf), address, data),
        statistics: () => unit.statistics(),
        reset: () => unit.reset(),
      };
    },
  };
}

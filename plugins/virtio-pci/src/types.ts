// What the PCI transport takes and gives: a device model in, a PCI function and a section out.
import type { Registration } from "@godwit/core";
import type { Dma, VirtioDevice, VirtioDialect, VirtioModel, VirtioParameters } from "@godwit/virtio-core";

/** A PCI function as the machine routes accesses to it. Values are little-endian numbers of 1, 2 or 4 bytes. */
export interface PciFunction {
  /** `bus:slot.function`, such as `00:02.0`. */
  readonly bdf: string;
  configRead(offset: number, size: number): number;
  configWrite(offset: number, size: number, value: number): void;
  readonly bars: readonly PciBar[];
}

export interface PciBar {
  readonly index: number;
  /** Bytes. */
  readonly size: number;
  /** Where the guest has put it; undefined while it is not decoded. */
  address(): number | undefined;
  read(offset: number, size: number): number;
  write(offset: number, size: number, value: number): void;
}

/** Which registers a function has: those of virtio 1.0, those before it, or both. */
export type VirtioPciMode = "modern" | "transitional" | "legacy";

export interface VirtioPciOptions<S, L> {
  /** `00:02.0` */
  readonly slot: string;
  /** Where the section says that it is; the default is `0000:` and the slot. Behind a bridge: `0000:00:04.0:00.0`. */
  readonly path?: string;
  /** The default is modern. A legacy or transitional function needs a virtio device id that has a legacy one. */
  readonly mode?: VirtioPciMode;
  /** A PCI Express endpoint, with 4,096 bytes of configuration space; `ats` adds address translation services. */
  readonly express?: boolean | { readonly ats: boolean };
  readonly model: VirtioModel<S, L>;
  readonly dma: Dma;
  /** Delivers a message-signalled interrupt. */
  readonly signalMsi: (address: number, data: number) => void;
  /** Sets the function's interrupt line (INTA). Without it the line leads nowhere. */
  readonly setIntx?: (level: boolean) => void;
  /** 0: no MSI-X. The default is one a queue and one for configuration. */
  readonly msixVectors?: number;
  /** The device sits behind an IOMMU, and offers ACCESS_PLATFORM. The default is true of a modern function; others cannot. */
  readonly accessPlatform?: boolean;
  /** Ring features beside VERSION_1; the default is RING_INDIRECT_DESC, RING_EVENT_IDX and RING_RESET. */
  readonly ringFeatures?: bigint;
  /** What legacy registers offer beside the lower 32 bits of the model; the default is ANY_LAYOUT. */
  readonly legacyFeatures?: bigint;
  /** The byte order of the guest's CPU by default, which a legacy driver has; `little` if not given. */
  readonly targetEndian?: "little" | "big";
  /** The byte order of the CPU at a reset of the device, where a guest may choose it; `targetEndian` if not given. */
  readonly cpuEndian?: () => "little" | "big";
  readonly dialect?: VirtioDialect;
}

/** What the plugin offers to whoever assembles the machine. */
export interface VirtioPciOffer {
  readonly registration: Registration;
  readonly function: PciFunction;
  readonly device: VirtioDevice;
  /** The machine is reset: configuration space and the device are as after power-on. */
  reset(): void;
}

/** What decides about the bytes of a virtio-pci section, beside what the device class adds. Plain data. */
export interface VirtioPciParameters extends VirtioParameters {
  /** 256, or 4096 for a PCI Express function. */
  readonly configBytes: 256 | 4096;
  /** 0: the function has no MSI-X. */
  readonly msixVectors: number;
  /** False: a legacy function, which has no modern registers. */
  readonly modern: boolean;
  /** False: a machine type older than 2.4, which sends no extra state. The default is true. */
  readonly migrateExtra?: boolean;
}

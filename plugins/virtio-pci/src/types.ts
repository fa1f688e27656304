// What the PCI transport takes and gives: a device model in, a PCI function and a section out.
import type { Description, Field, Registration } from "@godwit/core";
import type {
  Dma,
  NoData,
  VirtioDevice,
  VirtioDialect,
  VirtioModel,
  VirtioParameters,
  VirtqueueState,
} from "@godwit/virtio-core";

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

export interface VirtioPciOptions<S, L> {
  /** `00:02.0` */
  readonly slot: string;
  readonly model: VirtioModel<S, L>;
  readonly dma: Dma;
  /** Delivers a message-signalled interrupt. */
  readonly signalMsi: (address: number, data: number) => void;
  /** Sets the function's interrupt line (INTA). Without it the line leads nowhere. */
  readonly setIntx?: (level: boolean) => void;
  /** 0: no MSI-X. The default is one a queue and one for configuration. */
  readonly msixVectors?: number;
  /** The default is true: the device sits behind an IOMMU, and offers ACCESS_PLATFORM. */
  readonly accessPlatform?: boolean;
  /** Ring features beside VERSION_1; the default is RING_INDIRECT_DESC and RING_EVENT_IDX. */
  readonly ringFeatures?: bigint;
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

/** What of a section is known before the device class's own part. */
export interface VirtioPciFacts {
  /** The PCI device id. */
  readonly deviceId: number;
  readonly status: number;
  /** The low 32 bits of the negotiated features. */
  readonly guestFeatures: number;
  /** Image of the device's configuration space. */
  readonly config: Uint8Array;
  readonly queues: readonly VirtqueueState<unknown>[];
  /** From the first byte that the device class writes; goes on beyond its end. */
  readonly tail: Uint8Array;
}

/** A device class as the family of its sections needs it. `P` are parameters of its own. */
export interface VirtioPciClass<P, S, L = NoData> {
  /** The section's name, such as `virtio-net`. */
  readonly name: string;
  readonly version: number;
  readonly minimumVersion: number;
  readonly deviceId: number;
  readonly description: (parameters: P & VirtioPciParameters) => Description<S>;
  readonly legacySave?: (parameters: P & VirtioPciParameters) => Field<L>;
  /** Parameters of the class; `PARAMETER_AMBIGUOUS` or `PARAMETER_WRONG` where they cannot be told. */
  readonly infer: (facts: VirtioPciFacts) => P;
}

// The receiving side: a fresh device in RESUMING takes in what comes, and becomes the machine's at commit, by reference.
import { type BodyDecoder, MigrationError, type StagedIterable, toState } from "@godwit/core";
import { type VfioSink, vfioDecoder } from "./decoder.ts";
import { type VfioPciDeviceState, vfioPciDevice } from "./descriptions.ts";
import type { VfioFunction } from "./function.ts";
import type { HostedDevice } from "./hosted-device.ts";
import { dialectVersion, type MarkerName, type VfioPhase } from "./markers.ts";
import type { VfioPciParameters } from "./parameters.ts";
import type { VfioConfigRecord, VfioSection } from "./records.ts";
import type { VendorDriver } from "./vendor-driver.ts";

/** What the check of the record sees of the iterable part. */
export interface StagedVfioOffer {
  /** Configuration space has come at completion, with the final device data. */
  readonly configAtEnd: boolean;
}

export interface StagedInit<D extends VendorDriver> {
  readonly function: VfioFunction<D>;
  readonly maxDataBytes: number;
  /** The device's initial data has come, and the source says so. */
  readonly initialDataLoaded: () => void;
}

export class StagedVfio<D extends VendorDriver> implements StagedIterable, VfioSink {
  readonly keepsRecords = false;
  readonly parameters: VfioPciParameters;
  readonly maxDataBytes: number;
  readonly #init: StagedInit<D>;
  readonly #incoming: HostedDevice<D>;
  #phase: VfioPhase = "start";
  #config: VfioPciDeviceState | undefined;
  #configAtEnd = false;
  #undo: (() => void)[] = [];

  /** `VFIO_DRIVER` where the fresh device does not get ready to take anything. */
  constructor(init: StagedInit<D>) {
    this.#init = init;
    this.parameters = init.function.parameters;
    this.maxDataBytes = init.maxDataBytes;
    this.#incoming = init.function.open();
    this.#incoming.device.setState("RESUMING");
  }

  decoder(phase: "start" | "part" | "end", version: number, previous: unknown): BodyDecoder<VfioSection> {
    if (version !== dialectVersion.merged && version !== dialectVersion.proposal) {
      throw new MigrationError("SECTION_VERSION", "a VFIO section of no known dialect", {
        path: "version_id",
        expected: "1 or 2",
        found: String(version),
      });
    }
    this.#phase = phase;
    return vfioDecoder(this, phase, version, previous as VfioSection | undefined);
  }

  offer(): StagedVfioOffer {
    return { configAtEnd: this.#configAtEnd };
  }

  data(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#incoming.device.write(bytes);
  }

  config({ device }: VfioConfigRecord): void {
    const state = toState(vfioPciDevice(this.parameters), device as Record<string, unknown>, 1);
    this.#init.function.check(state, "");
    this.#incoming.device.setConfig(state.pci_dev.config);
    this.#config = state;
    if (this.#phase === "end") this.#configAtEnd = true;
  }

  mark(name: MarkerName, phase: VfioPhase): void {
    if (name === "DEV_INIT_DATA_SENT") this.#init.initialDataLoaded();
    // The driver says now whether what came makes a device; at commit nothing is left to fail.
    if (name === "END_OF_STATE" && phase === "end") this.#incoming.device.setState("STOP");
  }

  fork(): this {
    return this;
  }

  commit(): void {
    const { function: own } = this.#init;
    const before = own.save();
    // Held until the record's load, which waits for the interrupt controller.
    this.#undo.push(own.interrupts.hold());
    this.#undo.push(own.exchange(this.#incoming));
    if (this.#config === undefined || !this.#configAtEnd) return;
    this.#undo.push(() => own.load(before));
    own.load(this.#config);
  }

  revert(): void {
    for (const undo of this.#undo.reverse()) undo();
    this.#undo = [];
  }

  discard(): void {
    this.#undo = [];
    this.#incoming.driver.close?.();
  }
}

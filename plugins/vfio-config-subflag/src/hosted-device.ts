// A device and what it sees of its function: all of it while it is the machine's, nothing that the machine could notice
// while a load fills it, or when another one has taken its place.
import { vfioError } from "./codes.ts";
import type { Interrupts } from "./interrupts.ts";
import { MigrationDevice } from "./migration-device.ts";
import type { PciConfigSpace } from "./pci-core.ts";
import type { DriverHost, VendorDriver } from "./vendor-driver.ts";

/** What of a function its driver reaches. */
export interface HostFunction {
  readonly config: PciConfigSpace;
  readonly interrupts: Interrupts;
}

export class HostedDevice<D extends VendorDriver = VendorDriver> {
  readonly driver: D;
  readonly device: MigrationDevice;
  /** It is the machine's. */
  isAdopted: boolean;
  readonly #raised = new Set<number>();

  constructor(of: HostFunction, open: (host: DriverHost) => D, isAdopted: boolean) {
    this.isAdopted = isAdopted;
    this.driver = open({
      config: () => {
        this.#refuseStranger("read");
        return of.config.bytes;
      },
      writeConfig: (offset, bytes) => {
        this.#refuseStranger("write");
        of.config.set(offset, bytes);
        of.interrupts.changed();
      },
      raise: (vector) => {
        refuseVector(vector, of.interrupts.raisable);
        // What is raised before the record's load would be overwritten by it.
        if (this.isAdopted && of.interrupts.enabled) of.interrupts.raise(vector);
        else this.#raised.add(vector);
      },
    });
    this.device = new MigrationDevice(this.driver);
  }

  /** Interrupts that it raised while they were held, each once; they are forgotten here. */
  takeRaised(): readonly number[] {
    const all = [...this.#raised];
    this.#raised.clear();
    return all;
  }

  #refuseStranger(what: string): void {
    if (this.isAdopted) return;
    throw vfioError("VFIO_STATE", `a device that is not the machine's cannot ${what} its configuration space`);
  }
}

function refuseVector(vector: number, count: number): void {
  if (Number.isInteger(vector) && vector >= 0 && vector < count) return;
  throw vfioError("VFIO_DRIVER", "the vendor driver raised a vector that the function does not have", {
    expected: `0 to ${count - 1}`,
    found: `vector ${vector}`,
  });
}

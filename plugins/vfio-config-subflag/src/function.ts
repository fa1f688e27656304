// The PCI function that a machine has in place of the device: configuration space and interrupts, with the vendor driver
// behind them. What is loaded is adopted by reference, and can be given back.
import type { VfioPciDeviceState } from "./descriptions.ts";
import { HostedDevice } from "./hosted-device.ts";
import { type InterruptRouter, Interrupts } from "./interrupts.ts";
import type { MigrationDevice } from "./migration-device.ts";
import type { VfioPciParameters } from "./parameters.ts";
import { type ConfigSpaceInit, PciConfigSpace } from "./pci-core.ts";
import type { DriverHost, VendorDriver } from "./vendor-driver.ts";

export interface VfioFunctionInit<D extends VendorDriver> {
  readonly config: ConfigSpaceInit;
  /** Opens the device. Called again for each load: a fresh device takes in what comes. */
  readonly driver: (host: DriverHost) => D;
  readonly interrupts: InterruptRouter;
  readonly isMachineRunning: () => boolean;
}

export class VfioFunction<D extends VendorDriver = VendorDriver> {
  readonly config: PciConfigSpace;
  readonly interrupts: Interrupts;
  readonly parameters: VfioPciParameters;
  #hosted: HostedDevice<D>;
  readonly #init: VfioFunctionInit<D>;

  constructor(init: VfioFunctionInit<D>) {
    this.#init = init;
    this.config = new PciConfigSpace(init.config);
    this.interrupts = new Interrupts(
      this.config,
      init.interrupts,
      () => init.isMachineRunning() && this.#hosted.device.isRunning,
    );
    this.parameters = { configBytes: this.config.length, msixVectors: this.interrupts.vectors };
    this.#hosted = new HostedDevice(this, init.driver, true);
  }

  get device(): MigrationDevice {
    return this.#hosted.device;
  }

  /** The driver behind the function, as it was made; another one after each load. */
  get driver(): D {
    return this.#hosted.driver;
  }

  /** Little-endian, of 1, 2 or 4 bytes. */
  configRead(offset: number, size: number): number {
    return this.config.read(offset, size);
  }

  configWrite(offset: number, size: number, value: number): void {
    this.config.write(offset, size, value);
    this.interrupts.changed();
  }

  /** The guest writes the MSI-X table. */
  msixWrite(offset: number, size: number, value: number): void {
    const { table } = this.interrupts;
    for (let i = 0, rest = value; i < size && offset + i < table.length; i++, rest = Math.floor(rest / 256)) {
      table[offset + i] = rest & 0xff;
    }
    this.interrupts.changed();
  }

  /** As after power-on. What the driver's device holds is the driver's to reset. */
  reset(): void {
    this.config.reset();
    this.interrupts.reset();
  }

  /** A fresh device for a load, which knows nothing of the machine until it is adopted. */
  open(): HostedDevice<D> {
    return new HostedDevice(this, this.#init.driver, false);
  }

  /** Puts another device in the place of the present one. Gives what puts that back. */
  exchange(hosted: HostedDevice<D>): () => void {
    const old = this.#hosted;
    const put = (one: HostedDevice<D>, instead: HostedDevice<D>) => {
      instead.isAdopted = false;
      one.isAdopted = true;
      this.#hosted = one;
    };
    put(hosted, old);
    return () => put(old, hosted);
  }

  /** For the wire. */
  save(): VfioPciDeviceState {
    const { table, pba, irqState } = this.interrupts;
    return {
      pci_dev: { version_id: 2, config: this.config.copy(), irq_state: irqState.slice() },
      msix_table: table.slice(),
      msix_pba: pba.slice(),
    };
  }

  /** `DEVICE_CHECK` at `path[i]`, naming the register. */
  check({ pci_dev }: VfioPciDeviceState, path: string): void {
    this.config.check(pci_dev.config, path);
  }

  /** Configuration space and MSI-X as they came; routes follow with `enableInterrupts`. */
  load({ pci_dev, msix_table, msix_pba }: VfioPciDeviceState): void {
    this.config.load(pci_dev.config);
    this.interrupts.irqState.set(pci_dev.irq_state);
    this.interrupts.table.set(msix_table);
    this.interrupts.pba.set(msix_pba);
  }

  /** Interrupts have a way again: the controller is there. What the device raised before is pending now. */
  enableInterrupts(): void {
    this.interrupts.enable();
    for (const vector of this.#hosted.takeRaised()) this.interrupts.raise(vector);
  }
}

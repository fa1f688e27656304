// The PCI function of a virtio device: configuration space, BARs, interrupts; and the transport's side of its state.
import { MigrationError } from "@godwit/core";
import { noVector, status as statusBit, type TransportedDevice, type VirtioTransport } from "@godwit/virtio-core";
import { type CapabilityLayout, deviceControl } from "./capabilities.ts";
import type { BarSize, ConfigSpace } from "./config-space.ts";
import {
  noModernState,
  type VirtioPciConfigState,
  type VirtioPciExtraState,
  type VirtioPciQueueState,
  virtioPciTransport,
} from "./descriptions.ts";
import { functionLayout } from "./function-layout.ts";
import { LegacyRegisters } from "./legacy.ts";
import { bytesOf, littleEndian } from "./little-endian.ts";
import { ModernRegisters } from "./modern.ts";
import { Msix, type SignalMsi } from "./msix.ts";
import {
  command,
  commonAt,
  header,
  legacyBar,
  modernBar,
  modernBarBytes,
  msixBar,
  msixControl,
  notifyMultiplier,
  pciStatus,
  structureAt,
} from "./registers.ts";
import type { PciBar, PciFunction, VirtioPciMode, VirtioPciParameters } from "./types.ts";
import type { Vectors } from "./vectors.ts";

export interface FunctionInit {
  readonly bdf: string;
  readonly deviceId: number;
  readonly mode: VirtioPciMode;
  readonly express: { readonly ats: boolean } | undefined;
  readonly parameters: VirtioPciParameters;
  /** Bytes of the device's own configuration. */
  readonly configLength: number;
  /** What each kind of registers offers. */
  readonly offered: { readonly modern: bigint; readonly legacy: number };
  readonly signalMsi: SignalMsi;
  readonly setIntx: (level: boolean) => void;
}

type Transport = VirtioTransport<VirtioPciConfigState, VirtioPciQueueState, VirtioPciExtraState>;

export class VirtioPciFunction implements PciFunction, Transport {
  readonly bdf: string;
  readonly descriptions: Transport["descriptions"];
  readonly bars: readonly PciBar[];
  readonly #config: ConfigSpace;
  readonly #capabilities: CapabilityLayout;
  readonly #msix: Msix | undefined;
  readonly #vectors: Vectors;
  readonly #device: TransportedDevice;
  /** Undefined: a legacy function. */
  readonly #modern: ModernRegisters | undefined;
  readonly #driveLine: (level: boolean) => void;
  /** Level of INTA, before INTX_DISABLE. */
  #intx = false;

  constructor(init: FunctionInit, device: TransportedDevice) {
    const { msixVectors } = init.parameters;
    const layout = functionLayout({ ...init, msixVectors });
    this.bdf = init.bdf;
    this.descriptions = virtioPciTransport(init.parameters);
    this.#driveLine = init.setIntx;
    this.#device = device;
    this.#config = layout.config;
    this.#capabilities = layout.capabilities;
    this.#msix = msixVectors === 0 ? undefined : new Msix(this.#msixHost(init.signalMsi), msixVectors);
    this.#vectors = {
      config: noVector,
      queues: new Uint16Array(device.queues.length).fill(noVector),
      count: msixVectors,
    };
    const { offered, mode } = init;
    const host = { device, vectors: this.#vectors, features: offered.modern };
    this.#modern = mode === "legacy" ? undefined : new ModernRegisters(host);
    this.bars = layout.bars.map((bar) => this.#bar(bar, offered.legacy, layout.msix.pbaAt));
  }

  /** Whether the function may reach memory: DMA, and interrupts by message. */
  get busMaster(): boolean {
    return (this.#config.read(header.command, 2) & command.busMaster) !== 0;
  }

  configRead(offset: number, size: number): number {
    return this.#inWindow(offset, size) ? this.#window().read() : this.#config.read(offset, size);
  }

  configWrite(offset: number, size: number, value: number): void {
    this.#config.write(offset, size, value);
    if (this.#inWindow(offset, size)) this.#window().write(value);
    if (offset < header.command + 2 && offset + size > header.command) this.#commandWritten();
    const { msix, express } = this.#capabilities;
    if (msix !== undefined && offset < msix + 4 && offset + size > msix + 2) this.#msix?.deliverPending();
    if (express !== undefined) this.#resetOnDemand(express + deviceControl.at, offset, size);
  }

  /** As in QEMU, a driver that takes bus mastering away has stopped its device. */
  #commandWritten(): void {
    this.#driveIntx();
    const device = this.#device;
    device.disabled = !this.busMaster;
    const rest = device.status & ~statusBit.DRIVER_OK;
    if (device.disabled && rest !== 0 && rest !== device.status) device.setStatus(rest);
  }

  /** A function-level reset (PCI Express 3.0, section 6.6.2). */
  #resetOnDemand(at: number, offset: number, size: number): void {
    if (offset >= at + 2 || offset + size <= at) return;
    if ((this.#config.read(at, 2) & deviceControl.functionReset) !== 0) this.resetFunction();
  }

  /** As after power-on: configuration space, messages and the device. */
  resetFunction(): void {
    this.#config.reset();
    this.#msix?.reset();
    this.#device.reset();
  }

  notifyQueue(index: number): void {
    this.#notify(this.#vectors.queues[index] ?? noVector);
  }

  notifyConfig(): void {
    this.#notify(this.#vectors.config);
  }

  updateInterrupt(): void {
    this.#setIntx(!this.#msixEnabled && this.#device.isr !== 0);
  }

  resumed(): void {
    this.#msix?.deliverPending();
  }

  reset(): void {
    this.#vectors.config = noVector;
    this.#vectors.queues.fill(noVector);
    this.#msix?.pba.fill(0);
    this.#modern?.reset();
    this.#setIntx(false);
  }

  saveConfig(): VirtioPciConfigState {
    const config = this.#config.bytes.slice();
    // The bit follows from the pins' levels (wire reference 14.1).
    config[header.status] = (config[header.status] as number) & ~pciStatus.interrupt;
    return {
      pci_dev: { version_id: 2, config, irq_state: Uint32Array.of(this.#intx ? 1 : 0, 0, 0, 0) },
      msix_table: this.#msix?.table ?? new Uint8Array(0),
      msix_pba: this.#msix?.pba ?? new Uint8Array(0),
      config_vector: this.#vectors.config,
    };
  }

  saveQueue(index: number): VirtioPciQueueState {
    return { vector: this.#vectors.queues[index] ?? noVector };
  }

  saveExtraState(): VirtioPciExtraState {
    return { modern_state: this.#modern?.save() ?? noModernState };
  }

  dmaEnabled({ pci_dev }: VirtioPciConfigState): boolean {
    return ((pci_dev.config[header.command] as number) & command.busMaster) !== 0;
  }

  check({ pci_dev, config_vector }: VirtioPciConfigState, queues: readonly VirtioPciQueueState[]): void {
    this.#config.check(pci_dev.config, "transport.pci_dev.config");
    this.#checkVector(config_vector, "transport.config_vector");
    queues.forEach(({ vector }, i) => {
      this.#checkVector(vector, `vqs[${i}].transport.vector`);
    });
  }

  loadConfig({ pci_dev, msix_table, msix_pba, config_vector }: VirtioPciConfigState): void {
    this.#config.bytes.set(pci_dev.config);
    this.#msix?.load(msix_table, msix_pba);
    this.#vectors.config = config_vector;
    this.#vectors.queues.fill(noVector);
    this.#setIntx(pci_dev.irq_state[0] === 1);
  }

  loadQueue(index: number, { vector }: VirtioPciQueueState): void {
    this.#vectors.queues[index] = vector;
  }

  loadExtraState({ modern_state }: VirtioPciExtraState): void {
    this.#modern?.load(modern_state);
  }

  get #msixEnabled(): boolean {
    return this.#msix !== undefined && (this.#msixControl() & msixControl.enable) !== 0;
  }

  #msixControl(): number {
    const { msix } = this.#capabilities;
    return msix === undefined ? 0 : this.#config.read(msix + 2, 2);
  }

  #msixHost(signal: SignalMsi) {
    const self = this;
    return {
      get enabled() {
        return self.#msixEnabled;
      },
      get maskAll() {
        return (self.#msixControl() & msixControl.maskAll) !== 0;
      },
      signal(address: number, data: number) {
        if (self.busMaster) signal(address, data);
      },
    };
  }

  #notify(vector: number): void {
    if (this.#msixEnabled) this.#msix?.notify(vector);
    else this.updateInterrupt();
  }

  #setIntx(level: boolean): void {
    this.#intx = level;
    const at = header.status;
    const rest = (this.#config.bytes[at] as number) & ~pciStatus.interrupt;
    this.#config.bytes[at] = level ? rest | pciStatus.interrupt : rest;
    this.#driveIntx();
  }

  #driveIntx(): void {
    const disabled = (this.#config.read(header.command, 2) & command.intxDisable) !== 0;
    this.#driveLine(this.#intx && !disabled);
  }

  #checkVector(vector: number, path: string): void {
    const { count } = this.#vectors;
    if (vector === noVector || vector < count) return;
    throw new MigrationError("DEVICE_CHECK", "the function does not have this MSI-X vector", {
      path,
      expected: `below ${count}, or 0xffff`,
      found: String(vector),
    });
  }

  #readModern(modern: ModernRegisters, offset: number, size: number): number {
    if (offset < structureAt.isr) return offset < commonAt.end ? modern.read(offset) : 0;
    if (offset < structureAt.device) return offset === structureAt.isr ? this.#acknowledge() : 0;
    if (offset < structureAt.notify) return littleEndian(this.#device.readConfig(offset - structureAt.device, size));
    return 0;
  }

  #writeModern(modern: ModernRegisters, offset: number, size: number, value: number): void {
    if (offset < structureAt.isr) modern.write(offset, value);
    else if (offset >= structureAt.notify)
      this.#device.kick(Math.floor((offset - structureAt.notify) / notifyMultiplier));
    else if (offset >= structureAt.device) this.#device.writeConfig(offset - structureAt.device, bytesOf(value, size));
  }

  /** Reading the interrupt status clears it. */
  #acknowledge(): number {
    const { isr } = this.#device;
    this.#device.isr = 0;
    this.#setIntx(false);
    return isr;
  }

  #inWindow(offset: number, size: number): boolean {
    const { pciConfig } = this.#capabilities;
    return pciConfig !== undefined && offset < pciConfig + 20 && offset + size > pciConfig + 16;
  }

  /** The guest's window into a BAR from configuration space (virtio 1.2, section 4.1.4.9). */
  #window(): { read(): number; write(value: number): void } {
    const { pciConfig = 0 } = this.#capabilities;
    const [index, offset, size] = [
      this.#config.read(pciConfig + 4, 1),
      this.#config.read(pciConfig + 8, 4),
      this.#config.read(pciConfig + 12, 4),
    ];
    const valid = index === modernBar && [1, 2, 4].includes(size) && offset + size <= modernBarBytes;
    const bar = valid ? this.bars.find((one) => one.index === modernBar) : undefined;
    return {
      read: () => bar?.read(offset, size) ?? 0,
      write: (value) => bar?.write(offset, size, value),
    };
  }

  #bar({ index, size }: BarSize, legacyFeatures: number, pbaAt: number): PciBar {
    const access = this.#accessOf(index, legacyFeatures, pbaAt);
    return { index, size, address: () => this.#config.barAddress(index), ...access };
  }

  #accessOf(index: number, legacyFeatures: number, pbaAt: number): Pick<PciBar, "read" | "write"> {
    const [msix, modern] = [this.#msix, this.#modern];
    if (index === msixBar && msix !== undefined) return msixAccess(msix, pbaAt);
    if (index === legacyBar || modern === undefined) return this.#legacyAccess(legacyFeatures);
    return {
      read: (offset, size) => this.#readModern(modern, offset, size),
      write: (offset, size, value) => this.#writeModern(modern, offset, size, value),
    };
  }

  #legacyAccess(features: number): Pick<PciBar, "read" | "write"> {
    const self = this;
    const registers = new LegacyRegisters({
      device: this.#device,
      vectors: this.#vectors,
      features,
      get msixEnabled() {
        return self.#msixEnabled;
      },
      acknowledge: () => this.#acknowledge(),
      becomeBusMaster: () => {
        const at = header.command;
        this.#config.write(at, 2, this.#config.read(at, 2) | command.busMaster);
      },
    });
    return {
      read: (offset, size) => registers.read(offset, size),
      write: (offset, size, value) => registers.write(offset, size, value),
    };
  }
}

function msixAccess(msix: Msix, pbaAt: number): Pick<PciBar, "read" | "write"> {
  return {
    read: (offset, size) => {
      const from = offset < pbaAt ? msix.table : msix.pba;
      const at = offset < pbaAt ? offset : offset - pbaAt;
      return littleEndian(Uint8Array.from({ length: size }, (_, i) => from[at + i] ?? 0));
    },
    write: (offset, size, value) => msix.writeTable(offset, size, value),
  };
}

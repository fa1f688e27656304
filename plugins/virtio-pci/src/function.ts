// The PCI function of a virtio device: configuration space, BARs, interrupts; and the transport's side of its state.
import { MigrationError } from "@godwit/core";
import { noVector, type TransportedDevice, type VirtioTransport } from "@godwit/virtio-core";
import { pciConfigAt, virtioCapabilities } from "./capabilities.ts";
import { ConfigSpace } from "./config-space.ts";
import {
  type VirtioPciConfigState,
  type VirtioPciExtraState,
  type VirtioPciQueueState,
  virtioPciTransport,
} from "./descriptions.ts";
import { ModernRegisters, type Vectors } from "./modern.ts";
import { Msix, msixLayout, type SignalMsi } from "./msix.ts";
import {
  classCodes,
  command,
  commonAt,
  header,
  modernBar,
  modernBarBytes,
  modernDeviceBase,
  msixBar,
  msixControl,
  notifyMultiplier,
  pciStatus,
  structureAt,
  unclassified,
  virtioVendor,
} from "./registers.ts";
import type { PciBar, PciFunction, VirtioPciParameters } from "./types.ts";

export interface FunctionInit {
  readonly bdf: string;
  readonly deviceId: number;
  readonly parameters: VirtioPciParameters;
  readonly signalMsi: SignalMsi;
  readonly setIntx: (level: boolean) => void;
}

type Transport = VirtioTransport<VirtioPciConfigState, VirtioPciQueueState, VirtioPciExtraState>;

// As QEMU's: which subsystem it is tells a driver nothing that the device id does not.
const subsystemId = 0x1100;
const modernRevision = 1;
const msixAt = 0x98;

export class VirtioPciFunction implements PciFunction, Transport {
  readonly bdf: string;
  readonly descriptions: Transport["descriptions"];
  readonly bars: readonly PciBar[];
  readonly #config: ConfigSpace;
  readonly #msix: Msix | undefined;
  readonly #vectors: Vectors;
  readonly #device: TransportedDevice;
  readonly #modern: ModernRegisters;
  readonly #driveLine: (level: boolean) => void;
  /** Level of INTA, before INTX_DISABLE. */
  #intx = false;

  constructor(init: FunctionInit, device: TransportedDevice) {
    const { msixVectors } = init.parameters;
    const layout = msixLayout(msixVectors);
    this.bdf = init.bdf;
    this.descriptions = virtioPciTransport(init.parameters);
    this.#driveLine = init.setIntx;
    this.#device = device;
    this.#config = configSpaceOf(init, layout);
    this.#msix = msixVectors === 0 ? undefined : new Msix(this.#msixHost(init.signalMsi), msixVectors);
    this.#vectors = {
      config: noVector,
      queues: new Uint16Array(device.queues.length).fill(noVector),
      count: msixVectors,
    };
    this.#modern = new ModernRegisters(device, this.#vectors);
    const modern = this.#bar(modernBar, modernBarBytes, {
      read: (offset, size) => this.#readModern(offset, size),
      write: (offset, size, value) => this.#writeModern(offset, size, value),
    });
    this.bars = this.#msix === undefined ? [modern] : [this.#msixTable(this.#msix, layout), modern];
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
    if (offset < header.command + 2 && offset + size > header.command) this.#driveIntx();
    if (offset < msixAt + 4 && offset + size > msixAt + 2) this.#msix?.deliverPending();
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
    this.#modern.reset();
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
    return { modern_state: this.#modern.save() };
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
    this.#modern.load(modern_state);
  }

  get #msixEnabled(): boolean {
    return this.#msix !== undefined && (this.#msixControl() & msixControl.enable) !== 0;
  }

  #msixControl(): number {
    return this.#config.read(msixAt + 2, 2);
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

  #readModern(offset: number, size: number): number {
    if (offset < structureAt.isr) return offset < commonAt.end ? this.#modern.read(offset) : 0;
    if (offset < structureAt.device) return offset === structureAt.isr ? this.#acknowledge() : 0;
    if (offset < structureAt.notify) return number(this.#device.readConfig(offset - structureAt.device, size));
    return 0;
  }

  #writeModern(offset: number, size: number, value: number): void {
    if (offset < structureAt.isr) this.#modern.write(offset, value);
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
    return offset < pciConfigAt + 20 && offset + size > pciConfigAt + 16;
  }

  /** The guest's window into a BAR from configuration space (virtio 1.2, section 4.1.4.9). */
  #window(): { read(): number; write(value: number): void } {
    const [index, offset, size] = [
      this.#config.read(pciConfigAt + 4, 1),
      this.#config.read(pciConfigAt + 8, 4),
      this.#config.read(pciConfigAt + 12, 4),
    ];
    const valid = index === modernBar && [1, 2, 4].includes(size) && offset + size <= modernBarBytes;
    return {
      read: () => (valid ? this.#readModern(offset, size) : 0),
      write: (value) => {
        if (valid) this.#writeModern(offset, size, value);
      },
    };
  }

  #msixTable(msix: Msix, { pbaAt, barBytes }: { pbaAt: number; barBytes: number }): PciBar {
    return this.#bar(msixBar, barBytes, {
      read: (offset, size) => {
        const from = offset < pbaAt ? msix.table : msix.pba;
        const at = offset < pbaAt ? offset : offset - pbaAt;
        return number(Uint8Array.from({ length: size }, (_, i) => from[at + i] ?? 0));
      },
      write: (offset, size, value) => msix.writeTable(offset, size, value),
    });
  }

  #bar(index: number, size: number, access: Pick<PciBar, "read" | "write">): PciBar {
    return { index, size, address: () => this.#config.barAddress(index), ...access };
  }
}

function configSpaceOf({ deviceId, parameters }: FunctionInit, msix: { pbaAt: number; barBytes: number }): ConfigSpace {
  const vectors = parameters.msixVectors;
  return new ConfigSpace({
    vendor: virtioVendor,
    device: modernDeviceBase + deviceId,
    revision: modernRevision,
    classCode: classCodes[deviceId] ?? unclassified,
    subsystemVendor: virtioVendor,
    subsystem: subsystemId,
    bars: [
      ...(vectors === 0 ? [] : [{ index: msixBar, size: msix.barBytes, is64Bit: false }]),
      { index: modernBar, size: modernBarBytes, is64Bit: true },
    ],
    capabilities: virtioCapabilities(vectors === 0 ? undefined : { vectors, pbaAt: msix.pbaAt }),
  });
}

/** Little-endian, 1 to 4 bytes. */
function number(bytes: Uint8Array): number {
  let value = 0;
  for (let i = bytes.length - 1; i >= 0; i--) value = value * 256 + (bytes[i] as number);
  return value;
}

function bytesOf(value: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let i = 0, rest = value; i < size; i++, rest = Math.floor(rest / 256)) bytes[i] = rest & 0xff;
  return bytes;
}

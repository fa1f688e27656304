// The transport's side of a virtio-ccw device: its subchannel, its commands and indicators, and how they travel.
import { MigrationError } from "@godwit/core";
import type { Dma, NoData, TransportedDevice, VirtioTransport } from "@godwit/virtio-core";
import { type CommandHost, virtioCommands } from "./commands.ts";
import { noRevision, pmcwFlag, virtioControlUnit } from "./constants.ts";
import {
  ciwCount,
  noOrb,
  type SubchannelState,
  type VirtioCcwConfigState,
  type VirtioCcwQueueState,
  virtioCcwTransport,
} from "./descriptions.ts";
import { checkIndicators, Indicators } from "./indicators.ts";
import { CcwSubchannel } from "./subchannel.ts";
import type { IoInterruption, Outcome, Subchannel } from "./types.ts";

export interface TransportInit {
  readonly cssid: number;
  readonly ssid: number;
  readonly devno: number;
  readonly schid: number;
  readonly deviceId: number;
  readonly dma: Dma;
  readonly maxRevision: number;
  readonly transitional: boolean;
  readonly ioInterrupt: (interruption: IoInterruption) => void;
  readonly adapterInterrupt: (isc: number) => void;
  readonly schidChanged: (from: number, to: number) => void;
}

type Transport = VirtioTransport<VirtioCcwConfigState, VirtioCcwQueueState, NoData>;

export class VirtioCcwDevice implements Transport, Subchannel {
  readonly descriptions: Transport["descriptions"] = virtioCcwTransport;
  readonly cssid: number;
  readonly ssid: number;
  readonly devno: number;
  readonly #init: TransportInit;
  readonly #device: TransportedDevice;
  readonly #indicators: Indicators;
  readonly #subchannel: CcwSubchannel;
  readonly #commands: CommandHost;
  /** State came, and the machine has not run since: interruptions may have been left behind. */
  #arrived = false;

  constructor(init: TransportInit, device: TransportedDevice) {
    this.#init = init;
    this.#device = device;
    this.cssid = init.cssid;
    this.ssid = init.ssid;
    this.devno = init.devno;
    const { dma, maxRevision, transitional } = init;
    this.#indicators = new Indicators(
      {
        dma,
        alert: () => this.#subchannel.alert(),
        adapterInterrupt: init.adapterInterrupt,
        fail: (reason) => device.fail(reason),
      },
      device.queues.length,
    );
    const self = this;
    this.#commands = {
      device,
      get sch() {
        return self.#subchannel.sch;
      },
      indicators: this.#indicators,
      revision: noRevision,
      maxRevision,
      transitional,
    };
    this.#subchannel = new CcwSubchannel(
      {
        dma,
        execute: virtioCommands(this.#commands),
        ioInterrupt: init.ioInterrupt,
        // Revisions do not outlast the enabling of a subchannel (virtio 1.2, section 4.3.2.1.1).
        enabledChanged: () => {
          this.#commands.revision = noRevision;
        },
      },
      freshSubchannel(init, init.schid),
    );
  }

  get schid(): number {
    return this.#subchannel.sch.migrated_schid;
  }

  startSubchannel(orbAddress: number): Outcome {
    return this.#subchannel.start(orbAddress);
  }

  testSubchannel(irbAddress: number): Outcome {
    return this.#subchannel.test(irbAddress);
  }

  storeSubchannel(schibAddress: number): Outcome {
    return this.#subchannel.store(schibAddress);
  }

  modifySubchannel(schibAddress: number): Outcome {
    return this.#subchannel.modify(schibAddress);
  }

  haltSubchannel(): Outcome {
    return this.#subchannel.halt();
  }

  clearSubchannel(): Outcome {
    return this.#subchannel.clear();
  }

  resumeSubchannel(): Outcome {
    return this.#subchannel.resume();
  }

  kick(queue: number): boolean {
    if (this.#device.queues[queue] === undefined) return false;
    this.#device.kick(queue);
    return true;
  }

  /** As after power-on: the subchannel and the device. Its number stays. */
  resetSubchannel(): void {
    this.#subchannel.sch = freshSubchannel(this.#init, this.schid);
    this.#commands.revision = noRevision;
    this.#device.reset();
  }

  notifyQueue(index: number): void {
    this.#indicators.notifyQueue(index);
  }

  notifyConfig(): void {
    this.#indicators.notifyConfig();
  }

  /** There is no interrupt line. */
  updateInterrupt(): void {}

  resumed(): void {
    if (!this.#arrived) return;
    this.#arrived = false;
    if (this.#subchannel.pending) this.#subchannel.interrupt();
    this.#indicators.resumed();
  }

  reset(): void {
    this.#indicators.reset();
  }

  saveConfig(): VirtioCcwConfigState {
    const sch = { ...this.#subchannel.sch, thinint_active: this.#indicators.adapter };
    return { parent_obj: { sch }, ...this.#indicators.save(), revision: this.#commands.revision };
  }

  saveQueue(index: number): VirtioCcwQueueState {
    return { vector: this.#indicators.vectors[index] as number };
  }

  saveExtraState(): NoData {
    return {};
  }

  /** Nothing stands between a channel's device and memory. */
  dmaEnabled(): boolean {
    return true;
  }

  check(config: VirtioCcwConfigState, queues: readonly VirtioCcwQueueState[]): void {
    const { sch } = config.parent_obj;
    const equal = (field: string, expected: number, found: number): void => {
      if (found !== expected) throw refused(`transport.parent_obj.sch.${field}`, String(expected), found);
    };
    equal("cssid", this.cssid, sch.cssid);
    equal("ssid", this.ssid, sch.ssid);
    equal("devno", this.devno, sch.devno);
    equal("curr_status.pmcw.devno", this.devno, sch.curr_status.pmcw.devno);
    equal("id.cu_type", virtioControlUnit, sch.id.cu_type);
    equal("id.cu_model", this.#init.deviceId, sch.id.cu_model);
    checkIndicators(
      config,
      queues.map(({ vector }) => vector),
    );
    const { maxRevision, transitional } = this.#init;
    const { revision } = config;
    if (revision < noRevision || revision > maxRevision || (revision === 0 && !transitional)) {
      const set = transitional ? `0 to ${maxRevision}` : `1 to ${maxRevision}`;
      throw refused("transport.revision", `${noRevision} or ${set}`, revision);
    }
  }

  loadConfig(config: VirtioCcwConfigState): void {
    const from = this.schid;
    const { sch } = config.parent_obj;
    this.#subchannel.sch = sch;
    this.#indicators.load(config, sch.thinint_active);
    this.#commands.revision = config.revision;
    this.#arrived = true;
    if (this.schid !== from) this.#init.schidChanged(from, this.schid);
  }

  loadQueue(index: number, { vector }: VirtioCcwQueueState): void {
    this.#indicators.vectors[index] = vector;
  }

  loadExtraState(): void {}
}

function freshSubchannel({ cssid, ssid, devno, deviceId }: TransportInit, schid: number): SubchannelState {
  return {
    cssid,
    ssid,
    migrated_schid: schid,
    devno,
    thinint_active: false,
    // One path, of a virtual channel.
    curr_status: {
      pmcw: {
        intparm: 0,
        flags: pmcwFlag.deviceValid,
        devno,
        lpm: 0x80,
        pnom: 0,
        lpum: 0,
        pim: 0x80,
        mbi: 0,
        pom: 0xff,
        pam: 0x80,
        chpid: new Uint8Array(8),
        chars: 0,
      },
      scsw: { flags: 0, ctrl: 0, cpa: 0, dstat: 0, cstat: 0, count: 0 },
      mba: 0n,
      mda: new Uint8Array(4),
    },
    sense_data: new Uint8Array(32),
    channel_prog: 0n,
    last_cmd: { cmd_code: 0, flags: 0, count: 0, cda: 0 },
    last_cmd_valid: false,
    id: {
      reserved: 0xff,
      cu_type: virtioControlUnit,
      cu_model: deviceId,
      dev_type: 0,
      dev_model: 0,
      unused: 0,
      ciw: Array.from({ length: ciwCount }, () => ({ type: 0, command: 0, count: 0 })),
    },
    ccw_fmt_1: false,
    ccw_no_data_cnt: 0,
    orb: { ...noOrb },
  };
}

function refused(path: string, expected: string, found: number): MigrationError {
  return new MigrationError("DEVICE_CHECK", "the subchannel is not of this device", {
    path,
    expected,
    found: String(found),
  });
}

// The sending side: what a device's sections hold, and when. Source: wire reference 15.3 (merged), 15.6 (proposal).
import { encodeState, isMigrationError, MigrationError, type Pending, type Writer } from "@godwit/core";
import { vfioError } from "./codes.ts";
import type { VfioContainer } from "./container.ts";
import { type VfioRecordState, vfioPciDevice } from "./descriptions.ts";
import type { DeviceState } from "./device-state.ts";
import type { VfioFunction } from "./function.ts";
import { type MarkerName, subFlag, type VfioDialect, type VfioPhase } from "./markers.ts";
import { writeData, writeMarker } from "./records.ts";

export interface SourceInit {
  readonly function: VfioFunction;
  readonly container: VfioContainer;
  readonly dialect: VfioDialect;
  /** Longest chunk of device data. Bytes. */
  readonly chunkBytes: number;
  /** The destination acknowledges that it has the initial data: the marker that tells so is sent. */
  readonly switchoverAck: boolean;
  /** The machine runs at setup: this is a live migration, and not a save. */
  readonly isMachineRunning: () => boolean;
}

/** One attempt's account. */
interface Attempt {
  readonly isLive: boolean;
  /** Where the device was, and returns to. */
  readonly from: DeviceState;
  /** The configuration that was sent last; undefined before the first. */
  sentConfig: Uint8Array | undefined;
  initDataSent: boolean;
  completing: boolean;
  /** The record that is being written, for errors. */
  phase: VfioPhase;
  records: number;
}

export interface VfioSource {
  readonly isSending: boolean;
  setup(out: Writer): void;
  pending(exact: boolean): Pending;
  iterate(out: Writer, budgetBytes: number): boolean;
  complete(out: Writer, budgetBytes: number): boolean;
  cleanup(completed: boolean): void;
  /** What the non-iterable record says. */
  record(): VfioRecordState;
}

const enable = subFlag.enableInterrupts;
const whole = subFlag.config | subFlag.enableInterrupts;
/** A driver is not asked for less at a time, however little the round has left. */
const leastChunkBytes = 64 * 1024;

export function vfioSource(init: SourceInit): VfioSource {
  return new Source(init);
}

class Source implements VfioSource {
  readonly #init: SourceInit;
  readonly #buffer: Uint8Array;
  #attempt: Attempt | undefined;

  constructor(init: SourceInit) {
    this.#init = init;
    this.#buffer = new Uint8Array(init.chunkBytes);
  }

  get isSending(): boolean {
    return this.#attempt !== undefined;
  }

  setup(out: Writer): void {
    const { container, isMachineRunning } = this.#init;
    container.checkPeers();
    this.#checkDialect();
    const device = this.#device;
    if (device.state === "ERROR") {
      throw vfioError("VFIO_STATE", "the device must be reset before it can be sent", {
        expected: "RUNNING or STOP",
        found: device.state,
      });
    }
    const isLive = isMachineRunning();
    this.#attempt = {
      isLive,
      from: device.state,
      sentConfig: undefined,
      initDataSent: false,
      completing: false,
      phase: "start",
      records: 0,
    };
    this.#told("DEV_SETUP_STATE", () => {
      if (isLive && device.state === "RUNNING" && device.driver.features.preCopy) device.setState("PRE_COPY");
    });
    writeMarker(out, "DEV_SETUP_STATE");
    writeMarker(out, "END_OF_STATE");
  }

  pending(exact: boolean): Pending {
    const device = this.#device;
    const { initialBytes, dirtyBytes } = device.isPreCopying
      ? device.preCopyInfo()
      : { initialBytes: 0, dirtyBytes: 0 };
    const config = device.isPreCopying && this.#isConfigDue() ? this.#config().length : 0;
    const stopCopy = exact ? device.stopCopyBytes() : 0;
    return { mustPrecopyBytes: initialBytes + dirtyBytes + config + stopCopy, canPostcopyBytes: 0 };
  }

  iterate(out: Writer, budgetBytes: number): boolean {
    const attempt = this.#begin("part");
    const device = this.#device;
    let read = 0;
    if (device.isPreCopying) read = this.#chunk(out, budgetBytes);
    // While the configuration alone has changed, it travels alone.
    if (read === 0 && device.isPreCopying && this.#order === "needed") this.#configIfDue(out);
    const info = device.isPreCopying ? this.#told("END_OF_STATE", () => device.preCopyInfo()) : undefined;
    const tellsInitial = this.#init.switchoverAck && !attempt.initDataSent && info?.initialBytes === 0;
    if (tellsInitial) attempt.initDataSent = true;
    writeMarker(out, tellsInitial ? "DEV_INIT_DATA_SENT" : "END_OF_STATE");
    return info === undefined || info.initialBytes + info.dirtyBytes === 0;
  }

  complete(out: Writer, budgetBytes: number): boolean {
    const attempt = this.#begin("end");
    if (!attempt.completing) {
      attempt.completing = true;
      attempt.records = 0;
      this.#told("DEV_DATA_STATE", () => {
        this.#init.container.stop();
        if (this.#device.state !== "STOP_COPY") this.#device.setState("STOP_COPY");
      });
      attempt.sentConfig = undefined;
      // What it has become since the last round, whether the driver, the guest or nobody has changed it.
      if (this.#order === "needed") this.#writeConfig(out);
    }
    if (this.#chunk(out, budgetBytes) > 0) return false;
    // By the last chunk the driver may have changed it once more; and there may have been no chunk to go with.
    if (this.#order !== "not-needed") this.#configIfDue(out);
    writeMarker(out, "END_OF_STATE");
    return true;
  }

  /**
   * The device is where it was; after a live migration it has gone, and stands. One that the driver has left in ERROR stays
   * there until it is reset: what ended the attempt has told so.
   */
  cleanup(completed: boolean): void {
    const attempt = this.#attempt;
    this.#attempt = undefined;
    if (attempt === undefined) return;
    const { container } = this.#init;
    const device = this.#device;
    if (device.state === "STOP_COPY") device.setState("STOP");
    else if (device.isPreCopying) device.setState("RUNNING");
    if (!(completed && attempt.isLive) && attempt.from !== "STOP") container.sent();
  }

  record(): VfioRecordState {
    const { function: own, dialect } = this.#init;
    // Outside of an attempt the state is asked for by the kernel itself, for the way back: all of it.
    const isAhead = this.#attempt !== undefined && dialect === "proposal" && this.#order !== "not-needed";
    return isAhead ? { sub_flag: enable, device: null } : { sub_flag: whole, device: own.save() };
  }

  get #device() {
    return this.#init.function.device;
  }

  get #order() {
    return this.#device.driver.configOrder;
  }

  #checkDialect(): void {
    if (this.#init.dialect === "proposal" || this.#order === "not-needed") return;
    throw vfioError("VFIO_DIALECT", "the vendor driver wants configuration space with its data", {
      expected: "the dialect proposal",
      found: `${this.#order}, in the dialect ${this.#init.dialect}`,
    });
  }

  #begin(phase: VfioPhase): Attempt {
    const attempt = this.#attempt;
    if (attempt === undefined) {
      throw new MigrationError("ATTEMPT_ENDED", "the device is not being sent", { side: "source" });
    }
    if (attempt.phase !== phase || phase === "part") attempt.records = 0;
    attempt.phase = phase;
    return attempt;
  }

  /** A chunk of device data, with what must come ahead of it. Gives its size; 0: there is none. */
  #chunk(out: Writer, budgetBytes: number): number {
    const device = this.#device;
    const into = this.#buffer.subarray(0, Math.max(leastChunkBytes, budgetBytes));
    const size = this.#told("DEV_DATA_STATE", () => device.read(into));
    if (size === 0) return 0;
    // The driver may have changed it by reading: what stands now is what the chunk belongs to.
    if (this.#order === "filter") this.#writeConfig(out);
    if (this.#order === "needed") this.#configIfDue(out);
    writeData(out, into.subarray(0, size));
    this.#wrote();
    return size;
  }

  #isConfigDue(): boolean {
    if (this.#attempt === undefined || this.#order !== "needed") return false;
    const { sentConfig } = this.#attempt;
    return sentConfig === undefined || !sameBytes(sentConfig, this.#config());
  }

  #configIfDue(out: Writer): void {
    const sent = this.#attempt?.sentConfig;
    if (sent === undefined || !sameBytes(sent, this.#config())) this.#writeConfig(out);
  }

  /** Nothing is enabled by it: the interrupt controller comes later. */
  #writeConfig(out: Writer): void {
    const attempt = this.#attempt as Attempt;
    const config = this.#config();
    writeMarker(out, "DEV_CONFIG_STATE");
    out.u32(subFlag.config);
    out.raw(config);
    attempt.sentConfig = config;
    this.#wrote();
  }

  #config(): Uint8Array {
    const { function: own } = this.#init;
    return encodeState(vfioPciDevice(own.parameters), own.save());
  }

  #wrote(): void {
    if (this.#attempt !== undefined) this.#attempt.records++;
  }

  #told<T>(marker: MarkerName, work: () => T): T {
    try {
      return work();
    } catch (error) {
      const { phase = "start", records = 0 } = this.#attempt ?? {};
      if (!isMigrationError(error)) throw error;
      throw error.at({ side: "source", path: `${phase}.records[${records}].${marker}` });
    }
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

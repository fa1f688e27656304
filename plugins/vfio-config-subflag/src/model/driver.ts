// A modelled vendor driver: the VFIO v2 protocol over a job engine with memory of its own. It comes in each kind, with and
// without PRE_COPY and P2P, and fails where it is told to.
import { Writer } from "@godwit/core";
import { arcs, type DeviceState, type DriverFeatures } from "../device-state.ts";
import type { ConfigOrder, DriverHost, PreCopyInfo, VendorDriver } from "../vendor-driver.ts";
import { type ModelRecord, pageBytes, recordBytes, writeModelRecord } from "./data.ts";
import { ModelDevice } from "./device.ts";
import { barOf, ModelReceiver } from "./receiver.ts";

/** The driver throws when this much has been read or written in this state, or on the way from one state to another. */
export type ModelFault =
  | { readonly in: "PRE_COPY" | "STOP_COPY" | "RESUMING"; readonly afterBytes: number }
  | { readonly from: DeviceState; readonly to: DeviceState; readonly into: DeviceState };

export interface ModelInit {
  /** Device memory: a multiple of 1024. Bytes. */
  readonly memoryBytes: number;
  readonly configOrder: ConfigOrder;
  /** The default is both. */
  readonly features?: DriverFeatures;
  /** Asked each time, so that a fault can come and go. */
  readonly fault?: () => ModelFault | undefined;
  /** Called on the way into STOP_COPY: a driver that changes its configuration space at the last moment. */
  readonly stopping?: (host: DriverHost) => void;
  /** Each job ends with this interrupt. The default is vector 0. */
  readonly vector?: number;
}

export interface ModelDriver extends VendorDriver {
  /** The device's jobs, as far as it runs: it does none in a P2P state or while it stands. Gives how many it did. */
  work(jobs: number): number;
  readonly jobs: bigint;
  readonly checksum: number;
  /** Device memory. A live view. */
  memory(): Uint8Array;
}

/** For `vfioPci({ driver })`. */
export function modelDriver(init: ModelInit): (host: DriverHost) => ModelDriver {
  if (!Number.isInteger(init.memoryBytes / pageBytes) || init.memoryBytes < pageBytes) {
    throw new RangeError(`device memory is a multiple of ${pageBytes} bytes`);
  }
  return (host) => new Model(init, host);
}

class Model implements ModelDriver {
  readonly features: DriverFeatures;
  readonly configOrder: ConfigOrder;
  readonly #init: ModelInit;
  readonly #host: DriverHost;
  #state: DeviceState = "RUNNING";
  #device: ModelDevice;
  #receiver: ModelReceiver | undefined;
  /** In this transfer. */
  #movedBytes = 0;
  #identitySent = false;
  #registersSent = false;

  constructor(init: ModelInit, host: DriverHost) {
    this.#init = init;
    this.#host = host;
    this.features = init.features ?? { p2p: true, preCopy: true };
    this.configOrder = init.configOrder;
    this.#device = new ModelDevice(init.memoryBytes);
  }

  get state(): DeviceState {
    return this.#state;
  }

  get jobs(): bigint {
    return this.#device.jobs;
  }

  get checksum(): number {
    return this.#device.checksum;
  }

  memory(): Uint8Array {
    return this.#device.memory;
  }

  work(jobs: number): number {
    if (this.#state !== "RUNNING" && this.#state !== "PRE_COPY") return 0;
    for (let i = 0; i < jobs; i++) {
      this.#device.work();
      this.#host.raise(this.#init.vector ?? 0);
    }
    return jobs;
  }

  step(to: DeviceState): void {
    const from = this.#state;
    if (!arcs(this.features).some(([a, b]) => a === from && b === to)) throw new Error(`no arc from ${from} to ${to}`);
    const fault = this.#init.fault?.();
    if (fault !== undefined && "to" in fault && fault.from === from && fault.to === to) {
      this.#state = fault.into;
      throw new Error(`planted on the way from ${from} to ${to}`);
    }
    this.#leave(from, to);
    this.#enter(from, to);
    this.#state = to;
  }

  #leave(from: DeviceState, to: DeviceState): void {
    if (from !== "RESUMING" || this.#receiver === undefined) return;
    try {
      this.#device = this.#receiver.finish();
    } catch (error) {
      this.#state = "ERROR";
      throw error;
    } finally {
      this.#receiver = undefined;
    }
    // A job's end may be news to the guest yet: the device says it again, which is harmless.
    if (to === "STOP") this.#host.raise(this.#init.vector ?? 0);
  }

  #enter(from: DeviceState, to: DeviceState): void {
    const goesOn = from === "PRE_COPY" || from === "PRE_COPY_P2P";
    if ((to === "PRE_COPY" || to === "STOP_COPY") && !goesOn) this.#begin();
    if (to === "STOP_COPY") {
      this.#movedBytes = 0;
      this.#init.stopping?.(this.#host);
    }
    if (to === "RESUMING") {
      this.#movedBytes = 0;
      this.#receiver = new ModelReceiver(this.configOrder, this.#init.memoryBytes);
    }
  }

  /** A transfer begins: everything is to be sent. */
  #begin(): void {
    this.#device.dirtyAll();
    this.#movedBytes = 0;
    this.#identitySent = false;
    this.#registersSent = false;
  }

  preCopyInfo(): PreCopyInfo {
    return { initialBytes: this.#identitySent ? 0 : recordBytes.identity, dirtyBytes: this.#dirtyBytes() };
  }

  stopCopyBytes(): number {
    return recordBytes.registers + (this.#identitySent ? 0 : recordBytes.identity) + this.#dirtyBytes();
  }

  #dirtyBytes(): number {
    return this.#device.dirty.size * recordBytes.page;
  }

  read(into: Uint8Array): number | "no-message" {
    this.#fail(this.#state === "STOP_COPY" ? "STOP_COPY" : "PRE_COPY");
    const out = new Writer(Math.min(into.length, 64 * 1024));
    const base = this.configOrder === "not-needed" ? 0n : barOf(this.#host.config());
    if (this.configOrder === "filter") out.u64(base);
    const empty = out.pos;
    this.#fill(out, into.length, base);
    if (out.pos === empty) return this.#state === "STOP_COPY" ? 0 : "no-message";
    into.set(out.written());
    this.#movedBytes += out.pos;
    return out.pos;
  }

  #fill(out: Writer, roomBytes: number, base: bigint): void {
    const fits = (record: ModelRecord): boolean => {
      if (out.pos + recordBytes[record.kind] > roomBytes) return false;
      writeModelRecord(out, record);
      return true;
    };
    const { memory, dirty, jobs, checksum } = this.#device;
    if (!this.#identitySent) {
      if (!fits({ kind: "identity", memoryBytes: memory.length })) throw new Error("no room for a record");
      this.#identitySent = true;
    }
    for (const page of dirty) {
      const at = page * pageBytes;
      if (!fits({ kind: "page", address: base + BigInt(at), bytes: memory.subarray(at, at + pageBytes) })) return;
      dirty.delete(page);
    }
    if (this.#state !== "STOP_COPY" || this.#registersSent) return;
    this.#registersSent = fits({ kind: "registers", jobs, checksum });
  }

  write(bytes: Uint8Array): void {
    this.#fail("RESUMING");
    this.#movedBytes += bytes.length;
    this.#receiving().write(bytes);
  }

  setConfig(config: Uint8Array): void {
    this.#receiving().setConfig(config);
  }

  reset(): void {
    this.#device = new ModelDevice(this.#init.memoryBytes);
    this.#receiver = undefined;
    this.#state = "RUNNING";
  }

  #receiving(): ModelReceiver {
    if (this.#receiver === undefined) throw new Error(`nothing can be written in ${this.#state}`);
    return this.#receiver;
  }

  #fail(state: "PRE_COPY" | "STOP_COPY" | "RESUMING"): void {
    const fault = this.#init.fault?.();
    if (fault === undefined || !("in" in fault) || fault.in !== state || this.#movedBytes < fault.afterBytes) return;
    throw new Error(`planted in ${state}, after ${this.#movedBytes} bytes`);
  }
}

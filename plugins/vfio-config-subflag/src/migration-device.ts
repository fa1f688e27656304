// A vendor driver under the rules of the protocol: ways of several arcs, and failures told with what was asked.
import { isMigrationError } from "@godwit/core";
import { vfioError } from "./codes.ts";
import { type DeviceState, wayTo } from "./device-state.ts";
import type { PreCopyInfo, VendorDriver } from "./vendor-driver.ts";

export class MigrationDevice {
  readonly driver: VendorDriver;
  /** Bytes read in this transfer, and written. For errors. */
  #movedBytes = 0;

  constructor(driver: VendorDriver) {
    this.driver = driver;
  }

  get state(): DeviceState {
    return this.driver.state;
  }

  /** In a state in which the device works, and may raise interrupts that a running machine is to see. */
  get isRunning(): boolean {
    return isRunningState(this.state);
  }

  /** Data can be read while the machine runs. */
  get isPreCopying(): boolean {
    return this.state === "PRE_COPY" || this.state === "PRE_COPY_P2P";
  }

  /** `VFIO_STATE`, `VFIO_DRIVER`. */
  setState(to: DeviceState): void {
    for (const next of wayTo(this.state, to, this.driver.features)) {
      const from = this.state;
      this.#asked(`${from} -> ${next}`, () => this.driver.step(next));
      if (this.state !== next) {
        throw vfioError("VFIO_DRIVER", `the vendor driver did not go from ${from} to ${next}`, {
          expected: next,
          found: this.state,
        });
      }
      if (next === "PRE_COPY" || next === "STOP_COPY" || next === "RESUMING") this.#movedBytes = 0;
    }
  }

  preCopyInfo(): PreCopyInfo {
    return this.#asked("PRE_COPY info", () => this.driver.preCopyInfo());
  }

  stopCopyBytes(): number {
    return this.#asked("stop-copy size", () => this.driver.stopCopyBytes());
  }

  /** Bytes read; 0 where there are none, for now in PRE_COPY and for good in STOP_COPY. */
  read(into: Uint8Array): number {
    const { state } = this;
    const found = this.#asked(`${state} read`, () => this.driver.read(into));
    const size = found === "no-message" && this.isPreCopying ? 0 : found;
    if (typeof size === "number" && Number.isInteger(size) && size >= 0 && size <= into.length) {
      this.#movedBytes += size;
      return size;
    }
    throw vfioError("VFIO_DRIVER", `the vendor driver's read in ${state} answered what it may not`, {
      expected: `0 to ${into.length} bytes`,
      found: String(found),
    });
  }

  write(bytes: Uint8Array): void {
    this.#asked("RESUMING write", () => this.driver.write(bytes));
    this.#movedBytes += bytes.length;
  }

  setConfig(config: Uint8Array): void {
    this.#asked("RESUMING config", () => this.driver.setConfig?.(config));
  }

  #asked<T>(what: string, question: () => T): T {
    try {
      return question();
    } catch (cause) {
      if (isMigrationError(cause)) throw cause;
      const text = cause instanceof Error ? cause.message : String(cause);
      throw vfioError("VFIO_DRIVER", `the vendor driver failed (${what}): ${text}`, {
        found: `in ${this.state}, after ${this.#movedBytes} bytes of device data`,
        cause,
      });
    }
  }
}

function isRunningState(state: DeviceState): boolean {
  return state === "RUNNING" || state === "RUNNING_P2P" || state === "PRE_COPY" || state === "PRE_COPY_P2P";
}

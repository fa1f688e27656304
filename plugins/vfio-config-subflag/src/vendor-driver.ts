// What a vendor driver is to this plugin: the VFIO v2 migration protocol of one device, as an interface.
import type { DeviceState, DriverFeatures } from "./device-state.ts";

/** Whether configuration space must be set up before device data can be taken. Asked at save_setup. */
export type ConfigOrder =
  /** It travels ahead of the data, and interrupts are enabled later. */
  | "needed"
  /** It travels once, behind all iterable state. */
  | "not-needed"
  /** It goes with every chunk; the driver buffers or reorders. */
  | "filter";

/** The bytes that a PRE_COPY state still has to send, as far as is known. */
export interface PreCopyInfo {
  /** Left of what a destination needs before it can get ready. */
  readonly initialBytes: number;
  /** Changed since it was read. */
  readonly dirtyBytes: number;
}

/** What a driver sees of the function that it is behind. */
export interface DriverHost {
  /** Configuration space as it is now. A live view: not to be written. */
  config(): Uint8Array;
  /** The device itself changes configuration space. `VFIO_STATE` before the function is the machine's. */
  writeConfig(offset: number, bytes: Uint8Array): void;
  /**
   * Raises an interrupt; it is held until the function's interrupts are enabled and the machine runs. `VFIO_DRIVER` for a
   * vector that the function does not have.
   */
  raise(vector: number): void;
}

/**
 * One device. It is opened in RUNNING. Any function may throw, and then the migration fails; the state is then what `step`
 * has reached, or ERROR.
 */
export interface VendorDriver {
  readonly features: DriverFeatures;
  readonly configOrder: ConfigOrder;
  readonly state: DeviceState;
  /** Goes one arc. Leaving RESUMING takes over what was written, all of it or nothing. */
  step(to: DeviceState): void;
  /** In PRE_COPY states. */
  preCopyInfo(): PreCopyInfo;
  /** About what STOP_COPY would give. Bytes. */
  stopCopyBytes(): number;
  /**
   * In PRE_COPY states and STOP_COPY: writes data into `into` and says how much; 0 in STOP_COPY is the end. "no-message"
   * (ENOMSG): in a PRE_COPY state there is nothing at the moment.
   */
  read(into: Uint8Array): number | "no-message";
  /** In RESUMING: one chunk, as `read` gave it. `bytes` are not to be kept. */
  write(bytes: Uint8Array): void;
  /** In RESUMING, where configuration space comes ahead of data. `config` is not to be kept. */
  setConfig?(config: Uint8Array): void;
  /** Out of ERROR, into RUNNING: what the device held is lost. */
  reset(): void;
  /** The device is let go: a load was given up. */
  close?(): void;
}

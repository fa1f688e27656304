// What a VFIO section, its vendor driver or its machine can fail with, beside the codes of the kernel.
import { MigrationError, type MigrationErrorInit } from "@godwit/core";

/** Stable codes of this plugin. They are API: a code keeps its meaning for ever. */
export const vfioErrorCodes = {
  VFIO_CONFIG: "configuration space is missing, or came twice",
  VFIO_DIALECT: "the vendor driver needs what the section's dialect cannot carry",
  VFIO_DRIVER: "the vendor driver failed",
  VFIO_MARKER: "a marker is unknown, or stands where it may not",
  VFIO_MULTIFD: "the device's state travels over multifd channels, which are not read here",
  VFIO_P2P: "one of several VFIO devices has no P2P states",
  VFIO_POSTCOPY: "a migration capability cannot be served with a VFIO device",
  VFIO_STATE: "a device cannot go to this state, or do this in its state",
  VFIO_SUB_FLAG: "a sub-flag has unknown bits, or says what it may not say here",
} as const;

export type VfioErrorCode = keyof typeof vfioErrorCodes;

export function vfioError(code: VfioErrorCode, detail: string, init?: MigrationErrorInit): MigrationError {
  return new MigrationError(code, detail, init);
}

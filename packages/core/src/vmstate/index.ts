// @godwit/core/vmstate: what the author of a description needs, and nothing that reads or writes bytes.

export { isMigrationError, MigrationError } from "../errors.ts";
export { type Capturable, capture, type Restorable, restore } from "./capture.ts";
export { type SubsectionInit, subsection, type VmstateInit, vmstate } from "./describe.ts";
export * from "./family.ts";
export * from "./fields.ts";
export type { Choose, CustomCodec, CustomItem, Spec } from "./spec.ts";
export type * from "./types.ts";

// @godwit/core/stream: QEMU's migration stream as events and sections, without a machine.

export * from "./configuration.ts";
export type * from "./events.ts";
export * from "./manifest.ts";
export type { BareOptions } from "./reader.ts";
export * from "./sections.ts";
export * from "./stream-reader.ts";
export * from "./vmdesc.ts";
export type * from "./vmdesc-types.ts";
export * from "./writer.ts";

// @godwit/core/vmstate: descriptions, and the codec that they mean.
export * from "./describe.ts";
export * from "./fields.ts";
export * from "./family.ts";
export type { CustomCodec, CustomItem } from "./spec.ts";
export type { VmdescDialect } from "./nodes/node.ts";
export type * from "./types.ts";
export * from "./codec.ts";
export { cloneValue, sameValue } from "./values.ts";

// @godwit/core/vmstate: descriptions, and the codec that they mean.

export * from "./codec.ts";
export * from "./describe.ts";
export * from "./family.ts";
export * from "./fields.ts";
export type { VmdescDialect } from "./nodes/node.ts";
export type { CustomCodec, CustomItem } from "./spec.ts";
export type * from "./types.ts";
export { cloneValue, sameValue } from "./values.ts";

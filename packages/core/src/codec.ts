// @godwit/core/codec: descriptions at work. Bytes to wire records and states, and back.

export { allocate, type Meter } from "./bounds.ts";
export { Cursor } from "./cursor.ts";
export { utf8Decode, utf8Encode } from "./utf8.ts";
export * from "./vmstate/codec.ts";
export type { VmdescDialect } from "./vmstate/nodes/node.ts";
export { cloneValue, sameValue } from "./vmstate/values.ts";
export { Writer } from "./writer.ts";

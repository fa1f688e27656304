// Declarations for TypeScript 5.4: what says nothing goes, what says something stays.
import { expect, it } from "vitest";
import { plainTypes } from "../plain-types-text.ts";

it.each([
  ["config: Uint8Array<ArrayBufferLike>;", "config: Uint8Array;"],
  ["IntField<bigint, BigUint64Array<ArrayBufferLike>>", "IntField<bigint, BigUint64Array>"],
  ["view: DataView<ArrayBufferLike>", "view: DataView"],
  ["a: Uint8Array<ArrayBuffer>", "a: Uint8Array<ArrayBuffer>"],
  ["a: Array<ArrayBufferLike>", "a: Array<ArrayBufferLike>"],
  ["a: ReadonlyArray<ArrayBufferLike>", "a: ReadonlyArray<ArrayBufferLike>"],
])("%s becomes %s", (text, expected) => {
  expect(plainTypes(text)).toBe(expected);
});

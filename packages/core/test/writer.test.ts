// The buffer that streams are written in: what it gives away is nobody else's memory.
import { describe, expect, it } from "vitest";
import { Writer } from "../src/writer.ts";

/** A view whose own `slice` shares its memory, as that of Node's Buffer does. */
class Sharing extends Uint8Array {
  override slice(from?: number, to?: number): Uint8Array<ArrayBuffer> {
    return this.subarray(from, to) as Uint8Array<ArrayBuffer>;
  }
}

describe("what a writer has flushed", () => {
  it.each([
    ["a view with a slice of its own", new Sharing(16)],
    ["a plain array", new Uint8Array(16)],
  ])("stays as it was, in %s", (_, into) => {
    const out = new Writer(into);
    out.u32(0x01020304);
    const first = out.flush();
    out.u32(0xffffffff);
    expect([...first]).toEqual([1, 2, 3, 4]);
    expect(first.buffer).not.toBe(into.buffer);
  });
});

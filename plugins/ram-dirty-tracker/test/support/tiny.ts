// The tiny guest's memory: page P of 2 MiB to 10 MiB holds its own address and the number of the pass that wrote it.
import { type ManifestStream, manifest } from "@godwit/test-support/streams";
import { expect } from "vitest";
import { page, testBlock } from "./rig.ts";

export function described(raw: string): ManifestStream {
  const file = manifest()
    .flatMap(({ files }) => files)
    .find((each) => each.raw === raw);
  if (file?.stream === undefined) throw new Error(`${raw} is not in the manifest`);
  return file.stream;
}

/** Blocks as the stream's manifest lists them, `pc.ram` at guest address 0. */
export function blocksOf({ ram_blocks }: Pick<ManifestStream, "ram_blocks">) {
  return ram_blocks.map(({ idstr, bytes }) =>
    testBlock(idstr, bytes, idstr === "pc.ram" ? { map: [{ gpa: 0, offset: 0, length: bytes }] } : {}),
  );
}

/** Checks each page's address, and gives the passes; the guest stood in the middle of one at most. */
export function passesOf(ram: Uint8Array): { readonly first: number; readonly last: number } {
  const view = new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
  const passes: number[] = [];
  let wrong = 0;
  for (let at = 0x20_0000; at < 0xa0_0000; at += page) {
    if (view.getUint32(at, true) !== at) wrong++;
    passes.push(view.getUint32(at + 4, true));
  }
  expect(wrong).toBe(0);
  const [first, last] = [passes[0] as number, passes.at(-1) as number];
  expect(passes.length).toBe(2048);
  expect(first - last === 0 || first - last === 1).toBe(true);
  expect(passes.every((pass, index) => index === 0 || pass <= (passes[index - 1] as number))).toBe(true);
  return { first, last };
}

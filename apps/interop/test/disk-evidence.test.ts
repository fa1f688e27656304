// The judge of the disk, on images that are as they should be and on images that are not.
import { describe, expect, it } from "vitest";
import {
  batchBlocks,
  blockBytes,
  diskBlocks,
  diskBytes,
  evidenceBlock,
  positionOf,
  verifyDisk,
} from "../src/disk-evidence.ts";

/** More than two laps. */
const lastCount = 1100;
const completed = lastCount * batchBlocks;

/** The image after `last` writes, in order. */
function imageAfter(last: number): Uint8Array {
  const image = new Uint8Array(diskBytes);
  for (let sequence = Math.max(1, last - diskBlocks + 1); sequence <= last; sequence++) write(image, sequence);
  return image;
}

const write = (image: Uint8Array, sequence: number, position = positionOf(sequence)): void =>
  image.set(evidenceBlock(sequence), position * blockBytes);

const whole = imageAfter(completed);

describe("an image with nothing wrong", () => {
  it("that stands between two batches", () => {
    expect(verifyDisk(whole, { lastCount, writes: completed })).toEqual({ completed, later: [], problems: [] });
  });

  it("with some of a batch that was under way, in any order", () => {
    const image = whole.slice();
    for (const sequence of [completed + 5, completed + 2]) write(image, sequence);
    expect(verifyDisk(image, { lastCount, writes: completed + 2 })).toEqual({
      completed,
      later: [completed + 2, completed + 5],
      problems: [],
    });
  });

  it("in its first lap, where most was never written", () => {
    expect(verifyDisk(imageAfter(16), { lastCount: 2, writes: 16 })).toEqual({
      completed: 16,
      later: [],
      problems: [],
    });
  });

  it("covers the disk in each lap", () => {
    const positions = new Set(Array.from({ length: diskBlocks }, (_, i) => positionOf(completed + i)));
    expect(positions.size).toBe(diskBlocks);
  });
});

describe("an image with", () => {
  const judged = (image: Uint8Array, writes = completed) => verifyDisk(image, { lastCount, writes }).problems;
  const sequence = completed - 100;
  const at = positionOf(sequence);

  it("a lost block: what stood there a lap before", () => {
    const image = whole.slice();
    write(image, sequence - diskBlocks);
    expect(judged(image)).toEqual([
      `block ${at}: lost or overwritten by a repeated one: ${sequence - diskBlocks}, and ${sequence} was completed`,
    ]);
  });

  it("a lost block: never written", () => {
    const image = whole.slice();
    image.fill(0, at * blockBytes, (at + 1) * blockBytes);
    expect(judged(image)).toEqual([`block ${at}: lost: nothing was written, and ${sequence} was completed`]);
  });

  it("the last completed block missing", () => {
    const image = imageAfter(completed - 1);
    expect(judged(image)).toEqual([expect.stringContaining(`and ${completed} was completed`)]);
  });

  it("a torn block: its second half is of a lap before", () => {
    const image = whole.slice();
    image.set(evidenceBlock(sequence - diskBlocks).subarray(blockBytes / 2), at * blockBytes + blockBytes / 2);
    expect(judged(image)).toEqual([`block ${at}: torn: it begins as ${sequence} and is not that, whole`]);
  });

  it.each([0, 8, 16, 2000, blockBytes - 1])("a byte changed at %i", (offset) => {
    const image = whole.slice();
    image[at * blockBytes + offset] = (image[at * blockBytes + offset] as number) ^ 1;
    expect(judged(image)).toEqual([expect.stringContaining(`block ${at}: torn`)]);
  });

  it("a block at another's place", () => {
    const image = whole.slice();
    write(image, sequence, positionOf(sequence - 1));
    expect(judged(image)).toEqual([`block ${positionOf(sequence - 1)}: misplaced: it is ${sequence} of block ${at}`]);
  });

  it("a block of the future", () => {
    const image = whole.slice();
    write(image, completed + 17);
    expect(judged(image)).toEqual([
      `block ${positionOf(completed + 17)}: ${completed + 17} is there, and the guest could not be past ${completed + 16}`,
    ]);
  });

  it("a write carried out twice", () => {
    expect(judged(whole, completed + 1)).toEqual([
      `${completed + 1} write requests were carried out, for ${completed} blocks`,
    ]);
  });

  it("its end cut off", () => {
    expect(judged(whole.subarray(0, diskBytes - blockBytes))[0]).toBe(
      `the image has ${diskBytes - blockBytes} bytes, and should have ${diskBytes}`,
    );
  });
});

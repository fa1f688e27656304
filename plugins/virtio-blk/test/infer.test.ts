// The number of queues and the form of requests, found from a section's bytes.
import { isMigrationError } from "@godwit/core";
import { elementBlobBytes, type VirtioClassFacts } from "@godwit/virtio-core";
import { describe, expect, it } from "vitest";
import { inferBlkParameters } from "../src/section.ts";

const queue = { num: 256, align: 4096, desc: 0x1000n, last_avail_idx: 0, transport: {} };
const footer = [0x7e, 0, 0, 0, 1];

function config(queues: number, bytes = 36): Uint8Array {
  const image = new Uint8Array(bytes);
  if (bytes >= 36) image[34] = queues;
  return image;
}

function facts(tail: number[], queues: number, image = config(queues)): VirtioClassFacts {
  return {
    status: 15,
    guestFeatures: 0,
    config: image,
    queues: new Array(queues).fill(queue),
    tail: Uint8Array.from(tail),
  };
}

function answer(of: VirtioClassFacts): unknown {
  try {
    return inferBlkParameters(of);
  } catch (error) {
    return isMigrationError(error) ? error.code : error;
  }
}

/** `before` bytes and an element, for each request. */
const requests = (count: number, before: number): number[] =>
  Array.from({ length: count }, () => [1, ...new Array(before + elementBlobBytes).fill(0)]).flat();

describe("virtio-blk's parameters", () => {
  it("are the section's queues, which configuration space confirms where it reaches that far", () => {
    expect(answer(facts([0, ...footer], 1))).toEqual({ queues: 1, packed: false });
    expect(answer(facts([0, ...footer], 4))).toEqual({ queues: 4, packed: false });
    expect(answer(facts([0, ...footer], 4, config(0, 20)))).toEqual({ queues: 4, packed: false });
    expect(answer(facts([0, ...footer], 4, config(0)))).toEqual({ queues: 4, packed: false });
    expect(answer(facts([0, ...footer], 4, config(3)))).toBe("PARAMETER_WRONG");
  });

  it("tell requests with and without a queue, and with and without a count of descriptors", () => {
    expect(answer(facts([...requests(2, 0), 0, ...footer], 1))).toEqual({ queues: 1, packed: false });
    expect(answer(facts([...requests(2, 4), 0, ...footer], 1))).toEqual({ queues: 1, packed: true });
    expect(answer(facts([...requests(1, 4), 0, ...footer], 2))).toEqual({ queues: 2, packed: false });
    expect(answer(facts([...requests(1, 8), 0, ...footer], 2))).toEqual({ queues: 2, packed: true });
  });

  it("are not guessed", () => {
    expect(answer(facts([...requests(1, 1), 0, ...footer], 1))).toBe("PARAMETER_WRONG");
    expect(answer(facts(requests(1, 0), 1))).toBe("PARAMETER_WRONG");
    expect(answer(facts([...requests(1, 0), 0, 0x7e, 0, 0, 0, 0x7e], 1))).toBe("PARAMETER_AMBIGUOUS");
  });
});

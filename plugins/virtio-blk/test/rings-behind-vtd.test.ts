// Linux ran with VT-d on when QEMU saved it. The virtqueue of its disk is found through its own page tables, in the
// memory that migrated; what stands in them must agree with what the device said of itself.
import { decodeRecord, toState } from "@godwit/core";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { checkQueues, ringProgress } from "@godwit/virtio-core";
import {
  descriptor,
  descriptorFlag,
  type QemuGuest,
  type Queue,
  qemuGuest,
  queuesOf,
  ringAddresses,
} from "@godwit/virtio-testkit";
import { beforeAll, describe, expect, it } from "vitest";
import { virtioBlkPciFamily } from "../src/pci.ts";

const bdf = "00:02.0";

function stateOf(guest: QemuGuest) {
  const sample = guest.section("0000:00:02.0/virtio-blk");
  const description = virtioBlkPciFamily.build(virtioBlkPciFamily.infer(sample));
  return toState(description, decodeRecord(description, sample.bytes));
}

describe
  .skipIf(!haveStreams())
  .each([["q35-vtd-virtio-7.2.stream"], ["q35-vtd-virtio-10.0.stream"], ["q35-retarget-10.0.stream"]])("%s", (raw) => {
  let guest: QemuGuest;
  let state: ReturnType<typeof stateOf>;
  let memory: ReturnType<QemuGuest["memoryOf"]>;
  beforeAll(() => {
    guest = qemuGuest(readStream(raw));
    state = stateOf(guest);
    memory = guest.memoryOf(bdf);
  });

  it("has its rings behind translation: no ring address is the memory's own", () => {
    expect(guest.vtd.dmar_enabled).toBe(true);
    const domains = ringAddresses(queuesOf(state, memory)).map((address) => {
      const { gpa, domainId } = guest.translator.translate(bdf, address, true);
      // All of the guest's memory is below 96 MiB, and Linux hands out device addresses from 4 GiB down.
      expect(address).toBeGreaterThan(0xff00_0000);
      expect(gpa).toBeLessThan(96 * 1024 * 1024);
      return domainId;
    });
    expect(domains).toHaveLength(3);
    expect(new Set(domains).size).toBe(1);
  });

  it("has indices that agree with the device's", () => {
    for (const { ring, last, content } of queuesOf(state, memory)) {
      const { waiting, inuse } = ringProgress(last, content.availIdx, content.usedIdx);
      expect(waiting).toBeLessThanOrEqual(ring.num);
      expect(inuse).toBeLessThanOrEqual(ring.num);
      for (const { id } of content.usedRing) expect(id).toBeLessThan(ring.num);
      for (const head of content.availRing) expect(head).toBeLessThan(ring.num);
    }
    expect(checkQueues(state, memory)).toEqual([]);
  });

  it("is at rest: each request is answered, and its memory taken away from the device", () => {
    const [queue] = queuesOf(state, memory) as [Queue];
    expect(state.legacy).toEqual([]);
    expect([queue.content.availIdx, queue.last, queue.content.usedIdx]).toEqual([41, 41, 41]);
    expect([queue.content.usedEvent, queue.content.availEvent]).toEqual([41, 41]);
    // Status alone, or whole sectors and the status.
    for (const { len } of queue.content.usedRing.slice(0, 41)) expect((len - 1) % 512).toBe(0);
    expect(queue.content.usedRing.slice(41).every(({ id, len }) => id === 0 && len === 0)).toBe(true);
    const { address, flags } = descriptor(memory, queue.ring, 0);
    expect(flags).toBe(descriptorFlag.indirect);
    expect(() => guest.translator.translate(bdf, address, false)).toThrow("TRANSLATION_FAULT");
  });
});

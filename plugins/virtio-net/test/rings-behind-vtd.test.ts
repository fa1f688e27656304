// Linux ran with VT-d on when QEMU saved it. The virtqueues of its network card are found through its own page tables, in the
// memory that migrated; what stands in them must agree with what the device said of itself.
import { decodeRecord, isMigrationError, toState } from "@godwit/core";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { checkQueues, type RingAddresses, readRing, ringOf, ringProgress, ringRules } from "@godwit/virtio-core";
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
import { virtioNetPciFamily } from "../src/pci.ts";
import { mac, own } from "./support/net-driver.ts";

const bdf = "00:01.0";
/** virtio-blk's. */
const otherBdf = "00:02.0";

function stateOf(guest: QemuGuest) {
  const sample = guest.section("0000:00:01.0/virtio-net");
  const description = virtioNetPciFamily.build(virtioNetPciFamily.infer(sample));
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
    expect(domains).toHaveLength(9);
    expect(new Set(domains).size).toBe(1);
    // Nobody finds them with the unit off (GSTS.TES 0).
    const csr = guest.vtd.csr.slice();
    new DataView(csr.buffer).setUint32(0x1c, 0, true);
    const untranslated = guest.memoryOf(bdf, guest.translatorOf({ ...guest.vtd, csr }));
    expect(() => readRing(untranslated, ringOf(state, 0) as RingAddresses, ringRules(state))).toThrow("no RAM");
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

  it("is at rest: all receive buffers wait, every frame and command is answered", () => {
    const [receive, transmit, control] = queuesOf(state, memory) as [Queue, Queue, Queue];
    expect([receive, transmit, control].map(({ last, content }) => [content.availIdx, last, content.usedIdx])).toEqual([
      [256, 0, 0],
      [15, 15, 15],
      [12, 12, 12],
    ]);
    // The device asks to be told of the next one (RING_EVENT_IDX), and answers each command with one byte.
    expect([transmit.content.availEvent, control.content.availEvent]).toEqual([15, 12]);
    expect(control.content.usedRing.slice(0, 12)).toEqual(Array.from({ length: 12 }, () => ({ id: 0, len: 1 })));
    for (const head of receive.content.availRing) {
      const { address, length, flags } = descriptor(memory, receive.ring, head);
      expect(flags & descriptorFlag.write).toBe(descriptorFlag.write);
      // Header and the longest frame of an Ethernet without jumbo frames.
      expect(length).toBeGreaterThanOrEqual(12 + 1514);
      expect(guest.translator.translate(bdf, address, true).write).toBe(true);
    }
  });

  it("has sent frames, from its own address, that still stand where transmit descriptors say", () => {
    const [, transmit] = queuesOf(state, memory) as [Queue, Queue, Queue];
    const sources = new Set<string>();
    const types = new Set<number>();
    for (const head of transmit.content.availRing.slice(0, 15)) {
      const { address, length, flags } = descriptor(memory, transmit.ring, head);
      expect(flags & descriptorFlag.write).toBe(0);
      try {
        const frame = memory.read(address, length).subarray(12);
        sources.add(frame.subarray(6, 12).join());
        types.add(((frame[12] as number) << 8) | (frame[13] as number));
      } catch (error) {
        // Linux takes a mapping away once it has seen the frame go out.
        if (!isMigrationError(error) || error.code !== "TRANSLATION_FAULT") throw error;
      }
    }
    expect(sources).toEqual(new Set([mac(own).join()]));
    expect([...types].every((type) => [0x0800, 0x0806, 0x86dd].includes(type))).toBe(true);
  });

  it("has tables of its own: the same address of another device leads elsewhere", () => {
    const [address] = ringAddresses(queuesOf(state, memory)) as [number];
    const [here, there] = [bdf, otherBdf].map((one) => guest.translator.translate(one, address, false));
    expect(here?.domainId).not.toBe(there?.domainId);
    expect(here?.gpa).not.toBe(there?.gpa);
  });
});

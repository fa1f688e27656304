// Linux ran with VT-d on when QEMU saved it. Its virtqueues are found by device addresses, through its own page tables,
// in the memory that migrated; what stands in them must agree with what the devices said of themselves.
import { decodeRecord, isMigrationError, toState } from "@godwit/core";
import { haveStreams } from "@godwit/testkit/streams";
import {
  type AnyVirtioState,
  checkQueues,
  type DmaReader,
  type RingAddresses,
  type RingContent,
  readRing,
  ringOf,
  ringProgress,
  ringRules,
} from "@godwit/virtio-core";
import { beforeAll, describe, expect, it } from "vitest";
import { virtioBlkPciFamily } from "../../virtio-blk/src/index.ts";
import { virtioNetPciFamily } from "../src/index.ts";
import { mac, own } from "./net-driver.ts";
import { type QemuGuest, qemuGuest } from "./qemu-guest.ts";

const net = { bdf: "00:01.0", idstr: "0000:00:01.0/virtio-net" };
const blk = { bdf: "00:02.0", idstr: "0000:00:02.0/virtio-blk" };

function netState(guest: QemuGuest) {
  const sample = guest.section(net.idstr);
  const description = virtioNetPciFamily.build(virtioNetPciFamily.infer(sample));
  return toState(description, decodeRecord(description, sample.bytes));
}

function blkState(guest: QemuGuest) {
  const sample = guest.section(blk.idstr);
  const description = virtioBlkPciFamily.build(virtioBlkPciFamily.infer(sample));
  return toState(description, decodeRecord(description, sample.bytes));
}

interface Queue {
  readonly ring: RingAddresses;
  readonly content: RingContent;
  readonly last: number;
}

function queuesOf(guest: QemuGuest, bdf: string, state: AnyVirtioState): Queue[] {
  return state.vqs.map(({ last_avail_idx: last }, index) => {
    const ring = ringOf(state, index);
    if (ring === undefined) throw new Error(`queue ${index} is not set up`);
    return { ring, last, content: readRing(guest.memoryOf(bdf), ring, ringRules(state)) };
  });
}

function descriptor(memory: DmaReader, { desc }: RingAddresses, index: number) {
  const bytes = memory.read(Number(desc) + 16 * index, 16);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return {
    address: Number(view.getBigUint64(0, true)),
    length: view.getUint32(8, true),
    flags: view.getUint16(12, true),
  };
}

const flag = { write: 2, indirect: 4 };

describe
  .skipIf(!haveStreams())
  .each([["q35-vtd-virtio-7.2.stream"], ["q35-vtd-virtio-10.0.stream"], ["q35-retarget-10.0.stream"]])("%s", (raw) => {
  let guest: QemuGuest;
  beforeAll(() => {
    guest = qemuGuest(raw);
  });

  it("has its rings behind translation: no ring address is the memory's own", () => {
    expect(guest.vtd.dmar_enabled).toBe(true);
    for (const [{ bdf }, state] of [
      [net, netState(guest)],
      [blk, blkState(guest)],
    ] as const) {
      const domains = queuesOf(guest, bdf, state).flatMap(({ ring: { desc, avail, used } }) =>
        [desc, avail, used].map((address) => {
          const { gpa, domainId } = guest.translator.translate(bdf, Number(address), true);
          // All of the guest's memory is below 96 MiB, and Linux hands out device addresses from 4 GiB down.
          expect(Number(address)).toBeGreaterThan(0xff00_0000);
          expect(gpa).toBeLessThan(96 * 1024 * 1024);
          return domainId;
        }),
      );
      expect(new Set(domains).size).toBe(1);
    }
    const off = guest.vtd.csr.slice();
    new DataView(off.buffer).setUint32(0x1c, 0, true);
    const untranslated = guest.memoryOf(net.bdf, guest.translatorOf({ ...guest.vtd, csr: off }));
    expect(() =>
      readRing(untranslated, ringOf(netState(guest), 0) as RingAddresses, ringRules(netState(guest))),
    ).toThrow("no RAM");
  });

  it("has indices that agree with the devices'", () => {
    for (const [{ bdf }, state] of [
      [net, netState(guest)],
      [blk, blkState(guest)],
    ] as const) {
      for (const { ring, last, content } of queuesOf(guest, bdf, state)) {
        const { waiting, inuse } = ringProgress(last, content.availIdx, content.usedIdx);
        expect(waiting).toBeLessThanOrEqual(ring.num);
        expect(inuse).toBeLessThanOrEqual(ring.num);
        for (const { id } of content.usedRing) expect(id).toBeLessThan(ring.num);
        for (const head of content.availRing) expect(head).toBeLessThan(ring.num);
      }
      expect(checkQueues(state, guest.memoryOf(bdf))).toEqual([]);
    }
  });

  it("has a network device at rest: all receive buffers waiting, every frame and command answered", () => {
    const [receive, transmit, control] = queuesOf(guest, net.bdf, netState(guest)) as [Queue, Queue, Queue];
    expect([receive, transmit, control].map(({ last, content }) => [content.availIdx, last, content.usedIdx])).toEqual([
      [256, 0, 0],
      [15, 15, 15],
      [12, 12, 12],
    ]);
    // The device asks to be told of the next one (RING_EVENT_IDX), and answers each command with one byte.
    expect([transmit.content.availEvent, control.content.availEvent]).toEqual([15, 12]);
    expect(control.content.usedRing.slice(0, 12)).toEqual(Array.from({ length: 12 }, () => ({ id: 0, len: 1 })));
    const memory = guest.memoryOf(net.bdf);
    for (const head of receive.content.availRing) {
      const { address, length, flags } = descriptor(memory, receive.ring, head);
      expect(flags & flag.write).toBe(flag.write);
      // Header and the longest frame of an Ethernet without jumbo frames.
      expect(length).toBeGreaterThanOrEqual(12 + 1514);
      expect(guest.translator.translate(net.bdf, address, true).write).toBe(true);
    }
  });

  it("has the frames that the guest sent last, from its own address, where transmit descriptors say", () => {
    const [, transmit] = queuesOf(guest, net.bdf, netState(guest)) as [Queue, Queue];
    const memory = guest.memoryOf(net.bdf);
    const sources: string[] = [];
    const types = new Set<number>();
    for (const head of transmit.content.availRing.slice(0, 15)) {
      const { address, length, flags } = descriptor(memory, transmit.ring, head);
      expect(flags & flag.write).toBe(0);
      try {
        const frame = memory.read(address, length).subarray(12);
        sources.push(frame.subarray(6, 12).join());
        types.add(((frame[12] as number) << 8) | (frame[13] as number));
      } catch (error) {
        // Linux takes a mapping away once it has seen the frame go out.
        if (!isMigrationError(error) || error.code !== "TRANSLATION_FAULT") throw error;
      }
    }
    expect(sources.length).toBeGreaterThan(0);
    expect(new Set(sources)).toEqual(new Set([mac(own).join()]));
    expect([...types].every((type) => [0x0800, 0x0806, 0x86dd].includes(type))).toBe(true);
  });

  it("has a block device at rest: each request answered, its memory taken away from the device", () => {
    const [queue] = queuesOf(guest, blk.bdf, blkState(guest)) as [Queue];
    expect(blkState(guest).legacy).toEqual([]);
    expect([queue.content.availIdx, queue.last, queue.content.usedIdx]).toEqual([41, 41, 41]);
    expect([queue.content.usedEvent, queue.content.availEvent]).toEqual([41, 41]);
    // Status alone, or whole sectors and the status.
    for (const { len } of queue.content.usedRing.slice(0, 41)) expect((len - 1) % 512).toBe(0);
    expect(queue.content.usedRing.slice(41).every(({ id, len }) => id === 0 && len === 0)).toBe(true);
    const { address, flags } = descriptor(guest.memoryOf(blk.bdf), queue.ring, 0);
    expect(flags).toBe(flag.indirect);
    expect(() => guest.translator.translate(blk.bdf, address, false)).toThrow("TRANSLATION_FAULT");
  });

  it("has tables of its own for each device", () => {
    const { ring } = (queuesOf(guest, blk.bdf, blkState(guest)) as [Queue])[0];
    const asBlk = guest.translator.translate(blk.bdf, Number(ring.desc), false);
    const asNet = guest.translator.translate(net.bdf, Number(ring.desc), false);
    expect(asBlk.domainId).not.toBe(asNet.domainId);
    expect(asBlk.gpa).not.toBe(asNet.gpa);
  });
});

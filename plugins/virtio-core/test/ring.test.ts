// Split rings in memory: where their parts are, what they hold, and chains of descriptors.
import { isMigrationError } from "@godwit/core";
import { describe, expect, it } from "vitest";
import { ChainFault, readChain } from "../src/chain.ts";
import { deviceAddress, legacyRing, readRing, ringBytes, ringProgress } from "../src/index.ts";
import { DriverRing } from "./support/driver-ring.ts";
import { TestMemory } from "./support/memory.ts";

const rules = { littleEndian: true, eventIdx: true };
const chainRules = { ...rules, indirect: true };

describe("layout", () => {
  it("has the sizes of virtio 1.2, with and without event fields", () => {
    expect(ringBytes(256, rules)).toEqual({ desc: 4096, avail: 518, used: 2054 });
    expect(ringBytes(256, { ...rules, eventIdx: false })).toEqual({ desc: 4096, avail: 516, used: 2052 });
  });

  it("of a legacy ring begins the used part at the next multiple", () => {
    expect(legacyRing(0x10000n, 8, 4096)).toEqual({ num: 8, desc: 0x10000n, avail: 0x10080n, used: 0x11000n });
    expect(legacyRing(0x10000n, 256, 4096)).toEqual({ num: 256, desc: 0x10000n, avail: 0x11000n, used: 0x12000n });
    expect(legacyRing(0n, 4, 64).used).toBe(128n);
  });

  it("counts mod 2^16", () => {
    expect(ringProgress(0xfffe, 3, 0xfffc)).toEqual({ waiting: 5, inuse: 2 });
    expect(ringProgress(2, 2, 0xffff)).toEqual({ waiting: 0, inuse: 3 });
  });

  it("knows no address beyond what a number holds", () => {
    expect(deviceAddress(0x1f_ffff_ffff_ffffn)).toBe(Number.MAX_SAFE_INTEGER);
    expect(() => deviceAddress(1n << 53n)).toThrow(/MEMORY_UNMAPPED.*found 0x20000000000000/);
  });
});

describe.each([true, false])("a ring (little-endian: %s)", (littleEndian) => {
  it("is read as driver and device left it", () => {
    const memory = new TestMemory();
    const ring = new DriverRing(memory, 0x1000, 4, littleEndian);
    ring.availFlags = 1;
    for (const head of [2, 0, 3]) ring.offer(head);
    ring.usedEvent = 77;
    ring.usedIdx = 0xffff;
    memory.view.setUint32(ring.used + 4 + 8, 3, littleEndian);
    memory.view.setUint32(ring.used + 8 + 8, 512, littleEndian);
    const content = readRing(memory, ring.addresses, { littleEndian, eventIdx: true });
    expect(content).toMatchObject({ availFlags: 1, availIdx: 3, usedEvent: 77, usedFlags: 0, usedIdx: 0xffff });
    expect(Array.from(content.availRing)).toEqual([2, 0, 3, 0]);
    expect(content.usedRing[1]).toEqual({ id: 3, len: 512 });
    const without = readRing(memory, ring.addresses, { littleEndian, eventIdx: false });
    expect([without.usedEvent, without.availEvent]).toEqual([undefined, undefined]);
  });
});

it.each(["desc", "avail", "used"] as const)("a %s part that nothing answers at is named", (part) => {
  const memory = new TestMemory();
  const { addresses } = new DriverRing(memory, 0x1000, 8);
  try {
    readRing(memory, { ...addresses, [part]: 0x20000n }, rules);
    expect.unreachable();
  } catch (error) {
    if (!isMigrationError(error)) throw error;
    expect([error.code, error.location.path]).toEqual(["MEMORY_UNMAPPED", part]);
  }
});

describe("a chain", () => {
  const memory = () => {
    const bytes = new TestMemory();
    return { bytes, ring: new DriverRing(bytes, 0x1000, 8) };
  };

  it("is its readable, then its writable descriptors", () => {
    const { bytes, ring } = memory();
    const head = ring.add(
      { address: 0x5000, length: 16 },
      { address: 0x6000, length: 512, write: true },
      { address: 0x7000, length: 1, write: true },
    );
    expect(readChain(bytes, ring.addresses, head, chainRules)).toEqual({
      index: 0,
      out: [{ address: 0x5000, length: 16 }],
      in: [
        { address: 0x6000, length: 512 },
        { address: 0x7000, length: 1 },
      ],
    });
  });

  it("goes on in an indirect table, from its head or further on", () => {
    const { bytes, ring } = memory();
    ring.descriptor(0x8000, 0, 0x5000, 4, 1, 2);
    ring.descriptor(0x8000, 2, 0x6000, 8, 2);
    ring.descriptor(ring.desc, 5, 0x8000, 48, 4);
    const indirect = { index: 5, out: [{ address: 0x5000, length: 4 }], in: [{ address: 0x6000, length: 8 }] };
    expect(readChain(bytes, ring.addresses, 5, chainRules)).toEqual(indirect);
    ring.descriptor(ring.desc, 4, 0x4000, 2, 1, 5);
    expect(readChain(bytes, ring.addresses, 4, chainRules)).toEqual({
      ...indirect,
      index: 4,
      out: [{ address: 0x4000, length: 2 }, ...indirect.out],
    });
    expect(() => readChain(bytes, ring.addresses, 5, { ...chainRules, indirect: false })).toThrow("was not negotiated");
  });

  it("may have as many descriptors as the ring, and not one more", () => {
    const { bytes, ring } = memory();
    for (let i = 0; i < 8; i++) ring.descriptor(ring.desc, i, 0x5000 + i, 1, i === 7 ? 0 : 1, i + 1);
    expect(readChain(bytes, ring.addresses, 0, chainRules).out).toHaveLength(8);
    ring.descriptor(ring.desc, 7, 0x5000, 1, 1, 0);
    expect(() => readChain(bytes, ring.addresses, 0, chainRules)).toThrow("does not end");
  });

  it.each([
    ["a head beyond the ring", 8, [], "descriptor 8 of a table of 8"],
    ["no bytes", 0, [[0x5000, 0, 0, 0]], "no bytes"],
    [
      "readable after writable",
      0,
      [
        [0x5000, 1, 3, 1],
        [0x6000, 1, 0, 0],
      ],
      "after a writable one",
    ],
    ["a next beyond the ring", 0, [[0x5000, 1, 1, 9]], "descriptor 9 of a table of 8"],
    ["an indirect table with a next one", 0, [[0x8000, 16, 5, 1]], "with a next one"],
    ["an indirect table of 20 bytes", 0, [[0x8000, 20, 4, 0]], "table of 20 bytes"],
    ["an indirect table of none", 0, [[0x8000, 0, 4, 0]], "table of 0 bytes"],
  ] as const)("with %s is a fault", (_, head, descriptors, message) => {
    const { bytes, ring } = memory();
    descriptors.forEach(([address, length, flags, next], i) => {
      ring.descriptor(ring.desc, i, address, length, flags, next);
    });
    const read = () => readChain(bytes, ring.addresses, head, chainRules);
    expect(read).toThrow(ChainFault);
    expect(read).toThrow(message);
  });

  it("with an indirect table in an indirect table is a fault", () => {
    const { bytes, ring } = memory();
    ring.descriptor(ring.desc, 0, 0x8000, 16, 4);
    ring.descriptor(0x8000, 0, 0x9000, 16, 4);
    expect(() => readChain(bytes, ring.addresses, 0, chainRules)).toThrow("within an indirect table");
  });
});

// The plugin in a kernel: a machine's RAM is saved, loaded, checked against by a device, and put back after a failure.
import { readFileSync } from "node:fs";
import { createKernel, type Kernel, u32, virtualClock, vmstate } from "@godwit/core";
import { type GuestReader, listFormat, type RamOffer, ram } from "@godwit/ram-dirty-tracker";
import { describe, expect, it } from "vitest";
import { page, pattern, sameBytes, type TestBlock, testBlock } from "./support/rig.ts";

interface TestMachine {
  readonly kernel: Kernel;
  readonly offer: RamOffer;
  readonly blocks: readonly TestBlock[];
}

function machine(): TestMachine {
  const blocks = [
    testBlock("mach.ram", 16 * page, { map: [{ gpa: 0x1000_0000, offset: 0, length: 16 * page }] }),
    testBlock("mach.rom", 2 * page),
  ];
  const kernel = createKernel({
    machineType: "test-1",
    clock: virtualClock(() => 0n),
    machine: { pause() {}, resume() {}, reset() {} },
  });
  return { kernel, blocks, offer: kernel.use(ram({ blocks: blocks.map(({ block }) => block) })) };
}

async function saved(kernel: Kernel): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of kernel.save()) chunks.push(chunk);
  return new Uint8Array(Buffer.concat(chunks));
}

/** A device whose ring stands in RAM: what it counts must be what the ring says. */
const device = vmstate({ name: "ring-device", version: 1, fields: { count: u32 } });

function addDevice({ kernel, offer }: TestMachine, load: (count: number) => void, seen: number[]): void {
  kernel.device(device, {
    after: offer.after,
    save: () => ({ count: offer.memory.read(0x1000_0000, 1)[0] as number }),
    check: (_, view) => {
      const memory: GuestReader = offer.staged(view);
      seen.push(memory.read(0x1000_0000, 1)[0] as number);
      return undefined;
    },
    load: ({ count }) => load(count),
  });
}

describe("the ram plugin", () => {
  it("bears the package's name and version", () => {
    const { name, version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
    expect(ram({ blocks: [] })).toMatchObject({ name, version, contract: 3 });
  });

  it("moves RAM from kernel to kernel, and a device's check sees it first", async () => {
    const [source, target] = [machine(), machine()];
    const seen: number[] = [];
    const counts: number[] = [];
    addDevice(source, () => {}, []);
    addDevice(target, (count) => counts.push(count), seen);
    source.offer.memory.write(0x1000_0000, pattern(3));
    source.blocks[1]?.memory().set(pattern(9), page);
    const stream = await saved(source.kernel);
    const report = await target.kernel.load(stream);
    expect(report.sections.filter(({ idstr }) => idstr === "ram").map(({ phase }) => phase)).toEqual(["start", "end"]);
    const memories = [target, source].map(({ blocks }) => blocks.map(({ memory }) => memory()));
    expect(sameBytes(memories[0] as Uint8Array[], memories[1] as Uint8Array[])).toBe(true);
    expect(seen).toEqual([pattern(3)[0]]);
    expect(counts).toEqual([pattern(3)[0]]);
    expect(source.offer.statistics().sent).toMatchObject({ dirtySyncCount: 2, normalPages: 2, zeroPages: 16 });
    expect(target.offer.statistics().received).toMatchObject({ normalPages: 2, zeroPages: 16, missingPages: 0 });
    expect(target.kernel.manifest().ramBlocks).toEqual([
      { idstr: "mach.ram", bytes: 16 * page },
      { idstr: "mach.rom", bytes: 2 * page },
    ]);
  });

  it("keeps the very memory that it had if a device fails to load", async () => {
    const [source, target] = [machine(), machine()];
    source.offer.memory.write(0x1000_0000, pattern(3));
    addDevice(source, () => {}, []);
    let fail = true;
    addDevice(target, () => {
      if (!fail) return;
      fail = false;
      throw new Error("out of order");
    }, []);
    const before = target.blocks.map(({ memory }) => memory());
    const stream = await saved(source.kernel);
    await expect(target.kernel.load(stream)).rejects.toMatchObject({ code: "DEVICE_FAILED" });
    for (const [index, { memory }] of target.blocks.entries()) expect(memory()).toBe(before[index]);
    expect(before.every((bytes) => bytes.every((byte) => byte === 0))).toBe(true);
    await target.kernel.load(stream);
    expect(target.blocks[0]?.memory().subarray(0, page)).toEqual(pattern(3));
  });

  it("loads in every chunking, and ends at every byte of its START with the place", async () => {
    const source = machine();
    source.offer.memory.write(0x1000_0000, pattern(7));
    const stream = await saved(source.kernel);
    for (const chunkBytes of [1, 7, 4096]) {
      const target = machine();
      const chunks = Array.from({ length: Math.ceil(stream.length / chunkBytes) }, (_, i) =>
        stream.subarray(i * chunkBytes, (i + 1) * chunkBytes),
      );
      await target.kernel.load(chunks);
      const memories = [target, source].map(({ blocks }) => blocks.map(({ memory }) => memory()));
      expect(sameBytes(memories[0] as Uint8Array[], memories[1] as Uint8Array[])).toBe(true);
    }

    const target = machine();
    const attempt = target.kernel.incoming();
    const paths = new Set<string>();
    for (let next = 0; next < 600; next++) {
      attempt.push(stream.subarray(next, next + 1));
      const fork = attempt.fork();
      try {
        fork.end();
        expect.unreachable();
      } catch (error) {
        const { code, location } = error as {
          code: string;
          location: { section: string; path: string; offset: number };
        };
        expect(code).toBe("STREAM_TRUNCATED");
        expect(location.offset).toBeLessThanOrEqual(next + 1);
        if (location.section === "ram/0") paths.add(location.path);
      }
    }
    attempt.discard();
    expect([...paths].slice(0, 5)).toEqual([
      "total",
      "blocks[0].idstr",
      "blocks[0].used_length",
      "blocks[1].idstr",
      "blocks[1].used_length",
    ]);
    expect(paths).toContain("pages[mach.ram+0x0].data");
  });

  it("snapshots and restores in place", () => {
    const { kernel, offer, blocks } = machine();
    offer.memory.write(0x1000_0000, Uint8Array.of(1));
    const first = kernel.snapshot().slice();
    offer.memory.write(0x1000_0000, Uint8Array.of(2));
    offer.memory.write(0x1000_5000, Uint8Array.of(3));
    kernel.restore(first);
    expect([blocks[0]?.memory()[0], blocks[0]?.memory()[0x5000]]).toEqual([1, 0]);
    expect(sameBytes([kernel.snapshot()], [first])).toBe(true);
  });
});

describe("capabilities of the configuration", () => {
  const capable = (capabilities: readonly string[], shared = false) => {
    const map = [{ gpa: 0x1000_0000, offset: 0, length: 16 * page }];
    const blocks = [testBlock("mach.ram", 16 * page, { map, shared }), testBlock("mach.rom", 2 * page)];
    const kernel = createKernel({
      machineType: "test-1",
      clock: virtualClock(() => 0n),
      machine: { pause() {}, resume() {}, reset() {} },
      capabilities,
    });
    kernel.use(ram({ blocks: blocks.map(({ block }) => block), list: listFormat(capabilities) }));
    return { kernel, blocks };
  };
  const moved = async (capabilities: readonly string[], shared = false) => {
    const [source, target] = [capable(capabilities, shared), capable(capabilities, shared)];
    for (const [index, { memory }] of source.blocks.entries()) memory().set(pattern(7 + index), page);
    const bytes = await saved(source.kernel);
    await target.kernel.load([bytes]);
    return { source, target, bytes };
  };

  it("mapped-ram: a save is a file whose pages stand at whole MiBs, and it loads", async () => {
    const { source, target, bytes } = await moved(["mapped-ram"]);
    expect(bytes.subarray((1 << 20) + page, (1 << 20) + 2 * page)).toEqual(pattern(7));
    expect(bytes.subarray((2 << 20) + page, (2 << 20) + 2 * page)).toEqual(pattern(8));
    expect(
      sameBytes(
        target.blocks.map(({ memory }) => memory()),
        source.blocks.map(({ memory }) => memory()),
      ),
    ).toBe(true);
  });

  it("x-ignore-shared: shared memory stays where it is, on both sides", async () => {
    const { target, bytes } = await moved(["x-ignore-shared"], true);
    expect(bytes.length).toBeLessThan(2 * page);
    expect(target.blocks[0]?.memory().every((byte) => byte === 0)).toBe(true);
    expect(target.blocks[1]?.memory().subarray(page)).toEqual(pattern(8));
    const chunks = [bytes.subarray(0, 80), bytes.subarray(80)];
    await expect(capable([], true).kernel.load(chunks)).rejects.toMatchObject({ code: "CAPABILITY_MISMATCH" });
  });
});

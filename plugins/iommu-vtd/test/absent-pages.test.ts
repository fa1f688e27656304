// Post-copy: the guest's tables, its queue and a device's buffers may not have come yet. Nothing is done by halves.
import { isMigrationError, MigrationError } from "@godwit/core";
import { describe, expect, it } from "vitest";
import type { AbsentMemory, Ram } from "../src/index.ts";
import {
  Driver,
  FSTS,
  IQA,
  IQH,
  IQT,
  IRE,
  IRTA,
  machine,
  page2M,
  page4K,
  QIE,
  R,
  SIRTP,
  Tables,
  TestMemory,
  W,
} from "./support.ts";

class IncompleteMemory extends TestMemory {
  readonly away = new Set<number>();
  readonly #waiting: { readonly gpa: number; resolve(): void }[] = [];

  override read(gpa: number, length: number): Uint8Array {
    this.#check(gpa, length);
    return super.read(gpa, length);
  }

  override write(gpa: number, bytes: Uint8Array): void {
    this.#check(gpa, bytes.length);
    super.write(gpa, bytes);
  }

  /** The page is there; who waited for it has gone on when this resolves. */
  async give(gpa: number): Promise<void> {
    this.away.delete(gpa);
    for (const one of this.#waiting) if (one.gpa === gpa) one.resolve();
    await new Promise((resolve) => setImmediate(resolve));
  }

  readonly postcopy: AbsentMemory = (() => {
    const memory = this;
    return {
      get active() {
        return memory.away.size > 0;
      },
      demand: (gpa, length) => memory.#check(gpa, length),
      whenPresent: ({ location }) =>
        new Promise((resolve) => memory.#waiting.push({ gpa: location.offset ?? -1, resolve })),
    };
  })();

  #check(gpa: number, length: number): void {
    for (const page of this.away) {
      if (gpa < page + page4K && page < gpa + length)
        throw new MigrationError("PAGE_ABSENT", "not yet", { path: "ram", offset: page });
    }
  }
}

function incomplete() {
  const memory = new IncompleteMemory(page2M);
  const ram: Ram = { memory, after: [], staged: () => memory, postcopy: memory.postcopy };
  const made = machine({ memory: ram, intremap: true }, memory);
  return { ...made, memory, driver: new Driver(made) };
}

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
  } catch (error) {
    if (isMigrationError(error)) return error.code;
    throw error;
  }
  return undefined;
}

const device = 0x0010;
const queue = 0x3_0000;
const table = 0x4_0000;

describe("an interrupt whose table entry has not come", () => {
  const message = (0xfee0_0010 | (5 << 5)) >>> 0;
  const sent = () => {
    const all = incomplete();
    all.memory.set64(table + 16 * 5, 1n | (0x41n << 16n));
    all.driver.set64(IRTA, BigInt(table) | 3n);
    all.driver.command(SIRTP);
    all.driver.command(IRE);
    all.memory.away.add(table);
    all.iommu.msiFor("00:02.0")(message, 0);
    return all;
  };

  it("is delivered when it has, once", async () => {
    const { messages, memory, iommu } = sent();
    expect([messages, iommu.statistics()]).toMatchObject([[], { remapped: 0, blocked: 0 }]);
    await memory.give(table);
    await memory.give(table);
    expect(messages).toEqual([[0xfee0_0000, 0x4041]]);
    expect(iommu.statistics()).toMatchObject({ remapped: 1, blocked: 0 });
  });

  it("does not outlive a reset", async () => {
    const { messages, memory, iommu } = sent();
    iommu.reset();
    await memory.give(table);
    expect(messages).toEqual([]);
  });
});

describe("the invalidation queue", () => {
  const status = 0x8000;
  const wait = (memory: TestMemory, slot: number, data: number): void => {
    memory.set64(queue + 16 * slot, 0x25n | (BigInt(data) << 32n));
    memory.set64(queue + 16 * slot + 8, BigInt(status + 8 * slot));
  };

  it("stops before a descriptor whose status cannot be written, and goes on with it when its tail is written again", async () => {
    const { memory, driver } = incomplete();
    driver.set64(IQA, BigInt(queue));
    driver.command(QIE);
    wait(memory, 0, 7);
    wait(memory, 1, 8);
    memory.away.add(status);
    for (let again = 0; again < 2; again++) {
      expect(codeOf(() => driver.set(IQT, 32))).toBe("PAGE_ABSENT");
      expect([driver.get(IQH), driver.get(FSTS)]).toEqual([0, 0]);
    }
    await memory.give(status);
    memory.dirty.length = 0;
    driver.set(IQT, 32);
    expect([driver.get(IQH), memory.get32(status), memory.get32(status + 8)]).toEqual([32, 7, 8]);
    expect(memory.dirty).toHaveLength(2);
  });

  it("is worked off though its own memory had not come when it was switched on", async () => {
    const { memory, driver } = incomplete();
    wait(memory, 0, 9);
    driver.set64(IQA, BigInt(queue));
    driver.set(IQT, 16);
    memory.away.add(queue);
    expect(codeOf(() => driver.command(QIE))).toBe("PAGE_ABSENT");
    await memory.give(queue);
    driver.command(QIE);
    expect([driver.get(IQH), memory.get32(status)]).toEqual([16, 9]);
  });
});

describe("a device's access", () => {
  const mapped = () => {
    const all = incomplete();
    const tables = new Tables(all.memory);
    const pages = tables.attach(device, 7, 3);
    tables.map(pages, 3, 0x1000, 0x9000, R | W);
    tables.map(pages, 3, 0x2000, 0x2_0000, R | W);
    all.driver.enable(tables.root);
    const dma = all.iommu.dmaFor(device);
    const { postcopy } = dma;
    if (postcopy === undefined) throw new Error("its memory may be absent");
    return { ...all, tables, pages, dma, postcopy };
  };

  it("to two pages writes neither while one is absent", async () => {
    const { memory, dma } = mapped();
    memory.away.add(0x2_0000);
    memory.dirty.length = 0;
    const write = () => dma.write(0x1ffc, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    expect(codeOf(write)).toBe("PAGE_ABSENT");
    expect([memory.dirty, memory.get32(0x9ffc)]).toEqual([[], 0]);
    await memory.give(0x2_0000);
    write();
    expect([memory.get32(0x9ffc), memory.get32(0x2_0000)]).toEqual([0x0403_0201, 0x0807_0605]);
  });

  it("is demanded with the tables that lead to it, and records no fault", async () => {
    const { memory, postcopy, tables, iommu } = mapped();
    const demand = (iova: number) => codeOf(() => postcopy.demand(iova, 8, true));
    expect(postcopy.active).toBe(false);
    memory.away.add(tables.root).add(0x9000);
    expect([postcopy.active, demand(0x1000)]).toEqual([true, "PAGE_ABSENT"]);
    await memory.give(tables.root);
    expect(demand(0x1000)).toBe("PAGE_ABSENT");
    expect(demand(0x2000)).toBe(undefined);
    await memory.give(0x9000);
    memory.away.add(0x7_0000);
    expect([demand(0x1000), demand(0x5000)]).toEqual([undefined, undefined]);
    expect(iommu.statistics().faults).toBe(0);
  });
});

import { describe, expect, it } from "vitest";
import {
  buffer,
  contract,
  createKernel,
  type IterableInit,
  isMigrationError,
  type Kernel,
  type MigrationError,
  type OutgoingAttempt,
  stateless,
  u32,
  unmigratable,
  virtualClock,
  vmstate,
  type Writer,
} from "../src/index.ts";
import { memory, smallMachine } from "./machine.ts";

function emptyKernel(options: { contracts?: { oldest: number; newest: number } } = {}): Kernel {
  let host = 0n;
  return createKernel({
    machineType: "empty",
    clock: virtualClock(() => {
      host += 5n;
      return host;
    }),
    machine: { pause: () => {}, resume: () => {}, reset: () => {} },
    ...(options.contracts ? { acceptedContracts: options.contracts } : {}),
  });
}

const run = (chunks: Iterable<Uint8Array>) => [...chunks].reduce((sum, chunk) => sum + chunk.length, 0);
const order = (attempt: OutgoingAttempt) => attempt.sections.map((s) => `${s.idstr} ${s.phase}`);
const word = vmstate({ name: "word", version: 1, fields: { x: u32 } });
const wordDevice = { save: () => ({ x: 1 }), load: () => {} };

function errorOf(work: () => unknown): MigrationError {
  try {
    work();
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("no error");
}

/** An iterable of `left` bytes. */
function counted(idstr: string, left: number, log: string[]): IterableInit {
  const base = memory({ bytes: new Uint8Array(64), staged: 0, committed: 0 });
  return {
    ...base,
    idstr,
    pending: () => ({ mustPrecopyBytes: left, canPostcopyBytes: 0 }),
    iterate: (out: Writer, budgetBytes: number) => {
      const bytes = Math.min(left, budgetBytes);
      out.raw(new Uint8Array(bytes));
      left -= bytes;
      return left === 0;
    },
    complete: (out: Writer) => {
      out.raw(new Uint8Array(Math.min(left, 1000)));
      left -= Math.min(left, 1000);
      return left === 0;
    },
    cleanup: (completed) => log.push(`${idstr} ${completed}`),
  };
}

describe("outgoing attempt", () => {
  it("writes QEMU's order: early setup and START, PARTs, END, devices by priority", () => {
    const kernel = emptyKernel();
    const log: string[] = [];
    kernel.device({ ...word, name: "late" }, wordDevice);
    kernel.iterable(counted("ram", 1_000_000, log));
    kernel.device({ ...word, name: "early", earlySetup: true }, wordDevice);
    kernel.iterable(counted("other", 0, log), { description: word, device: wordDevice });
    kernel.device({ ...word, name: "iommu-intel", priority: "iommu" }, wordDevice);
    kernel.device(stateless("nothing"), { save: () => ({}), load: () => {} });
    const attempt = kernel.outgoing();
    run(attempt.setup());
    expect(attempt.pending(true)).toEqual({ mustPrecopyBytes: 1_000_000, canPostcopyBytes: 0 });
    run(attempt.iterate(400_000));
    run(attempt.iterate(400_000));
    run(attempt.complete());
    expect(order(attempt)).toEqual([
      "ram start",
      "early full",
      "other start",
      "ram part",
      "ram part",
      "ram end",
      "other end",
      "iommu-intel full",
      "timer full",
      "late full",
      "other full",
    ]);
    expect(attempt.sections.find((s) => s.phase === "end")?.bytes).toBe(200_000 + 10);
    expect(errorOf(() => run(attempt.iterate(1))).code).toBe("ATTEMPT_ENDED");
    attempt.end(true);
    attempt.end(true);
    expect(log).toEqual(["ram true", "other true"]);
  });

  it("never starts with a device that cannot migrate, and names it", () => {
    const kernel = emptyKernel();
    kernel.device(unmigratable("gpu", "its memory is on the card"), { save: () => ({}), load: () => {} });
    const error = errorOf(() => kernel.snapshot());
    expect([error.code, error.location.section, error.detail]).toEqual([
      "DEVICE_UNMIGRATABLE",
      "gpu/0",
      "a device cannot migrate: its memory is on the card",
    ]);
    kernel.device(word, wordDevice);
  });

  it("refuses a save that is asynchronous, incomplete or throws, and puts the iterables back", () => {
    const log: string[] = [];
    const failing = (save: () => unknown) => {
      const kernel = emptyKernel();
      kernel.iterable(counted("ram", 10, log));
      kernel.device(word, { save: save as () => { x: number }, load: () => {} });
      const error = errorOf(() => kernel.snapshot());
      return [error.code, error.location.side, error.location.section, error.location.path];
    };
    expect(failing(async () => ({ x: 1 }))).toEqual(["SAVE_ASYNC", "source", "word/0", undefined]);
    expect(failing(() => ({}))).toEqual(["FIELD_MISSING", "source", "word/0", "x"]);
    expect(failing(() => ({ x: -1 }))).toEqual(["BITS_RANGE", "source", "word/0", "x"]);
    expect(
      failing(() => {
        throw new Error("planted");
      }),
    ).toEqual(["DEVICE_FAILED", "source", "word/0", undefined]);
    expect(log).toEqual(["ram false", "ram false", "ram false", "ram false"]);
  });

  it("is the only one: a second is refused, and the first goes on", () => {
    const kernel = emptyKernel();
    const log: string[] = [];
    kernel.iterable(counted("ram", 5000, log));
    const attempt = kernel.outgoing();
    run(attempt.setup());
    for (const second of [() => kernel.outgoing(), () => kernel.snapshot()])
      expect(errorOf(second).code).toBe("ATTEMPT_ACTIVE");
    expect(log).toEqual([]);
    run(attempt.complete());
    attempt.end(true);
    expect(log).toEqual(["ram true"]);
    kernel.snapshot();
  });

  it("cleans up the handlers that it has set up, and no others", () => {
    const kernel = emptyKernel();
    const log: string[] = [];
    kernel.iterable(counted("first", 10, log));
    kernel.iterable({
      ...counted("second", 10, log),
      setup: () => {
        throw new Error("planted");
      },
    });
    kernel.iterable(counted("third", 10, log));
    const error = errorOf(() => kernel.snapshot());
    expect([error.code, error.location.section]).toEqual(["DEVICE_FAILED", "second/0"]);
    expect((error.cause as Error).message).toBe("planted");
    expect(log).toEqual(["first false", "second false"]);
  });

  it("copies live views on save, and gives load copies of its own", () => {
    const live = new Uint8Array(8).fill(1);
    const loaded: Uint8Array[] = [];
    const kernel = emptyKernel();
    kernel.device(vmstate({ name: "bytes", version: 1, fields: { bytes: buffer(8) } }), {
      save: () => ({ bytes: live }),
      load: ({ bytes }) => loaded.push(bytes),
    });
    const saved = kernel.snapshot();
    live.fill(2);
    expect(Buffer.from(saved).includes(Buffer.alloc(8, 1))).toBe(true);
    kernel.restore(saved);
    saved.fill(3);
    expect(loaded).toEqual([new Uint8Array(8).fill(1)]);
  });
});

describe("kernel", () => {
  it("writes a snapshot where it is told to", () => {
    const { kernel } = smallMachine(5);
    const into = new Uint8Array(1_000_000);
    const bytes = kernel.snapshot(into);
    expect(bytes.buffer).toBe(into.buffer);
    expect(kernel.snapshot(new Uint8Array(3))).toEqual(bytes);
  });

  it("carries the clock: restored first, and standing until the machine resumes", async () => {
    const source = smallMachine(1);
    source.kernel.resume();
    for (let i = 0; i < 9; i++) source.kernel.clock.now();
    source.kernel.pause();
    const then = source.kernel.clock.now();
    expect(then).toBeGreaterThan(9_000n);
    const target = smallMachine(0);
    target.kernel.resume();
    const report = await target.kernel.load(source.kernel.snapshot());
    expect(report.loadOrder[0]).toBe("timer/0");
    expect(target.kernel.clock.running).toBe(false);
    expect(target.kernel.clock.now()).toBe(then);
    expect(target.log.slice(0, 6)).toEqual([
      "resume",
      "resumed uart0",
      "resumed uart1",
      "check uart0 1",
      "check uart1 1",
      "pause",
    ]);
  });

  it("rewinds a running machine in place, and tells the devices that it runs on", () => {
    const { kernel, log, irq } = smallMachine(4);
    kernel.resume();
    const bytes = kernel.snapshot();
    irq.pending = 99;
    log.length = 0;
    kernel.restore(bytes);
    expect(kernel.clock.running).toBe(true);
    expect(log.filter((line) => !line.startsWith("check"))).toEqual([
      "hold",
      "load irqchip",
      "load uart0",
      "load uart1",
      "release",
      "resumed uart0",
      "resumed uart1",
    ]);
  });

  it("leaves a running machine running when the stream is bad", async () => {
    const target = smallMachine(3);
    target.kernel.resume();
    const good = smallMachine(1).kernel.snapshot();
    await expect(target.kernel.load(good.slice(0, -1))).rejects.toThrow("STREAM_TRUNCATED");
    expect(target.kernel.clock.running).toBe(true);
    expect(target.log).toEqual(["resume", "resumed uart0", "resumed uart1"]);
  });

  it("takes plugins of an accepted contract, warns of an older one, refuses others", () => {
    const plugin = (of: number) => ({ name: "p", version: "1.2.3", contract: of, setup: () => of * 10 });
    const kernel = emptyKernel({ contracts: { oldest: contract - 1, newest: contract } });
    const warnings: unknown[] = [];
    kernel.events.on("plugin-contract", (of, own) => warnings.push([of.name, of.contract, own]));
    expect(kernel.use(plugin(contract))).toBe(contract * 10);
    expect(kernel.use(plugin(contract - 1))).toBe((contract - 1) * 10);
    expect(warnings).toEqual([["p", contract - 1, contract]]);
    const error = errorOf(() => kernel.use(plugin(contract + 1)));
    const accepted = `${contract - 1} to ${contract}`;
    expect([error.code, error.expected, error.found]).toEqual(["PLUGIN_CONTRACT", accepted, String(contract + 1)]);
    expect(kernel.manifest().plugins).toEqual([
      { name: "p", version: "1.2.3", contract },
      { name: "p", version: "1.2.3", contract: contract - 1 },
    ]);
  });

  it("says what it is made of", () => {
    const { machineType, sections } = smallMachine().kernel.manifest();
    expect(machineType).toBe("small-1.0");
    expect(sections.find((s) => s.idstr === "irqchip")).toEqual({
      idstr: "irqchip",
      instance: 0,
      version: 2,
      minimumVersion: 1,
      subsections: [],
      optional: false,
    });
    expect(sections.find((s) => s.idstr === "uart")?.subsections).toEqual(["uart/timeout"]);
  });
});

describe("MigrationError", () => {
  it("crosses threads as JSON, and is recognised by mark and code", () => {
    const error = errorOf(() => smallMachine().kernel.restore(Uint8Array.of(1)));
    const json = JSON.parse(JSON.stringify(error));
    expect(json).toEqual({
      name: "MigrationError",
      code: "MAGIC_WRONG",
      detail: "this is not a QEMU migration stream",
      side: "destination",
      section: "header",
      path: "magic",
      offset: 0,
      expected: "0x5145564d (QEVM)",
    });
    const again = (error.constructor as typeof MigrationError).fromJSON(json);
    expect(isMigrationError(again)).toBe(true);
    expect(again.message).toBe(error.message);
    expect(isMigrationError(new Error("MAGIC_WRONG"))).toBe(false);
  });
});

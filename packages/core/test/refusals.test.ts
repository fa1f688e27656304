// Codes that only a rare mistake or a hostile stream meets: each with its place.
import { describe, expect, it } from "vitest";
import {
  allocate,
  array,
  createKernel,
  decodeRecord,
  encodeState,
  isMigrationError,
  type MigrationError,
  pointers,
  struct,
  subsection,
  u8,
  u16,
  varray,
  virtualClock,
  vmstate,
} from "../src/index.ts";
import { StreamWriter } from "../src/stream/index.ts";
import { memory, smallMachine } from "./machine.ts";

function errorOf(work: () => unknown): MigrationError {
  try {
    work();
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("no error");
}
const told = ({ code, location }: MigrationError) => [code, location.path, location.offset];

describe("allocation", () => {
  it("is counted, and refused beyond what has arrived", () => {
    const meter = { allocatedBytes: 0 };
    expect(allocate(meter, 5000, 1000).length).toBe(5000);
    expect(meter.allocatedBytes).toBe(5000);
    const error = errorOf(() => allocate(meter, 2 * 1000 + 4096 + 1, 1000));
    expect([error.code, error.found]).toEqual(["ALLOCATION_UNJUSTIFIED", "6097 bytes"]);
    expect(errorOf(() => allocate(meter, Number.NaN, 1000)).code).toBe("ALLOCATION_UNJUSTIFIED");
    expect(meter.allocatedBytes).toBe(5000);
  });

  it("of elements that take no bytes is bounded in all, however they nest", () => {
    const empty = vmstate({ name: "empty", version: 1, fields: {} });
    const inner = vmstate({ name: "inner", version: 1, fields: { n: u16, items: varray("n", struct(empty)) } });
    const nested = vmstate({ name: "nested", version: 1, fields: { m: u8, inners: varray("m", struct(inner)) } });
    const bytes = Uint8Array.from([255, ...Array.from({ length: 255 }, () => [0x10, 0]).flat()]);
    const error = errorOf(() => decodeRecord(nested, bytes));
    expect(error.code).toBe("COUNT_BOUND");
    expect(error.location.path).toMatch(/^inners\[\d+\]\.items/);
    const grid = vmstate({
      name: "grid",
      version: 1,
      fields: { n: u16, rows: array(array(struct(empty), "n"), 1000) },
    });
    expect(errorOf(() => decodeRecord(grid, Uint8Array.of(0x10, 0))).code).toBe("COUNT_BOUND");
  });
});

describe("descriptions", () => {
  it("take a subsection once", () => {
    const own = { name: "d/s", version: 1, fields: { x: u8 }, absent: { x: 0 } };
    const d = vmstate({ name: "d", version: 1, fields: { a: u8 }, subsections: { s: subsection(own) } });
    const bytes = encodeState(d, { a: 1, s: { x: 2 } });
    const twice = Uint8Array.from([...bytes, ...bytes.subarray(1)]);
    expect(errorOf(() => decodeRecord(d, twice)).code).toBe("SUBSECTION_DUPLICATE");
  });

  it("hold counts and null patterns against what is there", () => {
    const counted = vmstate({ name: "c", version: 1, fields: { n: u8, items: varray("n", u16) } });
    expect(told(errorOf(() => encodeState(counted, { n: 3, items: Uint16Array.of(1, 2) })))).toEqual([
      "COUNT_MISMATCH",
      "items",
      undefined,
    ]);
    const images = vmstate({ name: "p", version: 1, fields: { css: pointers(u8, 3, (i) => i !== 1) } });
    const bytes = encodeState(images, { css: [null, 7, null] });
    expect([...bytes]).toEqual([0x30, 7, 0x30]);
    expect(told(errorOf(() => decodeRecord(images, Uint8Array.of(0x30, 7, 8))))).toEqual(["NULL_PATTERN", "css[2]", 2]);
    expect(told(errorOf(() => encodeState(images, { css: [null, null, null] })))).toEqual([
      "NULL_PATTERN",
      "css[1]",
      undefined,
    ]);
  });
});

describe("a load", () => {
  const stream = (
    configuration: Partial<Parameters<StreamWriter["configuration"]>[0]>,
    more: (w: StreamWriter) => void = () => {},
  ) => {
    const writer = new StreamWriter();
    writer.header();
    writer.configuration({
      machineType: "small-1.0",
      pageBits: 0,
      capabilities: [],
      uuid: undefined,
      ...configuration,
    });
    more(writer);
    writer.out.u8(0);
    return writer.out.flush();
  };
  const refused = (bytes: Uint8Array) => {
    const error = errorOf(() => smallMachine(0).kernel.incoming().push(bytes));
    return [error.code, error.location.section, error.location.path];
  };

  it("compares how both machines are configured", () => {
    expect(refused(stream({ pageBits: 14 }))).toEqual([
      "CONFIGURATION_MISMATCH",
      "configuration",
      "targetPageBits.page_bits",
    ]);
    expect(refused(stream({ capabilities: ["x-ignore-shared"] }))).toEqual([
      "CAPABILITY_MISMATCH",
      "configuration",
      "capabilities",
    ]);
  });

  it("goes on where both have the same capabilities switched on, in whichever order", async () => {
    const at: number[] = [];
    const machine = (...capabilities: string[]) => {
      const kernel = createKernel({
        machineType: "able",
        capabilities,
        clock: virtualClock(() => 0n),
        machine: { pause() {}, resume() {}, reset() {} },
      });
      const store = { bytes: new Uint8Array(64).fill(7), staged: 0, committed: 0 };
      const handler = memory(store);
      kernel.iterable({
        ...handler,
        setup(out, offset) {
          at.push(offset);
          handler.setup(out, offset);
        },
      });
      return kernel;
    };
    const bytes = machine("x-ignore-shared", "mapped-ram").snapshot();
    await machine("mapped-ram", "x-ignore-shared").load([bytes]);
    await expect(machine("mapped-ram").load([bytes])).rejects.toThrow("CAPABILITY_MISMATCH");
    // A format that holds file offsets must know where its data stands.
    expect(bytes.subarray(at[0], (at[0] as number) + 64)).toEqual(new Uint8Array(64).fill(7));
  });

  it("does not pass over a command that it cannot serve", () => {
    const advise = (w: StreamWriter) => w.command(3, new Uint8Array(16));
    expect(refused(stream({}, advise))).toEqual(["COMMAND_UNEXPECTED", "command", "command"]);
    // SWITCHOVER_START asks for nothing.
    smallMachine(0)
      .kernel.incoming()
      .push(stream({}, (w) => w.command(11, new Uint8Array(0))));
  });
});

it("what an iterable throws is told with the place in the stream where it was called", () => {
  const begun: number[] = [];
  const machine = (fails: boolean) => {
    const kernel = createKernel({
      machineType: "tells",
      clock: virtualClock(() => 0n),
      machine: { pause() {}, resume() {}, reset() {} },
    });
    const handler = memory({ bytes: new Uint8Array(64), staged: 0, committed: 0 });
    kernel.iterable({
      ...handler,
      setup(out, offset) {
        begun.push(offset);
        if (fails) throw new Error("no");
        handler.setup(out, offset);
      },
    });
    return kernel;
  };
  machine(false).snapshot();
  const error = errorOf(() => machine(true).snapshot());
  expect([error.code, error.location.section, error.location.side]).toEqual(["DEVICE_FAILED", "memory/0", "source"]);
  expect(error.location.offset).toBe(begun[0]);
  expect(error.location.offset).toBeGreaterThan(8);
});

it("the clock is set only while it stands", () => {
  const clock = virtualClock(() => 0n);
  clock.adjust(5n);
  clock.start();
  expect(errorOf(() => clock.adjust(9n)).code).toBe("CLOCK_RUNNING");
  expect(clock.now()).toBe(5n);
});

describe("what a device's own code throws while its state is looked at", () => {
  const boom = () => {
    throw new Error("planted");
  };
  const field = { x: u8 };
  it.each([
    ["the device's check", vmstate({ name: "own", version: 1, fields: field }), boom],
    [
      "the description's postLoad",
      vmstate({ name: "own", version: 1, fields: field, postLoad: boom }),
      () => undefined,
    ],
  ])("%s is told as such, with the section and where its body begins", (what, description, check) => {
    const kernel = createKernel({
      machineType: "m",
      clock: virtualClock(() => 0n),
      machine: { pause() {}, resume() {}, reset() {} },
    });
    let x = 7;
    kernel.device(description, {
      save: () => ({ x }),
      check,
      load: (state) => {
        x = state.x;
      },
    });
    const bytes = kernel.snapshot();
    x = 1;
    const error = errorOf(() => kernel.restore(bytes));
    expect([error.code, error.detail, error.found]).toEqual(["DEVICE_FAILED", `${what} threw`, "planted"]);
    expect(error.location.section).toBe("own/0");
    expect(bytes[error.location.offset ?? -1]).toBe(7);
    expect(x).toBe(1);
  });
});

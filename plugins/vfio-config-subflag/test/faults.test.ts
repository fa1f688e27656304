// A vendor driver that fails: the source runs on as it was, the destination is as before, and the error says where.
import type { MigrationError } from "@godwit/core";
import { type DeviceState, type ModelFault, modelDriver, vfioContainer, vfioPci } from "@godwit/vfio-config-subflag";
import { describe, expect, it } from "vitest";
import { testConfig } from "./support/config.ts";
import { delegate } from "./support/delegate.ts";
import { boot, contents, modes, path, send, testMachine } from "./support/machine.ts";
import { bodies, rejection, vfioSections } from "./support/walk.ts";

const section = `${path(1)}/vfio/0`;

function summary({ code, location, found }: MigrationError) {
  return [code, location.side, location.section, location.path, found];
}

describe.each(modes)("on the source, $name", ({ dialect, configOrder }) => {
  const failing = async (fault: ModelFault) => {
    let planted: ModelFault | undefined = fault;
    const source = testMachine([{ dialect, configOrder, chunkBytes: 32 * 1024, fault: () => planted }]);
    boot(source);
    const driver = source.devices[0]?.function.driver;
    driver?.work(20);
    const before = source.devices.map(contents);
    const error = await rejection(send(source));
    expect(source.devices.map(contents)).toEqual(before);
    const state = driver?.state;
    planted = undefined;
    return { error, source, state, driver, fix: () => driver?.reset() };
  };

  it("in PRE_COPY, at the first read and behind data", async () => {
    for (const afterBytes of [0, 30_000]) {
      const { error, source, state } = await failing({ in: "PRE_COPY", afterBytes });
      const [code, side, where, errorPath, found] = summary(error);
      expect([code, side, where, errorPath]).toEqual([
        "VFIO_DRIVER",
        "source",
        section,
        "part.records[0].DEV_DATA_STATE",
      ]);
      const sent = Number(/^in PRE_COPY, after (\d+) bytes of device data$/.exec(found ?? "")?.[1]);
      expect([sent >= afterBytes, sent === 0]).toEqual([true, afterBytes === 0]);
      expect(error.location.version).toBe(dialect === "merged" ? 1 : 2);
      expect(state).toBe("RUNNING");
      await runsOnAndMoves(source, dialect, configOrder);
    }
  });

  it("in STOP_COPY: the machine is resumed, the device too", async () => {
    const { error, source, state } = await failing({ in: "STOP_COPY", afterBytes: 0 });
    const record = configOrder === "needed" ? 1 : 0;
    expect(summary(error)).toEqual([
      "VFIO_DRIVER",
      "source",
      section,
      `end.records[${record}].DEV_DATA_STATE`,
      "in STOP_COPY, after 0 bytes of device data",
    ]);
    expect(state).toBe("RUNNING");
    await runsOnAndMoves(source, dialect, configOrder);
  });

  it.each<[DeviceState, DeviceState, string]>([
    ["RUNNING", "PRE_COPY", "start.records[0].DEV_SETUP_STATE"],
    ["PRE_COPY", "PRE_COPY_P2P", "end.records[0].DEV_DATA_STATE"],
    ["PRE_COPY_P2P", "STOP_COPY", "end.records[0].DEV_DATA_STATE"],
  ])("on the way from %s to %s", async (from, to, errorPath) => {
    const { error, source, state } = await failing({ from, to, into: from });
    expect(summary(error).slice(0, 4)).toEqual(["VFIO_DRIVER", "source", section, errorPath]);
    expect(error.detail).toContain(`${from} -> ${to}`);
    expect(state).toBe("RUNNING");
    await runsOnAndMoves(source, dialect, configOrder);
  });

  it("into ERROR: the device stays there until it is reset, the machine runs", async () => {
    const { error, source, state, fix } = await failing({ from: "PRE_COPY_P2P", to: "STOP_COPY", into: "ERROR" });
    expect([error.code, state, source.kernel.clock.running]).toEqual(["VFIO_DRIVER", "ERROR", true]);
    const again = await rejection(send(source));
    expect([again.code, again.location.section, again.found]).toEqual(["VFIO_STATE", section, "ERROR"]);
    fix();
    await runsOnAndMoves(source, dialect, configOrder);
  });
});

async function runsOnAndMoves(
  source: ReturnType<typeof testMachine>,
  dialect: "merged" | "proposal",
  configOrder: "needed" | "not-needed" | "filter",
): Promise<void> {
  expect(source.kernel.clock.running).toBe(true);
  expect(source.devices[0]?.function.driver.work(3)).toBe(3);
  // What the failed attempt took for sent is sent again.
  const target = testMachine([{ dialect, configOrder }]);
  await target.kernel.load((await send(source)).bytes);
  expect(target.devices.map(contents)).toEqual(source.devices.map(contents));
}

describe.each(modes)("on the destination, $name", ({ dialect, configOrder }) => {
  const stream = async () => {
    const source = testMachine([{ dialect, configOrder }]);
    boot(source);
    return (await send(source, { between: () => source.devices[0]?.function.driver.work(5) })).bytes;
  };

  it.each<[string, ModelFault, (bytes: Uint8Array) => [string, number]]>([
    ["at the first data", { in: "RESUMING", afterBytes: 0 }, (bytes) => dataOf(bytes, "part")],
    ["at later data", { in: "RESUMING", afterBytes: 66_000 }, (bytes) => dataOf(bytes, "part", 1)],
    ["at its end", { from: "RESUMING", to: "STOP", into: "ERROR" }, (bytes) => endOf(bytes)],
  ])("in RESUMING, %s", async (_, fault, place) => {
    const target = testMachine([{ dialect, configOrder, fault: () => fault }]);
    boot(target);
    target.devices[0]?.function.driver.work(2);
    const before = target.devices.map(contents);
    const bytes = await stream();
    const error = await rejection(target.kernel.load(bytes));
    const [errorPath, offset] = place(bytes);
    expect(summary(error).slice(0, 4)).toEqual(["VFIO_DRIVER", "destination", section, errorPath]);
    expect(error.location.offset).toBe(offset);
    expect(target.devices.map(contents)).toEqual(before);
    expect([target.kernel.clock.running, target.devices[0]?.function.driver.state]).toEqual([true, "RUNNING"]);
  });

  it("does not even begin", async () => {
    const target = testMachine([
      { dialect, configOrder, fault: () => ({ from: "STOP", to: "RESUMING", into: "STOP" }) },
    ]);
    const error = await rejection(target.kernel.load(await stream()));
    expect(summary(error).slice(0, 3)).toEqual(["VFIO_DRIVER", "destination", section]);
    expect(error.detail).toContain("STOP -> RESUMING");
  });
});

/** The `index`th DATA of this phase's sections: its path, and the offset of its bytes. */
function dataOf(stream: Uint8Array, phase: string, index = 0): [string, number] {
  let seen = 0;
  for (const { phase: own, at, bytes } of bodies(stream)) {
    if (own !== phase) continue;
    const body = Buffer.from(stream.subarray(at, at + bytes));
    const marker = Buffer.from("ffffffffef100004", "hex");
    const data = body.indexOf(marker);
    if (data < 0 || seen++ < index) continue;
    const ahead = body.subarray(0, data).includes(Buffer.from("ffffffffef100002", "hex")) ? 1 : 0;
    return [`records[${ahead}].data`, at + data + 16];
  }
  throw new Error("no data");
}

/** The END_OF_STATE of the END section. */
function endOf(stream: Uint8Array): [string, number] {
  const end = bodies(stream).find(({ phase }) => phase === "end");
  if (end === undefined) throw new Error("no END");
  const records = vfioSections(stream).find(({ phase }) => phase === "end")?.records.length ?? 0;
  return [`records[${records - 1}].marker`, end.at + end.bytes - 8];
}

describe("a driver that does not do as it should", () => {
  const withDriver = (changed: (inner: ReturnType<ReturnType<typeof modelDriver>>) => object) => {
    const machine = testMachine([]);
    const offer = machine.kernel.use(
      vfioPci({
        path: path(1),
        container: vfioContainer(),
        config: testConfig(),
        after: [],
        interrupts: { attach() {}, detach() {}, signal() {} },
        driver: (host) => {
          const inner = modelDriver({ memoryBytes: 1024, configOrder: "not-needed" })(host);
          return delegate(inner, changed(inner));
        },
      }),
    );
    machine.kernel.resume();
    return { machine, offer };
  };

  it.each<[string, number | "no-message"]>([
    ["more than there is room for", 1 << 21],
    ["less than nothing", -1],
    ["half a byte", 0.5],
  ])("reads %s", async (_, size) => {
    const { machine } = withDriver(() => ({ read: () => size }));
    const error = await rejection(send(machine));
    expect([error.code, error.location.section, error.found]).toEqual(["VFIO_DRIVER", section, String(size)]);
  });

  it("has no message in STOP_COPY", async () => {
    const { machine } = withDriver((inner) => ({
      read: (into: Uint8Array) => (inner.state === "STOP_COPY" ? "no-message" : inner.read(into)),
    }));
    const error = await rejection(send(machine));
    expect([error.code, error.location.path, error.found]).toEqual([
      "VFIO_DRIVER",
      "end.records[0].DEV_DATA_STATE",
      "no-message",
    ]);
  });

  it("does not go where it is sent", async () => {
    const { machine } = withDriver(() => ({ step: () => {} }));
    const error = await rejection(send(machine));
    expect([error.code, error.expected, error.found]).toEqual(["VFIO_DRIVER", "PRE_COPY", "RUNNING"]);
  });
});

it("a merged section cannot carry what a driver of the other kinds needs, and says so before the first byte", async () => {
  for (const configOrder of ["needed", "filter"] as const) {
    const source = testMachine([{ dialect: "merged", configOrder }]);
    boot(source);
    const error = await rejection(send(source));
    expect([error.code, error.location.side, error.location.section, error.found]).toEqual([
      "VFIO_DIALECT",
      "source",
      section,
      `${configOrder}, in the dialect merged`,
    ]);
    expect(source.devices[0]?.function.driver.work(1)).toBe(1);
  }
});

// What is on the edge: a display that somebody describes, a vmdesc's reader, an END without data, a driver of another kind.
import { Cursor, recordDecoder, subsection, u8, u32, vmstate } from "@godwit/core";
import { findVmdesc, sectionBytes } from "@godwit/core/stream";
import {
  type DriverHost,
  encodeVfioSection,
  type ModelDriver,
  modelDriver,
  vfioContainer,
  vfioPci,
  vfioWalker,
} from "@godwit/vfio-config-subflag";
import { describe, expect, it } from "vitest";
import { at, testConfig } from "./support/config.ts";
import { delegate } from "./support/delegate.ts";
import { boot, contents, modes, path, send, testMachine } from "./support/machine.ts";
import { bodies, errorOf, outline, rejection, vfioSections, withBody } from "./support/walk.ts";

describe.each(modes)("$name", ({ dialect, configOrder }) => {
  it("a reader that has nothing but the vmdesc finds the record's length", async () => {
    const source = testMachine([{ dialect, configOrder }]);
    boot(source);
    const { bytes } = await send(source);
    const found = findVmdesc(bytes.subarray(-16 * 1024))?.vmdesc.devices.find(({ name }) => name === `${path(1)}/vfio`);
    if (found === undefined) throw new Error("not in the vmdesc");
    expect(sectionBytes(found)).toBe(bodies(bytes).find(({ phase }) => phase === "full")?.bytes);
  });

  it("interrupts are not enabled by a load that is checked and thrown away", async () => {
    const [source, target] = [testMachine([{ dialect, configOrder }]), testMachine([{ dialect, configOrder }])];
    boot(source);
    boot(target);
    const { bytes } = await send(source);
    const before = target.devices.map(contents);
    target.log.length = 0;
    const attempt = target.kernel.incoming();
    attempt.push(bytes);
    attempt.end();
    await attempt.prepare();
    attempt.discard();
    expect(target.log).toEqual([]);
    expect(target.devices.map(contents)).toEqual(before);
  });
});

it("a display that somebody describes is a part of the body", async () => {
  const source = testMachine([{}]);
  boot(source);
  const { bytes } = await send(source);
  const full = bodies(bytes).find(({ phase }) => phase === "full");
  if (full === undefined) throw new Error("no FULL");
  const body = bytes.subarray(full.at, full.at + full.bytes - 8);
  const name = Buffer.from("VFIOPCIDevice/VFIODisplay");
  const end = bytes.subarray(full.at + full.bytes - 8, full.at + full.bytes);
  const shown = Buffer.concat([body, Uint8Array.of(5, name.length), name, Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 9), end]);
  const display = subsection({
    name: "VFIOPCIDevice/VFIODisplay",
    version: 1,
    fields: { shown: u32 },
    needed: () => true,
    absent: { shown: 0 },
  });
  const decoder = vfioWalker({ parameters: { configBytes: 256, msixVectors: 4, display } }).decoder("full", 1);
  expect(decoder.resume(new Cursor(new Uint8Array(shown)))).toBe(true);
  const section = decoder.value();
  expect(section.records[0]).toMatchObject({ device: { display: { $version: 1, shown: 9 } } });
  expect(Buffer.compare(encodeVfioSection(section), shown)).toBe(0);
});

it("a filter driver with nothing to say at the end still sends its configuration", async () => {
  const machine = testMachine([]);
  machine.kernel.use(
    vfioPci<ModelDriver>({
      path: path(1),
      container: vfioContainer(),
      dialect: "proposal",
      config: testConfig(),
      after: [],
      interrupts: { attach() {}, detach() {}, signal() {} },
      driver: (host) => {
        const inner = modelDriver({ memoryBytes: 1024, configOrder: "filter" })(host);
        return delegate(inner, { read: (into) => (inner.state === "STOP_COPY" ? 0 : inner.read(into)) });
      },
    }),
  );
  machine.kernel.resume();
  const { bytes } = await send(machine, { rounds: 1 });
  expect(vfioSections(bytes).map(outline).slice(1)).toEqual([
    "part: CONFIG(1) DATA END_OF",
    "end: CONFIG(1) END_OF",
    "full: CONFIG(2) END_OF",
  ]);
});

it("a driver that needs configuration first refuses the stream of one that does not send it so", async () => {
  const source = testMachine([{ dialect: "proposal", configOrder: "not-needed" }]);
  boot(source);
  const target = testMachine([{ dialect: "proposal", configOrder: "needed" }]);
  const error = await rejection(target.kernel.load((await send(source)).bytes));
  expect([error.code, error.location.path]).toEqual(["VFIO_DRIVER", "records[0].data"]);
  expect(error.detail).toContain("device data came before configuration space");
});

it("a filter driver waits for a configuration within bounds, and not beyond the end", async () => {
  const source = testMachine([{ dialect: "proposal", configOrder: "filter" }]);
  boot(source);
  const { bytes } = await send(source, { rounds: 1 });
  const part = vfioSections(bytes).find(({ phase }) => phase === "part");
  const chunk = part?.records.find((record) => record.marker === "DEV_DATA_STATE");
  if (part === undefined || chunk?.marker !== "DEV_DATA_STATE") throw new Error("no data");
  const elsewhere = chunk.data.slice();
  elsewhere.set([0, 0, 0, 0, 0x12, 0x34, 0, 0]);
  const waiting = { marker: "DEV_DATA_STATE", data: elsewhere } as const;
  const records = [...part.records];
  records.splice(1, 0, waiting);
  const late = withBody(bytes, "part", encodeVfioSection({ version: 2, records }));
  const error = await rejection(testMachine([{ dialect: "proposal", configOrder: "filter" }]).kernel.load(late));
  expect([error.code, error.detail.includes("without its configuration (BAR 0 at 0x12340000)")]).toEqual([
    "VFIO_DRIVER",
    true,
  ]);
  records.splice(1, 0, waiting, waiting, waiting);
  const many = withBody(bytes, "part", encodeVfioSection({ version: 2, records }));
  const bound = await rejection(testMachine([{ dialect: "proposal", configOrder: "filter" }]).kernel.load(many));
  expect([bound.code, bound.location.path, bound.detail.includes("wait for their configuration")]).toEqual([
    "VFIO_DRIVER",
    "records[3].data",
    true,
  ]);
});

describe("the way back", () => {
  it("is whole where the machine would send its own configuration ahead, and the stream brings it in the record", async () => {
    let fails = true;
    const source = testMachine([{ dialect: "proposal", configOrder: "not-needed" }]);
    boot(source);
    source.devices[0]?.function.configWrite(0x3c, 1, 0x22);
    const { bytes } = await send(source);
    const machine = testMachine([]);
    const { function: own } = machine.kernel.use(
      vfioPci<ModelDriver>({
        path: path(1),
        container: vfioContainer(),
        dialect: "proposal",
        config: testConfig(),
        after: [],
        interrupts: {
          // The last thing that the record's load does.
          attach() {
            const now = fails;
            fails = false;
            if (now) throw new Error("planted in the controller");
          },
          detach() {},
          signal() {},
        },
        driver: (host) =>
          delegate(modelDriver({ memoryBytes: 64 * 1024, configOrder: "not-needed" })(host), { configOrder: "needed" }),
      }),
    );
    own.configWrite(0x3c, 1, 0x11);
    const { driver } = own;
    expect((await rejection(machine.kernel.load(bytes))).code).toBe("DEVICE_FAILED");
    expect([own.configRead(0x3c, 1), own.driver === driver]).toEqual([0x11, true]);
    await machine.kernel.load(bytes);
    expect([own.configRead(0x3c, 1), own.driver === driver]).toEqual([0x22, false]);
  });
});

it("an interrupt that comes between the commit of memory and the record's load is not overwritten by it", async () => {
  const hosts: DriverHost[] = [];
  const assembled = () => {
    const machine = testMachine([]);
    const { function: own } = machine.kernel.use(
      vfioPci<ModelDriver>({
        path: path(1),
        container: vfioContainer(),
        config: testConfig(),
        after: [],
        interrupts: { attach() {}, detach() {}, signal() {} },
        driver: (host) => {
          hosts.push(host);
          return modelDriver({ memoryBytes: 1024, configOrder: "not-needed" })(host);
        },
      }),
    );
    // Another handler, whose commit the device notices.
    const body = vmstate({ name: "other", version: 1, fields: { byte: u8 } });
    machine.kernel.iterable({
      idstr: "other",
      version: 1,
      setup: (out) => out.u8(0),
      pending: () => ({ mustPrecopyBytes: 0, canPostcopyBytes: 0 }),
      iterate: () => true,
      complete(out) {
        out.u8(0);
        return true;
      },
      cleanup() {},
      stage: () => ({
        decoder: () => recordDecoder(body, 1),
        commit: () => hosts.at(-1)?.raise(2),
        revert() {},
        discard() {},
      }),
    });
    return { machine, own };
  };
  const [source, target] = [assembled(), assembled()];
  source.machine.kernel.resume();
  source.own.configWrite(at.msix + 2, 2, 0x8000);
  await target.machine.kernel.load((await send(source.machine)).bytes);
  expect(target.own.interrupts.pba[0]).toBe(0b101);
  // The device whose place was taken reaches nothing any more.
  const [, old] = hosts;
  old?.raise(3);
  expect(target.own.interrupts.pba[0]).toBe(0b101);
  for (const reach of [() => old?.config(), () => old?.writeConfig(0, Uint8Array.of(0))]) {
    expect(errorOf(reach).code).toBe("VFIO_STATE");
  }
});

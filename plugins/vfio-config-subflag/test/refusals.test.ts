// What a stream may not hold: refused with its code, section, path and byte, and nothing of the machine has changed.
import { markerWord, vfioErrorCodes } from "@godwit/vfio-config-subflag";
import { describe, expect, it } from "vitest";
import { at, testConfig } from "./support/config.ts";
import { boot, contents, path, send, type TestMachine, testMachine } from "./support/machine.ts";
import { bodies, rejection, withBody } from "./support/walk.ts";

const word = (...names: Parameters<typeof markerWord>[0][]): Uint8Array => {
  const bytes = Buffer.alloc(8 * names.length);
  for (const [i, name] of names.entries()) bytes.writeBigUInt64BE(markerWord(name), 8 * i);
  return bytes;
};
const be32 = (value: number): Uint8Array => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const be64 = (value: bigint): Uint8Array => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
};
const joined = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
const section = `${path(1)}/vfio/0`;

const merged = { dialect: "merged", configOrder: "not-needed" } as const;
const needed = { dialect: "proposal", configOrder: "needed" } as const;
const notNeeded = { dialect: "proposal", configOrder: "not-needed" } as const;
const filter = { dialect: "proposal", configOrder: "filter" } as const;
type Options = typeof merged | typeof needed | typeof notNeeded | typeof filter;

async function streamOf(options: Options): Promise<Uint8Array> {
  const source = testMachine([options]);
  boot(source);
  const { bytes } = await send(source, { rounds: 2, between: () => source.devices[0]?.function.driver.work(2) });
  return bytes;
}

/** Loads into a machine that has done something, and looks that it has stayed as it was. */
async function refused(stream: Uint8Array, options: Options, target: TestMachine = testMachine([options])) {
  boot(target);
  target.devices[0]?.function.driver.work(3);
  const before = target.devices.map(contents);
  const driver = target.devices[0]?.function.driver;
  const error = await rejection(target.kernel.load(stream));
  expect(target.devices.map(contents)).toEqual(before);
  expect(target.devices[0]?.function.driver).toBe(driver);
  // It runs on, and its interrupts still come.
  target.delivered.length = 0;
  expect(driver?.work(1)).toBe(1);
  expect(target.delivered).toEqual(["1.0"]);
  return error;
}

/** The first body of each phase, and where it stands. */
function place(stream: Uint8Array, phase: string) {
  const found = bodies(stream).find((one) => one.phase === phase);
  if (found === undefined) throw new Error(`no ${phase}`);
  return { ...found, body: stream.slice(found.at, found.at + found.bytes) };
}

describe("markers", () => {
  const data = joined(word("DEV_DATA_STATE"), be64(0n));
  it.each<[string, Options, string, Uint8Array, string, number, string, string]>([
    [
      "an unknown one",
      merged,
      "start",
      be64(0xffff_ffff_ef10_0007n),
      "records[0].marker",
      0,
      "DEV_SETUP_STATE",
      "0xffffffffef100007",
    ],
    [
      "a word that is none",
      merged,
      "part",
      be64(0xef10_0001n),
      "records[0].marker",
      0,
      "DEV_DATA_STATE or END_OF_STATE or DEV_INIT_DATA_SENT",
      "0x00000000ef100001",
    ],
    ["data at setup", merged, "start", data, "records[0].marker", 0, "DEV_SETUP_STATE", "DEV_DATA_STATE"],
    [
      "setup twice",
      merged,
      "start",
      word("DEV_SETUP_STATE", "DEV_SETUP_STATE"),
      "records[1].marker",
      8,
      "END_OF_STATE",
      "DEV_SETUP_STATE",
    ],
    ["no setup", merged, "start", word("END_OF_STATE"), "records[0].marker", 0, "DEV_SETUP_STATE", "END_OF_STATE"],
    [
      "config while iterating, merged",
      merged,
      "part",
      word("DEV_CONFIG_STATE"),
      "records[0].marker",
      0,
      "DEV_DATA_STATE or END_OF_STATE or DEV_INIT_DATA_SENT",
      "DEV_CONFIG_STATE",
    ],
    [
      "setup behind data",
      merged,
      "part",
      joined(data, word("DEV_SETUP_STATE")),
      "records[1].marker",
      16,
      "DEV_DATA_STATE or END_OF_STATE or DEV_INIT_DATA_SENT",
      "DEV_SETUP_STATE",
    ],
    [
      "initial data at the end",
      merged,
      "end",
      word("DEV_INIT_DATA_SENT"),
      "records[0].marker",
      0,
      "DEV_DATA_STATE or END_OF_STATE",
      "DEV_INIT_DATA_SENT",
    ],
    [
      "config at the end, merged",
      merged,
      "end",
      word("DEV_CONFIG_STATE"),
      "records[0].marker",
      0,
      "DEV_DATA_STATE or END_OF_STATE",
      "DEV_CONFIG_STATE",
    ],
    [
      "data in the record",
      merged,
      "full",
      data,
      "state.marker",
      0,
      "DEV_CONFIG_STATE or END_OF_STATE or DEV_CONFIG_LOAD_READY",
      "DEV_DATA_STATE",
    ],
    [
      "END_OF_STATE ahead of the record, proposal",
      notNeeded,
      "full",
      word("END_OF_STATE"),
      "state.marker",
      0,
      "DEV_CONFIG_STATE",
      "END_OF_STATE",
    ],
    [
      "no END_OF_STATE behind the record",
      notNeeded,
      "full",
      joined(word("DEV_CONFIG_STATE"), be32(2), word("DEV_CONFIG_STATE")),
      "state.end",
      12,
      "END_OF_STATE",
      "DEV_CONFIG_STATE",
    ],
  ])("%s", async (_, options, phase, body, errorPath, offset, expected, found) => {
    const stream = await streamOf(options);
    const error = await refused(withBody(stream, phase, body), options);
    expect([error.code, error.location.section, error.location.path]).toEqual(["VFIO_MARKER", section, errorPath]);
    expect(error.location.offset).toBe(place(stream, phase).at + offset);
    expect([error.location.side, error.location.version]).toEqual([
      "destination",
      options.dialect === "merged" ? 1 : 2,
    ]);
    expect([error.expected, error.found]).toEqual([expected, found]);
  });

  it("a second END_OF_STATE is no footer", async () => {
    const stream = await streamOf(merged);
    const error = await refused(
      withBody(stream, "start", word("DEV_SETUP_STATE", "END_OF_STATE", "END_OF_STATE")),
      merged,
    );
    expect([error.code, error.location.offset]).toEqual(["FOOTER_MISSING", place(stream, "start").at + 16]);
  });

  it.each(["END_OF_STATE", "DEV_CONFIG_LOAD_READY"] as const)(
    "multifd transfer: a record of %s alone",
    async (name) => {
      const stream = await streamOf(merged);
      const error = await refused(withBody(stream, "full", word(name)), merged);
      expect([error.code, error.location.path, error.location.offset, error.found]).toEqual([
        "VFIO_MULTIFD",
        "state.marker",
        place(stream, "full").at,
        name,
      ]);
    },
  );
});

describe("sub-flags", () => {
  const flags = (options: Options, phase: string, bits: number) => async () => {
    const stream = await streamOf(options);
    const { at: from, body } = place(stream, phase);
    body.set(be32(bits), 8);
    const error = await refused(withBody(stream, phase, body), options);
    const errorPath = phase === "full" ? "state.sub_flag" : "records[0].sub_flag";
    expect([error.code, error.location.section, error.location.path, error.location.offset, error.found]).toEqual([
      "VFIO_SUB_FLAG",
      section,
      errorPath,
      from + 8,
      `0x${bits.toString(16)}`,
    ]);
    return error.expected;
  };
  it.each([0, 2, 3, 4, 5, 0x8000_0001])("while iterating, %i: nothing is enabled there", async (bits) => {
    expect(await flags(needed, "part", bits)()).toBe("0x1");
    expect(await flags(needed, "end", bits)()).toBe("0x1");
  });
  it.each([0, 1, 4, 6, 7, 0x1_0000])("in the record, %i: it always enables", async (bits) => {
    expect(await flags(notNeeded, "full", bits)()).toBe("0x2 or 0x3");
  });
});

describe("configuration space", () => {
  it("comes once: in the record, or at completion", async () => {
    const none = withBody(
      await streamOf(notNeeded),
      "full",
      joined(word("DEV_CONFIG_STATE"), be32(2), word("END_OF_STATE")),
    );
    const missing = await refused(none, notNeeded);
    expect([missing.code, missing.location.section, missing.location.path]).toEqual([
      "VFIO_CONFIG",
      section,
      "state.sub_flag",
    ]);
    expect([missing.location.offset, missing.expected, missing.found]).toEqual([
      place(none, "full").at + 8,
      "0x3",
      "0x2",
    ]);
    const whole = place(await streamOf(notNeeded), "full").body;
    const both = withBody(await streamOf(needed), "full", whole);
    const twice = await refused(both, needed);
    expect([twice.code, twice.location.offset, twice.expected, twice.found]).toEqual([
      "VFIO_CONFIG",
      place(both, "full").at + 8,
      "0x2",
      "0x3",
    ]);
  });

  it.each([
    [0x00, "VENDOR_ID"],
    [0x03, "DEVICE_ID"],
    [0x0a, "CLASS_CODE"],
    [0x10, "BASE_ADDRESS_0"],
    [0x3d, "INTERRUPT_PIN"],
    [at.msix + 2, "MSI-X+0x2"],
    [at.vendor + 2, "VENDOR_SPECIFIC+0x2"],
  ])("byte %i is read-only: %s, in the record and ahead of the data", async (byte, register) => {
    const record = await streamOf(merged);
    const inRecord = place(record, "full").at + 8 + 4 + byte;
    const ahead = await streamOf(needed);
    const inPart = place(ahead, "part").at + 8 + 4 + 4 + byte;
    for (const [stream, options, offset, errorPath, where] of [
      // A check points at the field, a decoder at the byte.
      [record, merged, inRecord, "state.device.pci_dev.config", inRecord - byte],
      [ahead, needed, inPart, "records[0].device.pci_dev.config", inPart],
    ] as const) {
      const changed = stream.slice();
      changed[offset] = (changed[offset] as number) ^ 0x01;
      const error = await refused(changed, options);
      expect([error.code, error.location.section, error.location.offset]).toEqual(["DEVICE_CHECK", section, where]);
      expect(error.detail).toContain(register);
      expect(error.location.path).toBe(`${errorPath}[${byte}]`);
    }
  });

  it("may differ where the guest writes, or the device", async () => {
    const source = testMachine([merged]);
    boot(source);
    const own = source.devices[0]?.function;
    own?.configWrite(0x3c, 1, 0x0b);
    own?.configWrite(at.bar0, 4, 0xfd50_0000);
    own?.config.set(at.vendorValue, Uint8Array.of(7));
    own?.config.set(0x06, Uint8Array.of(0x18));
    const target = testMachine([merged]);
    target.devices[0]?.function.config.set(0x06, Uint8Array.of(0x18));
    await target.kernel.load((await send(source)).bytes);
    const config = target.devices[0]?.function;
    expect([
      config?.configRead(0x3c, 1),
      config?.configRead(at.bar0, 4),
      config?.configRead(at.vendorValue, 1),
    ]).toEqual([0x0b, 0xfd50_0000, 7]);
    // The interrupt bit of the status register has not travelled.
    expect([own?.configRead(0x06, 2), config?.configRead(0x06, 2)]).toEqual([0x18, 0x10]);
  });

  it("must have levels of 0 and 1", async () => {
    const stream = await streamOf(merged);
    const { at: from, body } = place(stream, "full");
    body[8 + 4 + 256 + 3] = 2;
    const error = await refused(withBody(stream, "full", body), merged);
    expect([error.code, error.location.path, error.location.offset]).toEqual([
      "FIELD_CHECK",
      "state.device.pci_dev.irq_state",
      from + 8 + 4 + 256,
    ]);
  });

  it("of another length is no footer's place", async () => {
    const error = await refused(
      await streamOf(merged),
      merged,
      testMachine([{ ...merged, config: testConfig({ bytes: 4096 }) }]),
    );
    expect(error.location.section).toBe(section);
    expect(["FIELD_CHECK", "VFIO_MARKER", "STREAM_TRUNCATED"]).toContain(error.code);
  });

  it("with a display, which is not known here", async () => {
    const stream = await streamOf(merged);
    const { at: from, body } = place(stream, "full");
    const name = Buffer.from("VFIOPCIDevice/VFIODisplay");
    const display = joined(Uint8Array.of(5, name.length), name, be32(1));
    const end = body.length - 8;
    const error = await refused(withBody(stream, "full", joined(body.slice(0, end), display, body.slice(end))), merged);
    expect([error.code, error.location.section, error.location.offset]).toEqual([
      "SUBSECTION_UNKNOWN",
      section,
      from + end,
    ]);
  });
});

describe("sizes", () => {
  it("beyond the bound", async () => {
    const stream = await streamOf(merged);
    for (const size of [2n ** 20n + 1n, 2n ** 64n - 1n]) {
      const error = await refused(withBody(stream, "end", joined(word("DEV_DATA_STATE"), be64(size))), merged);
      expect([error.code, error.location.section, error.location.path, error.location.offset]).toEqual([
        "LENGTH_BOUND",
        section,
        "records[0].size",
        place(stream, "end").at + 8,
      ]);
      expect([error.expected, error.found]).toEqual(["at most 1048576 bytes", `${size} bytes`]);
    }
  });

  it("0, which is ignored: a driver that wants more in a chunk is not asked", async () => {
    for (const options of [merged, filter]) {
      const stream = await streamOf(options);
      const { body } = place(stream, "end");
      const target = testMachine([options]);
      await target.kernel.load(withBody(stream, "end", joined(word("DEV_DATA_STATE"), be64(0n), body)));
      expect(target.devices[0]?.function.driver.jobs).toBe(4n);
    }
  });
});

it("a proposal's stream is too new for a merged machine; a merged one loads in a machine of the proposal", async () => {
  const error = await refused(await streamOf(notNeeded), merged);
  expect([error.code, error.location.section, error.found]).toEqual(["SECTION_VERSION", section, "2"]);
  const target = testMachine([notNeeded]);
  await target.kernel.load(await streamOf(merged));
  expect(target.devices[0]?.function.driver.jobs).toBe(4n);
});

it("names the dialect in the manifest", () => {
  const versions = (options: Options) =>
    testMachine([options])
      .kernel.manifest()
      .sections.filter(({ idstr }) => idstr.endsWith("/vfio"))
      .map(({ idstr, instance, version, minimumVersion }) => [idstr, instance, version, minimumVersion]);
  expect(versions(merged)).toEqual([[`${path(1)}/vfio`, 0, 1, 1]]);
  expect(versions(needed)).toEqual([[`${path(1)}/vfio`, 0, 2, 1]]);
});

it("every code is told of itself", () => {
  for (const [code, meaning] of Object.entries(vfioErrorCodes)) {
    expect(code).toMatch(/^VFIO_[A-Z0-9_]+$/);
    expect(meaning.length).toBeGreaterThan(10);
  }
});

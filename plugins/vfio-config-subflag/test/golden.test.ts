// Both dialects byte by byte, written by hand from the wire reference (15.2, 15.3, 15.6, 14.1).
import { Cursor, decodeRecord, encodeRecord, encodeState } from "@godwit/core";
import {
  encodeVfioSection,
  marker,
  markerName,
  markerWord,
  type VfioPhase,
  type VfioSection,
  vfioFamily,
  vfioPciDevice,
  vfioRecord,
  vfioWalker,
} from "@godwit/vfio-config-subflag";
import { describe, expect, it } from "vitest";
import { at, testConfig } from "./support/config.ts";
import { errorOf } from "./support/walk.ts";

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(/[^0-9a-f]/g, ""), "hex"));
const joined = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

const END = hex("ff ff ff ff ef 10 00 01");
const CONFIG = hex("ff ff ff ff ef 10 00 02");
const SETUP = hex("ff ff ff ff ef 10 00 03");
const DATA = hex("ff ff ff ff ef 10 00 04");
const INIT = hex("ff ff ff ff ef 10 00 05");
const READY = hex("ff ff ff ff ef 10 00 06");

/** 4 vectors: 64 bytes of table, 1 of pending bits. */
function body(vectors = 4, bytes: 256 | 4096 = 256): Uint8Array {
  const config = testConfig({ vectors, bytes }).config;
  const table = new Uint8Array(16 * vectors).map((_, i) => i);
  const pba = new Uint8Array(Math.ceil(vectors / 8)).fill(0x02);
  return joined(hex("00 00 00 02"), config, hex("00000001 00000000 00000000 00000000"), table, pba);
}

function walk(bytes: Uint8Array, phase: VfioPhase, version: number, previous?: VfioSection): VfioSection {
  const decoder = vfioWalker().decoder(phase, version, previous);
  const cursor = new Cursor(bytes);
  expect(decoder.resume(cursor)).toBe(true);
  expect(cursor.available).toBe(0);
  return decoder.value();
}

describe("markers", () => {
  it("have the reference's values", () => {
    const words = [END, CONFIG, SETUP, DATA, INIT, READY].map((bytes) => Buffer.from(bytes).readBigUInt64BE());
    const names = Object.keys(marker) as (keyof typeof marker)[];
    expect(words.map(markerName)).toEqual(names);
    expect(names.map(markerWord)).toEqual(words);
    expect(markerName(0xef10_0001n)).toBeUndefined();
  });
});

describe.each([
  {
    name: "merged START",
    phase: "start",
    version: 1,
    bytes: [SETUP, END],
    markers: ["DEV_SETUP_STATE", "END_OF_STATE"],
  },
  {
    name: "merged PART with data",
    phase: "part",
    version: 1,
    bytes: [DATA, hex("0000000000000003 0a0b0c"), END],
    markers: ["DEV_DATA_STATE", "END_OF_STATE"],
  },
  { name: "merged PART without data", phase: "part", version: 1, bytes: [END], markers: ["END_OF_STATE"] },
  {
    name: "merged PART whose initial data is gone: no END_OF_STATE",
    phase: "part",
    version: 1,
    bytes: [DATA, hex("0000000000000001 ff"), INIT],
    markers: ["DEV_DATA_STATE", "DEV_INIT_DATA_SENT"],
  },
  {
    name: "merged END, with a chunk of no bytes",
    phase: "end",
    version: 1,
    bytes: [DATA, hex("0000000000000002 0102"), DATA, hex("0000000000000000"), END],
    markers: ["DEV_DATA_STATE", "DEV_DATA_STATE", "END_OF_STATE"],
  },
  {
    name: "merged FULL",
    phase: "full",
    version: 1,
    bytes: [CONFIG, body(), END],
    markers: ["DEV_CONFIG_STATE", "END_OF_STATE"],
  },
  { name: "FULL with multifd transfer", phase: "full", version: 1, bytes: [END], markers: ["END_OF_STATE"] },
  {
    name: "FULL with multifd transfer, config behind it",
    phase: "full",
    version: 1,
    bytes: [READY],
    markers: ["DEV_CONFIG_LOAD_READY"],
  },
  {
    name: "proposal PART: config ahead of data",
    phase: "part",
    version: 2,
    bytes: [CONFIG, hex("00000001"), body(0), DATA, hex("0000000000000002 0102"), END],
    markers: ["DEV_CONFIG_STATE", "DEV_DATA_STATE", "END_OF_STATE"],
  },
  {
    name: "proposal END: config of 4096 bytes, and again",
    phase: "end",
    version: 2,
    bytes: [CONFIG, hex("00000001"), body(33, 4096), CONFIG, hex("00000001"), body(33, 4096), END],
    markers: ["DEV_CONFIG_STATE", "DEV_CONFIG_STATE", "END_OF_STATE"],
  },
  {
    name: "proposal FULL, config and enabling",
    phase: "full",
    version: 2,
    bytes: [CONFIG, hex("00000003"), body(), END],
    markers: ["DEV_CONFIG_STATE", "END_OF_STATE"],
  },
  {
    name: "proposal FULL, enabling alone",
    phase: "full",
    version: 2,
    bytes: [CONFIG, hex("00000002"), END],
    markers: ["DEV_CONFIG_STATE", "END_OF_STATE"],
  },
] as const)("$name", ({ phase, version, bytes, markers }) => {
  const all = joined(...bytes);

  it("is walked into records by name, and has its bytes again", () => {
    const section = walk(all, phase, version);
    expect(section.records.map(({ marker: name }) => name)).toEqual(markers);
    expect(Buffer.compare(encodeVfioSection(section), all)).toBe(0);
  });

  it("is told truncated at every byte with the element that is cut", () => {
    for (let cut = 0; cut < all.length; cut++) {
      const decoder = vfioWalker().decoder(phase, version);
      expect(decoder.resume(new Cursor(all.subarray(0, cut)))).toBe(false);
      expect(decoder.path()).toMatch(/^records\[\d+\]\.(marker|size|data|sub_flag|device.*)$/);
    }
  });
});

describe("the body", () => {
  it("has its fields by name", () => {
    const [record] = walk(joined(CONFIG, body(), END), "full", 1).records;
    expect(record).toMatchObject({
      marker: "DEV_CONFIG_STATE",
      subFlag: undefined,
      parameters: { configBytes: 256, msixVectors: 4 },
      device: { pci_dev: { version_id: 2, irq_state: Uint32Array.of(1, 0, 0, 0) }, msix_pba: Uint8Array.of(2) },
    });
    const device = (record as unknown as { device: { pci_dev: { config: Uint8Array } } }).device;
    expect([device.pci_dev.config[0], device.pci_dev.config[at.msix]]).toEqual([0x36, 0x11]);
  });

  it("is what the description writes", () => {
    const state = {
      pci_dev: { version_id: 2, config: testConfig().config, irq_state: Uint32Array.of(1, 0, 0, 0) },
      msix_table: new Uint8Array(64).map((_, i) => i),
      msix_pba: Uint8Array.of(2),
    };
    const parameters = { configBytes: 256, msixVectors: 4 } as const;
    expect(Buffer.compare(encodeState(vfioPciDevice(parameters), state), body())).toBe(0);
    const records = [
      [vfioRecord("merged", parameters), 3, state, joined(CONFIG, body(), END)],
      [vfioRecord("proposal", parameters), 3, state, joined(CONFIG, hex("00000003"), body(), END)],
      [vfioRecord("proposal", parameters), 2, null, joined(CONFIG, hex("00000002"), END)],
    ] as const;
    for (const [description, sub_flag, device, bytes] of records) {
      expect(Buffer.compare(encodeState(description, { state: { sub_flag, device } }), bytes)).toBe(0);
      expect(Buffer.compare(encodeRecord(description, decodeRecord(description, bytes)), bytes)).toBe(0);
    }
  });
});

describe("the family", () => {
  const sample = (version: number, bytes: Uint8Array) => ({ idstr: "0000:00:05.0/vfio", instance: 0, version, bytes });

  it.each([
    [1, joined(CONFIG, body(), END), { dialect: "merged", device: { configBytes: 256, msixVectors: 4 } }],
    [1, joined(CONFIG, body(0), END), { dialect: "merged", device: { configBytes: 256, msixVectors: 0 } }],
    [1, joined(CONFIG, body(7, 4096), END), { dialect: "merged", device: { configBytes: 4096, msixVectors: 7 } }],
    [
      2,
      joined(CONFIG, hex("00000003"), body(9), END),
      { dialect: "proposal", device: { configBytes: 256, msixVectors: 9 } },
    ],
    [2, joined(CONFIG, hex("00000002"), END), { dialect: "proposal" }],
  ])("infers what a record of version %i depends on, and its bytes are the same", (version, bytes, expected) => {
    const parameters = vfioFamily.infer(sample(version, bytes));
    expect(parameters).toEqual(expected);
    const description = vfioFamily.build(parameters);
    expect(Buffer.compare(encodeRecord(description, decodeRecord(description, bytes, { version })), bytes)).toBe(0);
  });

  it("never guesses", () => {
    const torn = joined(CONFIG, body(), END);
    torn[8 + 4 + 256 + 3] = 2;
    expect(errorOf(() => vfioFamily.infer(sample(1, joined(torn, new Uint8Array(4096))))).code).toBe("PARAMETER_WRONG");
    const cut = joined(CONFIG, body(), END).subarray(0, 200);
    expect(errorOf(() => vfioFamily.infer(sample(1, cut))).code).toBe("STREAM_TRUNCATED");
  });
});

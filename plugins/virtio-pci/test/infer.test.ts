// Parameters that the wire does not say: found where they can be, refused where they cannot.
import { decodeState, encodeState, isMigrationError, type StateOf, u8, vmstate } from "@godwit/core";
import { feature, noVector, type VirtioClass } from "@godwit/virtio-core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { noModernState } from "../src/descriptions.ts";
import { type VirtioPciParameters, type VirtioPciState, virtioPciFamily, virtioPciSection } from "../src/index.ts";

const thing = vmstate({ name: "virtio-thing-device", version: 1, fields: { value: u8 } });
const kind: VirtioClass<Record<never, never>, StateOf<typeof thing>> = {
  name: "virtio-thing",
  version: 1,
  minimumVersion: 1,
  deviceId: 2,
  description: () => thing,
  infer: () => ({}),
};
const family = virtioPciFamily(kind);
type State = VirtioPciState<StateOf<typeof thing>, Record<never, never>>;

const modernFeatures = feature.VERSION_1 | feature.ACCESS_PLATFORM;
const usual: VirtioPciParameters = {
  hostFeatures: modernFeatures | 1n,
  dialect: "10.0",
  configBytes: 256,
  msixVectors: 3,
  modern: true,
};

interface ConfigInit {
  readonly device?: number;
  readonly vendor?: number;
  readonly express?: boolean;
}

/** Configuration space with the capabilities that matter, everything else 0. */
function configOf(
  { configBytes, msixVectors }: VirtioPciParameters,
  { device = 0x1042, vendor = 0x1af4, express }: ConfigInit,
) {
  const config = new Uint8Array(configBytes);
  const view = new DataView(config.buffer);
  view.setUint16(0, vendor, true);
  view.setUint16(2, device, true);
  const capabilities: [number, number][] = [];
  if (msixVectors > 0) capabilities.push([0x98, 0x11]);
  if (express) capabilities.push([0xc0, 0x10]);
  capabilities.push([0x40, 0x09]);
  config[6] = 0x10;
  capabilities.forEach(([at, id], i) => {
    config[at] = id;
    config[at + 1] = capabilities[i + 1]?.[0] ?? 0;
  });
  config[0x34] = capabilities[0]?.[0] ?? 0;
  if (msixVectors > 0) view.setUint16(0x9a, msixVectors - 1, true);
  return config;
}

function section(
  parameters: VirtioPciParameters = usual,
  config: ConfigInit = {},
  change: (state: State) => void = () => {},
) {
  const { hostFeatures, msixVectors, modern } = parameters;
  const sizes = new Uint32Array(1024);
  sizes[0] = 16;
  const accepted = hostFeatures & ~feature.RING_PACKED & ~feature.RING_RESET;
  const vector = (index: number) => (msixVectors > 0 ? index : noVector);
  const state: State = {
    transport: {
      pci_dev: { version_id: 2, config: configOf(parameters, config), irq_state: new Uint32Array(4) },
      msix_table: new Uint8Array(16 * msixVectors),
      msix_pba: new Uint8Array(Math.ceil(msixVectors / 8)),
      config_vector: vector(0),
    },
    status: 15,
    isr: 0,
    queue_sel: 0,
    guest_features: Number(BigInt.asUintN(32, accepted)),
    config_len: 0,
    config: new Uint8Array(0),
    queue_count: 1,
    vqs: [{ num: 16, align: 4096, desc: 0x1000n, last_avail_idx: 3, transport: { vector: vector(1) } }],
    legacy: {},
    device: { value: 9 },
    virtio: {
      device_endian: { device_endian: 1 },
      features128: { guest_features: accepted >> 64n },
      features64: { guest_features: BigInt.asUintN(64, accepted) },
      virtqueues: { vq: Array.from({ length: 1024 }, () => ({ avail: 0n, used: 0n })) },
      ringsize: { num_default: sizes },
      broken: { broken: false },
      extra_state: { extra_state: { modern_state: { ...noModernState, dfselect: modern ? 1 : 0 } } },
      started: { started: true },
      packed_virtqueues: {
        vq: Array.from({ length: 1024 }, () => ({
          last_avail_idx: 0,
          last_avail_wrap_counter: true,
          used_idx: 0,
          used_wrap_counter: true,
          inuse: 0,
        })),
      },
      disabled: { disabled: false },
    },
  };
  change(state);
  return encodeState(virtioPciSection(kind, parameters), state);
}

const infer = (bytes: Uint8Array) =>
  family.infer({ idstr: "0000:00:02.0/virtio-thing", instance: 0, version: 1, bytes });

function refusal(bytes: Uint8Array) {
  try {
    infer(bytes);
  } catch (error) {
    if (!isMigrationError(error)) throw error;
    return { code: error.code, path: error.location.path, expected: error.expected, found: error.found };
  }
  throw new Error("nothing was thrown");
}

const behind = (bytes: Uint8Array, ...more: number[]) => Uint8Array.from([...bytes, ...more]);

describe("parameters are found", () => {
  it.each([
    ["many vectors", { msixVectors: 33 }, {}],
    ["no MSI-X", { msixVectors: 0 }, {}],
    ["PCI Express", { configBytes: 4096, msixVectors: 2 }, { express: true }],
    ["4,096 bytes without that capability", { configBytes: 4096 }, {}],
    ["a legacy function", { hostFeatures: 5n, modern: false }, { device: 0x1001 }],
    ["a transitional function", {}, { device: 0x1001 }],
    ["packed rings offered", { hostFeatures: modernFeatures | feature.RING_PACKED }, {}],
    ["an old machine type", { hostFeatures: 5n, modern: false, migrateExtra: false }, { device: 0x1001 }],
    ["features beyond 64", { hostFeatures: modernFeatures | (1n << 65n) }, {}],
    [
      "a feature beyond 32 that nobody accepted",
      { hostFeatures: 1n | feature.RING_RESET, modern: false },
      { device: 0x1001 },
    ],
  ] as const)("of %s", (_, more, config) => {
    const parameters: VirtioPciParameters = { migrateExtra: true, ...usual, ...more };
    const bytes = section(parameters, config);
    expect(infer(bytes)).toEqual(parameters);
    expect(infer(behind(bytes, 0x7e, 0, 0, 0, 1, 4))).toEqual(parameters);
  });

  it("of a big-endian target, by a little-endian legacy driver", () => {
    const parameters: VirtioPciParameters = { ...usual, hostFeatures: 5n, modern: false, targetEndian: "big" };
    const bytes = section(parameters, { device: 0x1001 });
    expect(infer(bytes)).toEqual({ ...parameters, migrateExtra: true });
  });
});

describe("where the section ends", () => {
  const bytes = section();
  const sample = { idstr: "0000:00:02.0/virtio-thing", instance: 0, version: 1, bytes: behind(bytes, 4, 0, 0, 0, 9) };
  const vmdesc = (size: number) => ({
    name: sample.idstr,
    instance_id: 0,
    vmsd_name: "virtio-thing",
    version: 1,
    fields: [{ name: "virtio", type: "virtio", size }],
  });

  it("the stream's vmdesc tells, where no footer does", () => {
    expect(refusal(sample.bytes)).toMatchObject({
      code: "PARAMETER_WRONG",
      path: "configBytes",
      found: `one of ${bytes.length} bytes`,
    });
    expect(family.infer({ ...sample, vmdesc: vmdesc(bytes.length) })).toMatchObject({
      configBytes: 256,
      msixVectors: 3,
    });
    expect(() => family.infer({ ...sample, vmdesc: vmdesc(bytes.length + 5) })).toThrow(/PARAMETER_WRONG/);
  });
});

describe("a section that contradicts itself is refused", () => {
  it("of another vendor or kind", () => {
    expect(refusal(section(usual, { vendor: 0x8086 }))).toEqual({
      code: "PARAMETER_WRONG",
      path: "transport.pci_dev.config[0]",
      expected: "0x1af4",
      found: "0x8086",
    });
    expect(refusal(section(usual, { device: 0x1041 }))).toEqual({
      code: "PARAMETER_WRONG",
      path: "transport.pci_dev.config[2]",
      expected: "0x1042 or 0x1001",
      found: "0x1041",
    });
  });

  it("with a vector that its table does not have", () => {
    const queue = (state: State) => {
      (state.vqs[0] as State["vqs"][0]).transport.vector = 3;
    };
    expect(refusal(section(usual, {}, queue))).toEqual({
      code: "PARAMETER_WRONG",
      path: "vqs[0].transport.vector",
      expected: "below 3, or 0xffff",
      found: "3",
    });
    const config = (state: State) => {
      state.transport.config_vector = 200;
    };
    expect(refusal(section(usual, {}, config))).toMatchObject({ path: "transport.config_vector", found: "200" });
  });

  it("with a capability list that runs in a circle, or out of its place", () => {
    const circle = section();
    circle[4 + 0x41] = 0x98;
    expect(refusal(circle)).toMatchObject({
      code: "PARAMETER_WRONG",
      path: "transport.pci_dev.config[152]",
      found: "a circle",
    });
    const header = section();
    header[4 + 0x34] = 0x10;
    expect(refusal(header)).toMatchObject({
      path: "transport.pci_dev.config[16]",
      found: "an offset within the header",
    });
    const twice = section();
    twice[4 + 0x40] = 0x11;
    expect(refusal(twice)).toMatchObject({ path: "msixVectors", found: "2" });
  });

  it("with features that its subsections do not go with", () => {
    const none = { ...usual, hostFeatures: 5n, modern: false };
    expect(refusal(section(none, { device: 0x1042 }))).toMatchObject({
      code: "PARAMETER_WRONG",
      path: "virtio.extra_state.extra_state.modern_state",
    });
    // VERSION_1 was accepted, and rings' addresses do not travel.
    const reset = { ...usual, hostFeatures: 1n | feature.RING_RESET };
    const accepts = (state: State) => {
      state.virtio.features64.guest_features = feature.VERSION_1 | 1n;
    };
    expect(refusal(section(reset, {}, accepts))).toMatchObject({ path: "virtio.virtqueues", found: "absent" });
    const bytes = section({ ...usual, hostFeatures: feature.VERSION_1 | 1n });
    const name = "virtio/64bit_features";
    const at = bytes.findIndex((_, i) => name.split("").every((c, k) => bytes[i + k] === c.charCodeAt(0))) - 2;
    const without = Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(at + 2 + name.length + 4 + 8)]);
    expect(refusal(without)).toMatchObject({ path: "virtio.features64", found: "absent" });
  });

  it("that ends too early", () => {
    const bytes = section();
    expect(refusal(bytes.subarray(0, 259))).toMatchObject({
      code: "STREAM_TRUNCATED",
      path: "transport.pci_dev.config",
    });
    expect(refusal(bytes.subarray(0, 300))).toMatchObject({ code: "STREAM_TRUNCATED", path: "transport.msix_table" });
    expect(refusal(bytes.subarray(0, bytes.length - 1))).toMatchObject({ code: "STREAM_TRUNCATED" });
  });

  it("that fits in two ways is ambiguous", () => {
    // Of 4,096 bytes, all behind the first 256 of which are what a whole section of 256 would have; then a footer's.
    const short = section(
      { ...usual, msixVectors: 0, hostFeatures: 5n, modern: false, migrateExtra: false },
      { device: 0x1001 },
    );
    const inner = behind(short, 0x7e, 0, 0, 0, 1);
    const long = section(
      { ...usual, configBytes: 4096, msixVectors: 0, hostFeatures: 5n, modern: false, migrateExtra: false },
      { device: 0x1001 },
    );
    const both = long.slice();
    both.set(inner.subarray(260), 260);
    expect(infer(short).configBytes).toBe(256);
    expect(infer(long).configBytes).toBe(4096);
    expect(refusal(both)).toMatchObject({ code: "PARAMETER_AMBIGUOUS", path: "configBytes" });
  });
});

describe("whatever the device", () => {
  it("the parameters that are found read the section, and write the same bytes", () => {
    const bits = [
      feature.VERSION_1,
      feature.RING_PACKED,
      feature.RING_RESET,
      feature.ACCESS_PLATFORM,
      1n << 66n,
      1n << 7n,
    ];
    const arbitrary = fc.record({
      hostFeatures: fc.subarray(bits).map((some) => some.reduce((sum, bit) => sum | bit, 0n)),
      msixVectors: fc.integer({ min: 0, max: 64 }),
      configBytes: fc.constantFrom(256 as const, 4096 as const),
      express: fc.boolean(),
      value: fc.integer({ min: 0, max: 255 }),
      broken: fc.boolean(),
      table: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    });
    fc.assert(
      fc.property(arbitrary, ({ value, broken, table, express, ...more }) => {
        const parameters: VirtioPciParameters = { ...usual, ...more };
        const bytes = section(parameters, { express: express && more.configBytes === 4096 }, (state) => {
          state.device.value = value;
          state.virtio.broken.broken = broken;
          if (more.msixVectors > 0) state.transport.msix_table.set(table);
        });
        const found = infer(behind(bytes, 0x7e, 0, 0, 0, 2));
        const { hostFeatures, msixVectors, configBytes } = more;
        expect(found).toMatchObject({ msixVectors, configBytes });
        // The least set that explains what travelled.
        const told = feature.VERSION_1 | feature.RING_PACKED;
        expect(found.hostFeatures & ~hostFeatures).toBe(0n);
        expect(found.hostFeatures & told).toBe(hostFeatures & told);
        const description = family.build(found);
        const state = decodeState(description, bytes);
        expect(state.device.value).toBe(value);
        expect(Array.from(encodeState(description, state))).toEqual(Array.from(bytes));
      }),
      { seed: 0x60d, numRuns: 30 },
    );
  });
});

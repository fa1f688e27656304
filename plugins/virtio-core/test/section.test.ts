// The section of a virtio device: its bytes against a hand-written one, and which subsections travel when.
import {
  type AnyRecord,
  decodeRecord,
  decodeState,
  encodeRecord,
  encodeState,
  isMigrationError,
  type StateOf,
  struct,
  u8,
  u16,
  vmstate,
} from "@godwit/core";
import fc from "fast-check";
import { describe, expect, expectTypeOf, it } from "vitest";
import {
  commonFields,
  feature,
  maxQueues,
  noData,
  noVector,
  type VirtioParameters,
  type VirtioState,
  virtioSection,
} from "../src/index.ts";
import { type TestConfig, type TestExtra, type TestQueue, testTransport } from "./support/parts.ts";

const device = vmstate({ name: "virtio-thing-device", version: 1, fields: { a: u8 } });
const legacySave = struct(vmstate({ name: "thing-legacy", version: 1, fields: { b: u16 } }));
type State = VirtioState<TestConfig, TestQueue, TestExtra, { a: number }, { b: number }>;

function thing(parameters: Partial<VirtioParameters>) {
  return virtioSection({
    name: "virtio-thing",
    version: 1,
    parameters: { hostFeatures: 0n, dialect: "10.0", ...parameters },
    transport: testTransport,
    device,
    legacySave,
  });
}

const zeros = (length: number): number[] => new Array<number>(length).fill(0);

function plain(more: Partial<State> = {}, virtio: Partial<State["virtio"]> = {}): State {
  const vqs = [{ num: 8, align: 4096, desc: 0x1_0000_1000n, last_avail_idx: 0x102, transport: { vector: 3 } }];
  const sizes = new Uint32Array(maxQueues);
  sizes[0] = 8;
  return {
    transport: { dma: 1, tag: 0xabcd },
    status: 0x0f,
    isr: 1,
    queue_sel: 2,
    guest_features: 5,
    config_len: 2,
    config: Uint8Array.of(9, 8),
    queue_count: 1,
    vqs,
    legacy: { b: 0x1234 },
    device: { a: 7 },
    virtio: {
      device_endian: { device_endian: 1 },
      features128: { guest_features: 0n },
      features64: { guest_features: 5n },
      virtqueues: { vq: zeros(maxQueues).map(() => ({ avail: 0n, used: 0n })) },
      ringsize: { num_default: sizes },
      broken: { broken: false },
      extra_state: { extra_state: { word: 0 } },
      started: { started: false },
      packed_virtqueues: { vq: zeros(maxQueues).map(() => ({ ...packed })) },
      disabled: { disabled: false },
      ...virtio,
    },
    ...more,
  };
}
const packed = {
  last_avail_idx: 0,
  last_avail_wrap_counter: true,
  used_idx: 0,
  used_wrap_counter: true,
  inuse: 0,
};

const ascii = (text: string): number[] => Array.from(text, (character) => character.charCodeAt(0));
const header = (name: string): number[] => [5, name.length, ...ascii(name), 0, 0, 0, 1];

/** The fields before the subsections, byte by byte as wire reference 13.2 has them. */
const fixedPart = [
  [1, 0, 0, 0xab, 0xcd],
  [0x0f, 1, 0, 2],
  [0, 0, 0, 5],
  [0, 0, 0, 2, 9, 8],
  [0, 0, 0, 1],
  [0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0x10, 0, 1, 2, 0, 3],
  [0x12, 0x34],
  [7],
].flat();

const extraPart = [...header("virtio/extra_state"), 0, 0, 0, 0];

function subsectionsOf(parameters: Partial<VirtioParameters>, state: State): string[] {
  const description = thing(parameters);
  const record = decodeRecord(description, encodeState(description, state));
  return Object.keys(record["virtio"] as object);
}

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (isMigrationError(error)) return `${error.code} ${error.location.path}`;
    throw error;
  }
  return "nothing was thrown";
}

describe("the bytes", () => {
  it("are the fields in QEMU's order, then the one subsection that this transport always sends", () => {
    expect(Array.from(encodeState(thing({}), plain()))).toEqual([...fixedPart, ...extraPart]);
  });

  it("hold the driver's ring alignment where the transport has one", () => {
    const description = virtioSection({
      name: "virtio-thing",
      version: 1,
      parameters: { hostFeatures: 0n, dialect: "10.0" },
      transport: { config: noData, queue: noData, variableAlign: true },
      device: noData,
    });
    const { vqs, transport, legacy, device: own, ...rest } = plain({ config_len: 0, config: new Uint8Array(0) });
    const [queue] = vqs;
    const state = { ...rest, transport: {}, legacy: {}, device: {}, vqs: [{ ...queue, align: 512, transport: {} }] };
    const bytes = encodeState(description, {
      ...state,
      virtio: { ...state.virtio, extra_state: { extra_state: {} } },
    } as never);
    expect(Array.from(bytes.subarray(16))).toEqual([0, 0, 0, 8, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0, 0x10, 0, 1, 2]);
    expect(decodeState(description, bytes)).toEqual({
      ...state,
      virtio: { ...state.virtio, extra_state: { extra_state: {} } },
    });
    expect([transport, legacy, own].length).toBe(3);
    // An alignment of 0, or one that is none, has no ring.
    for (const wrong of [0, 3]) {
      bytes[23] = wrong;
      bytes[22] = 0;
      expect(() => decodeState(description, bytes)).toThrow(/FIELD_CHECK.*vqs\[0\]\.align/);
    }
  });

  it("of every subsection stand in QEMU's order", () => {
    const all = plain(
      {},
      {
        device_endian: { device_endian: 2 },
        features128: { guest_features: 3n },
        features64: { guest_features: 0x1_0000_0005n },
        ringsize: { num_default: new Uint32Array(maxQueues).fill(16) },
        broken: { broken: true },
        started: { started: true },
        disabled: { disabled: true },
      },
    );
    const hostFeatures = feature.VERSION_1 | feature.RING_PACKED | (1n << 64n) | 5n;
    expect(subsectionsOf({ hostFeatures }, all)).toEqual([
      "device_endian",
      "features128",
      "features64",
      "virtqueues",
      "ringsize",
      "broken",
      "extra_state",
      "started",
      "packed_virtqueues",
      "disabled",
    ]);
    const bytes = encodeState(thing({ hostFeatures }), all);
    // be64 for two features, 1,024 of be64 x 2, be32, and be16, bool, be16, bool, be32.
    const bodies = 1 + 8 + 8 + 1024 * 16 + 1024 * 4 + 1 + 4 + 1 + 1024 * 10 + 1;
    const ofNames = [
      "device_endian",
      "128bit_features",
      "64bit_features",
      "virtqueues",
      "ringsize",
      "broken",
      "extra_state",
      "started",
      "packed_virtqueues",
      "disabled",
    ].reduce((sum, name) => sum + header(`virtio/${name}`).length, 0);
    expect(bytes.length).toBe(fixedPart.length + bodies + ofNames);
  });
});

describe("needed", () => {
  it("goes by what is offered, not by what was negotiated", () => {
    const negotiatedLess = plain();
    expect(subsectionsOf({ hostFeatures: feature.VERSION_1 }, negotiatedLess)).toEqual([
      "features64",
      "virtqueues",
      "extra_state",
    ]);
    expect(subsectionsOf({ hostFeatures: feature.RING_PACKED }, negotiatedLess)).toEqual([
      "features64",
      "extra_state",
      "packed_virtqueues",
    ]);
    expect(subsectionsOf({ hostFeatures: feature.RING_RESET }, negotiatedLess)).toEqual(["features64", "extra_state"]);
    expect(subsectionsOf({ hostFeatures: 0xffff_ffffn }, negotiatedLess)).toEqual(["extra_state"]);
    expect(subsectionsOf({ hostFeatures: 1n << 64n }, negotiatedLess)).toEqual(["features128", "extra_state"]);
    expect(subsectionsOf({ hostFeatures: 1n << 64n, dialect: "7.2" }, negotiatedLess)).toEqual(["extra_state"]);
  });

  it("of device_endian goes by the target, or by little once VERSION_1 is negotiated", () => {
    const of = (deviceEndian: number, features: bigint, targetEndian: "little" | "big") =>
      subsectionsOf(
        { hostFeatures: feature.VERSION_1, targetEndian },
        plain({}, { device_endian: { device_endian: deviceEndian }, features64: { guest_features: features } }),
      ).includes("device_endian");
    expect(of(1, 0n, "little")).toBe(false);
    expect(of(2, 0n, "little")).toBe(true);
    expect(of(2, 0n, "big")).toBe(false);
    expect(of(1, 0n, "big")).toBe(true);
    expect(of(1, feature.VERSION_1, "big")).toBe(false);
  });

  it("of ringsize: where a ring is not of its default size", () => {
    const smaller = plain();
    (smaller.vqs[0] as { num: number }).num = 4;
    expect(subsectionsOf({}, smaller)).toEqual(["ringsize", "extra_state"]);
  });
});

describe("what did not come", () => {
  const bare = Uint8Array.from(fixedPart);

  it("is what QEMU assumes", () => {
    expect(decodeState(thing({}), bare)).toEqual(plain());
    const big = decodeState(thing({ targetEndian: "big" }), bare);
    expect(big.virtio.device_endian).toEqual({ device_endian: 2 });
  });

  it("and would be lost is refused on save", () => {
    const lost = (virtio: Partial<State["virtio"]>) => codeOf(() => encodeState(thing({}), plain({}, virtio)));
    expect(lost({ features64: { guest_features: 0x1_0000_0005n } })).toBe("ABSENT_MISMATCH virtio.features64");
    expect(lost({ features128: { guest_features: 1n } })).toBe("ABSENT_MISMATCH virtio.features128");
    const addresses = zeros(maxQueues).map(() => ({ avail: 1n, used: 0n }));
    expect(lost({ virtqueues: { vq: addresses } })).toBe("ABSENT_MISMATCH virtio.virtqueues");
    const rings = zeros(maxQueues).map(() => ({ ...packed, inuse: 1 }));
    expect(lost({ packed_virtqueues: { vq: rings } })).toBe("ABSENT_MISMATCH virtio.packed_virtqueues");
  });

  it("of endianness depends on features that stand behind it", () => {
    const description = thing({ hostFeatures: feature.VERSION_1, targetEndian: "big" });
    const modern = plain({}, { features64: { guest_features: feature.VERSION_1 | 5n } });
    const state = decodeState(description, encodeState(description, modern));
    expect(state.virtio.device_endian).toEqual({ device_endian: 1 });
    // An explicit "unknown" means the same as none.
    const unknown = [...fixedPart, ...header("virtio/device_endian"), 0];
    const read = decodeState(thing({ targetEndian: "big" }), Uint8Array.from(unknown));
    expect(read.virtio.device_endian).toEqual({ device_endian: 2 });
    const record = decodeRecord(thing({}), Uint8Array.from(unknown));
    expect(Array.from(encodeRecord(thing({}), record))).toEqual(unknown);
  });
});

describe("bad input", () => {
  const at = (name: string): number =>
    [5, 9, 13].at(["status", "guest_features", "config_len"].indexOf(name)) as number;

  it("names the field", () => {
    const queueSel = Uint8Array.from(fixedPart);
    queueSel.set([4, 0], at("status") + 2);
    expect(codeOf(() => decodeState(thing({}), queueSel))).toBe("FIELD_CHECK queue_sel");
    const config = Uint8Array.from(fixedPart);
    config.set([1, 0, 0, 0], at("config_len"));
    expect(codeOf(() => decodeState(thing({}), config))).toBe("LENGTH_BOUND config");
    const queues = Uint8Array.from(fixedPart);
    queues.set([0, 0, 4, 1], at("config_len") + 6);
    expect(codeOf(() => decodeState(thing({}), queues))).toBe("COUNT_BOUND vqs");
  });

  it("of another kind of transport is refused", () => {
    const description = virtioSection({
      name: "virtio-thing",
      version: 1,
      parameters: { hostFeatures: 0n, dialect: "10.0" },
      transport: { config: testTransport.config, queue: testTransport.queue },
      device,
      legacySave,
    });
    const bytes = Uint8Array.from([...fixedPart, ...header("virtio/extra_state")]);
    expect(codeOf(() => decodeState(description, bytes))).toBe("FIELD_MUST_EXIST virtio.extra_state.extra_state");
  });
});

describe("the laws", () => {
  const queueState = fc.record({
    num: fc.integer({ min: 0, max: 0xffff }),
    align: fc.constant(4096),
    desc: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
    last_avail_idx: fc.integer({ min: 0, max: 0xffff }),
    transport: fc.record({ vector: fc.integer({ min: 0, max: noVector }) }),
  });
  const hostBits = fc.subarray([feature.VERSION_1, feature.RING_PACKED, feature.RING_RESET, 1n << 70n]);
  const arbitrary = fc
    .record({
      host: hostBits.map((bits) => bits.reduce((sum, bit) => sum | bit, 0xffffn)),
      low: fc.integer({ min: 0, max: 0xffff }),
      vqs: fc.array(queueState, { maxLength: 5 }),
      config: fc.uint8Array({ maxLength: 64 }),
      flags: fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()),
      word: fc.integer({ min: 0, max: 0xffff_ffff }),
      sizes: fc.option(fc.integer({ min: 1, max: 1024 })),
      address: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
      wrap: fc.boolean(),
    })
    .map(({ host, low, vqs, config, flags, word, sizes, address, wrap }): [bigint, State] => {
      const num_default = new Uint32Array(maxQueues);
      vqs.forEach(({ num }, i) => {
        num_default[i] = sizes ?? num;
      });
      const version1 = (host & feature.VERSION_1) !== 0n;
      const packedHost = (host & feature.RING_PACKED) !== 0n;
      const high = BigInt.asUintN(64, host) & ~0xffff_ffffn;
      const vq = zeros(maxQueues).map((_, i) => ({ avail: version1 && i < 2 ? address : 0n, used: 0n }));
      const rings = zeros(maxQueues).map(() => ({ ...packed, used_wrap_counter: packedHost ? wrap : true }));
      const state = plain(
        { guest_features: low, vqs, queue_count: vqs.length, config, config_len: config.length },
        {
          features64: { guest_features: BigInt(low) | high },
          features128: { guest_features: host >> 64n },
          virtqueues: { vq },
          ringsize: { num_default },
          broken: { broken: flags[0] },
          started: { started: flags[1] },
          disabled: { disabled: flags[2] },
          extra_state: { extra_state: { word } },
          packed_virtqueues: { vq: rings },
        },
      );
      return [host, state];
    });

  it("state to bytes to state gives the state back; record to bytes gives the bytes back", () => {
    fc.assert(
      fc.property(arbitrary, ([hostFeatures, state]) => {
        const description = thing({ hostFeatures });
        const bytes = encodeState(description, state);
        expect(decodeState(description, bytes)).toEqual(state);
        const record = decodeRecord(description, bytes);
        expect(Array.from(encodeRecord(description, record))).toEqual(Array.from(bytes));
      }),
      { seed: 0x60d, numRuns: 25 },
    );
  });
});

describe("the types", () => {
  it("that are written out are those that the fields add up to", () => {
    const common = vmstate({ name: "x", version: 1, fields: commonFields(testTransport) });
    type Common = StateOf<typeof common>;
    expectTypeOf<Common>().toEqualTypeOf<Omit<State, "legacy" | "device" | "virtio">>();
    const bytes = Uint8Array.from(fixedPart).subarray(0, -3);
    const { legacy, device: own, virtio, ...expected } = plain();
    expect(decodeState(common, bytes)).toEqual(expected);
    const state = decodeState(thing({}), Uint8Array.from(fixedPart));
    expectTypeOf(state).toEqualTypeOf<State>();
    const keys = (value: AnyRecord): string[] => Object.keys(value).sort();
    expect(keys(state.virtio)).toEqual(keys(virtio));
    expect([legacy, own]).toEqual([{ b: 0x1234 }, { a: 7 }]);
  });
});

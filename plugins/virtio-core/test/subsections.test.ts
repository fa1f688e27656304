// Each subsection of "virtio": its bytes, when it travels in either dialect, and what stands for one that did not come.
import { decodeRecord, decodeState, encodeState, isMigrationError } from "@godwit/core";
import { describe, expect, it } from "vitest";
import {
  feature,
  maxQueues,
  noData,
  type VirtioDialect,
  type VirtioParameters,
  type VirtioState,
  virtioSection,
} from "../src/index.ts";
import { type TestExtra, testTransport } from "./support/parts.ts";

type State = VirtioState<{ dma: number; tag: number }, { vector: number }, TestExtra, object, object>;

const dialects: readonly VirtioDialect[] = ["7.2", "10.0"];

function section(parameters: Partial<VirtioParameters>, extraNeeded = false) {
  const transport = {
    ...testTransport,
    extraState: { ...testTransport.extraState, needed: extraNeeded } as NonNullable<typeof testTransport.extraState>,
  };
  const device = noData;
  return virtioSection({
    name: "virtio-thing",
    version: 1,
    parameters: { hostFeatures: 0n, dialect: "10.0", ...parameters },
    transport,
    device,
  });
}

const fresh = {
  last_avail_idx: 0,
  last_avail_wrap_counter: true,
  used_idx: 0,
  used_wrap_counter: true,
  inuse: 0,
};

/** A state that needs nothing beside its fields. */
function plain(change: (state: State) => void = () => {}): State {
  const sizes = new Uint32Array(maxQueues);
  sizes[0] = 8;
  const state: State = {
    transport: { dma: 1, tag: 2 },
    status: 0,
    isr: 0,
    queue_sel: 0,
    guest_features: 5,
    config_len: 0,
    config: new Uint8Array(0),
    queue_count: 1,
    vqs: [{ num: 8, align: 4096, desc: 0n, last_avail_idx: 0, transport: { vector: 0 } }],
    legacy: {},
    device: {},
    virtio: {
      device_endian: { device_endian: 1 },
      features128: { guest_features: 0n },
      features64: { guest_features: 5n },
      virtqueues: { vq: Array.from({ length: maxQueues }, () => ({ avail: 0n, used: 0n })) },
      ringsize: { num_default: sizes },
      broken: { broken: false },
      extra_state: { extra_state: { word: 0 } },
      started: { started: false },
      packed_virtqueues: { vq: Array.from({ length: maxQueues }, () => ({ ...fresh })) },
      disabled: { disabled: false },
    },
  };
  change(state);
  return state;
}

const set = (change: (virtio: State["virtio"], state: State) => void) => plain((state) => change(state.virtio, state));
const header = (name: string): number[] => [5, name.length, ...Array.from(name, (c) => c.charCodeAt(0)), 0, 0, 0, 1];
const bare = encodeState(section({}), plain()).length;

interface Row {
  readonly name: string;
  /** In the state. */
  readonly key: keyof State["virtio"];
  readonly parameters?: Partial<VirtioParameters>;
  readonly extraNeeded?: boolean;
  readonly only?: VirtioDialect;
  readonly state: State;
  readonly body: readonly number[];
}

const zeros = (length: number): number[] => new Array<number>(length).fill(0);
const high = (bits: bigint): number[] =>
  Array.from({ length: 8 }, (_, i) => Number((bits >> BigInt(56 - 8 * i)) & 0xffn));

/** With each, what makes it travel, and nothing else does. */
const rows: readonly Row[] = [
  {
    name: "device_endian",
    key: "device_endian",
    state: set((virtio) => {
      virtio.device_endian.device_endian = 2;
    }),
    body: [2],
  },
  {
    name: "128bit_features",
    key: "features128",
    parameters: { hostFeatures: 1n << 70n },
    only: "10.0",
    state: set((virtio) => {
      virtio.features128.guest_features = 64n;
    }),
    body: high(64n),
  },
  {
    name: "64bit_features",
    key: "features64",
    parameters: { hostFeatures: feature.RING_RESET },
    state: set((virtio) => {
      virtio.features64.guest_features = feature.RING_RESET | 5n;
    }),
    body: high(feature.RING_RESET | 5n),
  },
  {
    name: "ringsize",
    key: "ringsize",
    state: set((virtio) => {
      virtio.ringsize.num_default[0] = 16;
    }),
    body: [0, 0, 0, 16, ...zeros(4 * (maxQueues - 1))],
  },
  {
    name: "broken",
    key: "broken",
    state: set((virtio) => {
      virtio.broken.broken = true;
    }),
    body: [1],
  },
  {
    name: "extra_state",
    key: "extra_state",
    extraNeeded: true,
    state: set((virtio) => {
      virtio.extra_state.extra_state.word = 0x01020304;
    }),
    body: [1, 2, 3, 4],
  },
  {
    name: "started",
    key: "started",
    state: set((virtio) => {
      virtio.started.started = true;
    }),
    body: [1],
  },
  {
    name: "disabled",
    key: "disabled",
    state: set((virtio) => {
      virtio.disabled.disabled = true;
    }),
    body: [1],
  },
];

describe.each(rows)("virtio/$name", ({ name, key, parameters = {}, extraNeeded = false, only, state, body }) => {
  it.each(only === undefined ? dialects : [only])(
    "travels alone where it is needed, in the dialect of %s",
    (dialect) => {
      const description = section({ ...parameters, dialect }, extraNeeded);
      const bytes = encodeState(description, state);
      expect(Array.from(bytes.subarray(bare))).toEqual([...header(`virtio/${name}`), ...body]);
      expect(decodeState(description, bytes)).toEqual(state);
    },
  );

  it("stays away where it is not, and its absence says the same", () => {
    for (const dialect of dialects) {
      const description = section({ dialect });
      const bytes = encodeState(description, plain());
      expect(bytes.length).toBe(bare);
      expect(decodeState(description, bytes).virtio[key]).toEqual(plain().virtio[key]);
    }
  });

  it("is read whatever this device would send", () => {
    const bytes = encodeState(section(parameters, extraNeeded), state);
    for (const dialect of dialects) {
      const read = decodeState(section({ dialect }), bytes);
      expect(read.virtio[key]).toEqual(state.virtio[key]);
    }
  });

  it("of another version is refused", () => {
    const bytes = encodeState(section(parameters, extraNeeded), state);
    bytes[bare + header(`virtio/${name}`).length - 1] = 2;
    expect(() => decodeState(section(parameters), bytes)).toThrow(
      expect.objectContaining({ code: "SUBSECTION_VERSION" }),
    );
  });
});

describe("by what is offered, whatever was negotiated", () => {
  const sent = (hostFeatures: bigint, dialect: VirtioDialect, state = plain()): string[] => {
    const description = section({ hostFeatures, dialect });
    return Object.keys(decodeRecord(description, encodeState(description, state))["virtio"] as object);
  };

  it.each(dialects)("travel addresses and indices of all 1,024 queues, in the dialect of %s", (dialect) => {
    expect(sent(feature.VERSION_1, dialect)).toEqual(["features64", "virtqueues"]);
    expect(sent(feature.RING_PACKED, dialect)).toEqual(["features64", "packed_virtqueues"]);
    expect(sent(feature.RING_RESET, dialect)).toEqual(["features64"]);
    expect(sent(0xffff_ffffn, dialect)).toEqual([]);
    const state = set((virtio) => {
      virtio.features64.guest_features = 5n;
      (virtio.virtqueues.vq[1] as { used: bigint }).used = 0x0102030405060708n;
      virtio.packed_virtqueues.vq[1] = {
        last_avail_idx: 0x0102,
        last_avail_wrap_counter: false,
        used_idx: 0x0304,
        used_wrap_counter: true,
        inuse: 0x05060708,
      };
    });
    const description = section({ hostFeatures: feature.VERSION_1 | feature.RING_PACKED, dialect });
    const bytes = Array.from(encodeState(description, state)).slice(bare);
    expect(bytes).toEqual([
      ...header("virtio/64bit_features"),
      ...high(5n),
      ...header("virtio/virtqueues"),
      ...zeros(24),
      ...[1, 2, 3, 4, 5, 6, 7, 8],
      ...zeros(16 * 1022),
      ...header("virtio/packed_virtqueues"),
      ...[0, 0, 1, 0, 0, 1, 0, 0, 0, 0],
      ...[1, 2, 0, 3, 4, 1, 5, 6, 7, 8],
      ...Array.from({ length: 1022 }, () => [0, 0, 1, 0, 0, 1, 0, 0, 0, 0]).flat(),
    ]);
    expect(decodeState(description, Uint8Array.from(encodeState(description, state)))).toEqual(state);
  });

  it("features from bit 64 on are 10.0's; 7.2 has no word for them", () => {
    expect(sent(1n << 64n, "10.0")).toEqual(["features128"]);
    expect(sent(1n << 64n, "7.2")).toEqual([]);
    const accepted = set((virtio) => {
      virtio.features128.guest_features = 1n;
    });
    expect(sent(1n << 64n, "10.0", accepted)).toEqual(["features128"]);
    expect(() => sent(1n << 64n, "7.2", accepted)).toThrow(expect.objectContaining({ code: "ABSENT_MISMATCH" }));
  });

  it("a source that sends no 64bit_features has not negotiated VERSION_1", () => {
    const read = decodeState(section({ hostFeatures: feature.VERSION_1 }), encodeState(section({}), plain()));
    expect(read.virtio.features64).toEqual({ guest_features: 5n });
  });
});

describe("of virtio/device_endian", () => {
  const sent = (deviceEndian: number, negotiated: bigint, targetEndian: "little" | "big"): boolean => {
    const state = set((virtio) => {
      virtio.device_endian.device_endian = deviceEndian;
      virtio.features64.guest_features = negotiated;
    });
    const description = section({ hostFeatures: feature.VERSION_1, targetEndian });
    return "device_endian" in (decodeRecord(description, encodeState(description, state))["virtio"] as object);
  };

  it.each([
    [1, 0n, "little", false],
    [2, 0n, "little", true],
    [1, 0n, "big", true],
    [2, 0n, "big", false],
    [1, feature.VERSION_1, "little", false],
    [1, feature.VERSION_1, "big", false],
    [2, feature.VERSION_1, "little", true],
    [2, feature.VERSION_1, "big", true],
  ] as const)("%i with features %i on a target that is %s: %s", (deviceEndian, negotiated, targetEndian, travels) => {
    expect(sent(deviceEndian, negotiated, targetEndian)).toBe(travels);
  });
});

describe("bounds", () => {
  const codeOf = (work: () => unknown): string | undefined => {
    try {
      work();
      return undefined;
    } catch (error) {
      if (isMigrationError(error)) return `${error.code} ${error.location.path}`;
      throw error;
    }
  };
  const bytes = encodeState(section({}), plain());
  const changed = (at: number, ...values: number[]): Uint8Array => {
    const copy = bytes.slice();
    copy.set(values, at);
    return copy;
  };
  const queueSelectAt = 5 + 2;
  const queueCountAt = queueSelectAt + 2 + 4 + 4;

  it("queue_sel is below 1,024", () => {
    expect(decodeState(section({}), changed(queueSelectAt, 3, 255)).queue_sel).toBe(1023);
    expect(codeOf(() => decodeState(section({}), changed(queueSelectAt, 4, 0)))).toBe("FIELD_CHECK queue_sel");
  });

  it("queues are at most 1,024", () => {
    const queue = bytes.subarray(queueCountAt + 4, queueCountAt + 20);
    const many = (count: number): Uint8Array => {
      const head = changed(queueCountAt, 0, 0, count >> 8, count & 0xff).subarray(0, queueCountAt + 4);
      return Uint8Array.from([...head, ...Array.from({ length: count }, () => Array.from(queue)).flat()]);
    };
    expect(decodeState(section({}), many(1024)).vqs).toHaveLength(1024);
    expect(codeOf(() => decodeState(section({}), many(1025)))).toBe("COUNT_BOUND vqs");
  });
});

// The ports' bytes: what QEMU 7.2 wrote for devices of several shapes, what is inferred from it, and what is refused.
import { decodeRecord, encodeRecord, encodeState, isMigrationError, toState, vmstate } from "@godwit/core";
import { elementBlobBytes, type VirtioClassFacts } from "@godwit/virtio-core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeControl, message, parseControl } from "../src/control.ts";
import { virtioConsole } from "../src/model.ts";
import { inferSerialParameters } from "../src/section.ts";
import { noElement, type SerialParameters, serialState, type VirtioSerialState } from "../src/serial-state.ts";
import { terminal } from "./support/serial-driver.ts";

const of = (parameters: SerialParameters) =>
  vmstate({ name: "(serial)", version: 3, fields: { legacy: serialState(parameters) } });

const hexBytes = (hex: string): Uint8Array =>
  Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

/** 64-bit little-endian hosts: out_addr[0] and out_sg[0].length stand here. */
const [outAddressAt, outLengthAt] = [16 + 8192, 16 + 32768 + 8];

/** Saved while the host's end was full: the 7 bytes of "port 9\n" are taken and not written. */
function halfTaken(): Uint8Array {
  const head = hexBytes("000000000000001f000000030000000100000001000100000001000000000000000000000000");
  const bytes = new Uint8Array(head.length + elementBlobBytes);
  bytes.set(head);
  const view = new DataView(bytes.buffer, head.length);
  view.setUint32(4, 1, true);
  view.setBigUint64(outAddressAt, 0xfff1f888n, true);
  view.setBigUint64(outLengthAt, 7n, true);
  return bytes;
}

const closed = { guest_connected: 0, host_connected: 0, elem_popped: 0, iov_idx: 0, iov_offset: 0, element: noElement };
const cases: { what: string; bytes: Uint8Array; maxPorts: number; state: Partial<VirtioSerialState> }[] = [
  {
    what: "max_ports=1 and a console",
    bytes: hexBytes("0000000000000001000000010000000100000000000100000000"),
    maxPorts: 1,
    state: { max_nr_ports: 1, ports_map: Uint32Array.of(1), ports: [{ ...closed, id: 0, host_connected: 1 }] },
  },
  {
    what: "max_ports=40, ports 33, 5 and 0 in the order of the command line",
    bytes: hexBytes(
      "0000000000000028000000210000000200000003000000210000000000000000000500010000000000000000000100000000",
    ),
    maxPorts: 40,
    state: {
      max_nr_ports: 40,
      ports_map: Uint32Array.of(0x21, 2),
      nr_active_ports: 3,
      ports: [
        { ...closed, id: 33 },
        { ...closed, id: 5, host_connected: 1 },
        { ...closed, id: 0, host_connected: 1 },
      ],
    },
  },
  {
    what: "max_ports=3 and no port: place 0 is kept all the same",
    bytes: hexBytes("00000000000000030000000100000000"),
    maxPorts: 3,
    state: { ports_map: Uint32Array.of(1), nr_active_ports: 0, ports: [] },
  },
  {
    what: "half-taken output",
    bytes: halfTaken(),
    maxPorts: 31,
    state: {
      ports_map: Uint32Array.of(3),
      ports: [
        {
          id: 1,
          // Linux has closed it since, but what it wrote is still to come.
          guest_connected: 0,
          host_connected: 1,
          elem_popped: 1,
          iov_idx: 0,
          iov_offset: 0,
          element: { index: 0, out: [{ address: 0xfff1f888, length: 7 }], in: [] },
        },
      ],
    },
  },
];

const queue = { num: 128, align: 4096, desc: 0n, last_avail_idx: 0, transport: {} };

function facts(tail: Uint8Array, queues: number, config: Uint8Array = new Uint8Array(12)): VirtioClassFacts {
  return { status: 15, guestFeatures: 0, config, queues: new Array(queues).fill(queue), tail };
}

function inferred(from: VirtioClassFacts): unknown {
  try {
    return inferSerialParameters(from);
  } catch (error) {
    return isMigrationError(error) ? [error.code, error.location.path] : error;
  }
}

const withConfig = (maxPorts: number, littleEndian = true): Uint8Array => {
  const config = new Uint8Array(12);
  new DataView(config.buffer).setUint32(4, maxPorts, littleEndian);
  return config;
};
const footer = [0x7e, 0, 0, 0, 9];
const subsection = [0x05, 0x15, ...Array.from("virtio/64bit_features", (one) => one.charCodeAt(0))];
const join = (...parts: (Uint8Array | number[])[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]));

describe.each(cases)("QEMU's $what", ({ bytes, maxPorts, state }) => {
  it("is read and written back", () => {
    const description = of({ maxPorts, packed: false });
    const record = decodeRecord(description, bytes);
    expect(Buffer.compare(encodeRecord(description, record), bytes)).toBe(0);
    const found = toState(description, record);
    expect(found.legacy).toMatchObject(state);
    expect(Buffer.compare(encodeState(description, found), bytes)).toBe(0);
  });

  it("tells its parameters, in front of subsections or the footer, whether a guest has read the configuration or not", () => {
    const queues = 2 * (maxPorts + 1);
    const expected = { maxPorts, packed: false };
    expect(inferred(facts(join(bytes, footer), queues))).toEqual(expected);
    expect(inferred(facts(join(bytes, subsection), queues, withConfig(maxPorts)))).toEqual(expected);
    expect(inferred(facts(bytes, queues, withConfig(maxPorts, false)))).toEqual(expected);
    expect(inferred(facts(bytes, queues, withConfig(maxPorts + 1)))).toEqual(["PARAMETER_WRONG", "maxPorts"]);
    expect(inferred(facts(join(bytes, [1, 2, 3]), queues))).toEqual(["PARAMETER_WRONG", "maxPorts"]);
    expect(inferred(facts(bytes.subarray(0, -1), queues))).toEqual(["PARAMETER_WRONG", "maxPorts"]);
  });
});

describe("parameters", () => {
  const port = { ...closed, id: 1, elem_popped: 1, iov_idx: 1, iov_offset: 2 };
  const element = { index: 5, out: [{ address: 64, length: 16 }], in: [], ndescs: 3 };
  const state = (ports: VirtioSerialState["ports"]): { legacy: VirtioSerialState } => ({
    legacy: { cols: 0, rows: 0, max_nr_ports: 3, ports_map: Uint32Array.of(3), nr_active_ports: ports.length, ports },
  });

  it("tell elements with and without a count of slots", () => {
    const packed = encodeState(of({ maxPorts: 3, packed: true }), state([{ ...port, element }]));
    expect(inferred(facts(join(packed, footer), 8))).toEqual({ maxPorts: 3, packed: true });
    const split = encodeState(of({ maxPorts: 3, packed: false }), state([{ ...port, element }]));
    expect(packed.length).toBe(split.length + 4);
    expect(inferred(facts(join(split, footer), 8))).toEqual({ maxPorts: 3, packed: false });
    // Bytes that end where either would: nobody can tell.
    expect(inferred(facts(join(split, [0x7e, 0, 0, 0, 0x7e]), 8))).toEqual(["PARAMETER_AMBIGUOUS", "packed"]);
  });

  it("are no odd number of queues, no two, and no more than there can be", () => {
    const bytes = encodeState(of({ maxPorts: 3, packed: false }), state([]));
    for (const queues of [0, 2, 7, 1026])
      expect(inferred(facts(bytes, queues))).toEqual(["PARAMETER_WRONG", "maxPorts"]);
    const many = encodeState(of({ maxPorts: 511, packed: false }), {
      legacy: { ...state([]).legacy, ports_map: new Uint32Array(16) },
    });
    expect(inferred(facts(join(many, footer), 1024))).toEqual({ maxPorts: 511, packed: false });
    expect(many.length).toBe(8 + 64 + 4);
  });

  it("bound the number of ports", () => {
    const description = of({ maxPorts: 3, packed: false });
    const bytes = hexBytes("00000000000000030000000300000004");
    expect(() => decodeRecord(description, bytes)).toThrow(expect.objectContaining({ code: "COUNT_BOUND" }));
    expect(inferred(facts(bytes, 8))).toEqual(["PARAMETER_WRONG", "maxPorts"]);
  });
});

it("a big-endian legacy driver has its numbers turned round, in the section and in messages", () => {
  const model = virtioConsole({ ports: [terminal({ id: 33, open: false })], maxPorts: 40 });
  model.attach?.({ littleEndian: false } as never);
  // Of `virtio-serial-ccw,max_ports=40` with a `virtserialport,nr=33`, before its guest began.
  const bytes = hexBytes("00000000280000000000000100000002000000010000002100000000" + "0000");
  const description = of({ maxPorts: 40, packed: false });
  expect(encodeState(description, { legacy: model.saveLegacy?.() as VirtioSerialState })).toEqual(bytes);
  const resize = message.resize(33, { cols: 80, rows: 25 });
  expect([...encodeControl(resize, false)]).toEqual([0, 0, 0, 33, 0, 5, 0, 1, 0, 80, 0, 25]);
  expect(parseControl(Uint8Array.of(0, 0, 0, 33, 0, 6, 0, 1), false)).toEqual({ port: 33, event: 6, value: 1 });
});

it("any state comes back", () => {
  const segment = fc.record({ address: fc.maxSafeNat(), length: fc.nat(0xffffffff) });
  const element = fc.record({
    index: fc.nat(127),
    out: fc.array(segment, { minLength: 1, maxLength: 4 }),
    in: fc.constant([]),
  });
  const port = fc.oneof(
    fc
      .record({ id: fc.nat(69), guest_connected: fc.nat(255), host_connected: fc.nat(255) })
      .map((one) => ({ ...closed, ...one })),
    fc.record({
      id: fc.nat(69),
      guest_connected: fc.nat(1),
      host_connected: fc.nat(1),
      elem_popped: fc.integer({ min: 1, max: 0xffffffff }),
      iov_idx: fc.nat(0xffffffff),
      iov_offset: fc.maxSafeNat(),
      element,
    }),
  );
  const description = of({ maxPorts: 70, packed: false });
  fc.assert(
    fc.property(
      fc.array(port, { maxLength: 5 }),
      fc.uint32Array({ minLength: 3, maxLength: 3 }),
      (ports, ports_map) => {
        const legacy = { cols: 80, rows: 25, max_nr_ports: 70, ports_map, nr_active_ports: ports.length, ports };
        const bytes = encodeState(description, { legacy });
        expect(toState(description, decodeRecord(description, bytes))).toEqual({ legacy });
        expect(inferred(facts(join(bytes, footer), 142))).toEqual({ maxPorts: 70, packed: false });
      },
    ),
    { seed: 70, numRuns: 40 },
  );
});

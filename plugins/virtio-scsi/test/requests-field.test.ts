// The section of a disk and its requests in flight, byte by byte: as QEMU wrote them, and whatever else they may be.
import {
  Cursor,
  decodeRecord,
  decodeState,
  encodeRecord,
  encodeState,
  isMigrationError,
  recordDecoder,
  type SectionSample,
} from "@godwit/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ScsiDiskParameters, type ScsiDiskState, scsiDisk, scsiDiskFamily } from "../src/disk-state.ts";
import type { CarriedScsiRequest } from "../src/requests-field.ts";
import { sectionBytes, written } from "./support/written.ts";

const one = { queues: 1, packed: false };
const sampleOf = (bytes: Uint8Array): SectionSample => ({
  idstr: "0000:00:04.0/0:1:2/scsi-disk",
  instance: 0,
  version: 1,
  bytes,
});
const noData = new Uint8Array(0);

function codeOf(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return isMigrationError(error) ? [error.code, error.location.path] : error;
  }
  return undefined;
}

const requestsOf = (bytes: Uint8Array, parameters: ScsiDiskParameters): CarriedScsiRequest[] =>
  decodeState(scsiDisk(parameters), bytes).qdev.requests;

/** What QEMU stopped at: the sector, how many, and no buffer, since virtio gives it the guest's memory. */
const stopped = { retry: true, tag: 0x5566_7788, lun: 2, buflen: 0, data_len: 0, data: noData };
const expected = {
  read10: { ...stopped, queue: 0, sector: 5n, sector_count: 2 },
  write10: { ...stopped, queue: 2, sector: 5n, sector_count: 2 },
  writeAndVerify16: { ...stopped, queue: 0, sector: 5n, sector_count: 2 },
  writeSame10: { ...stopped, queue: 0, sector: 0n, sector_count: 0 },
  synchronize: { queue: 0, lun: 2, retry: true, sector: 0n, sector_count: 0 },
  writeWithBuffer: { ...stopped, queue: 0, sector: 5n, sector_count: 2, buflen: 2048, data: sequence(1024) },
  readWithData: {
    ...stopped,
    retry: false,
    queue: 0,
    sector: 5n,
    sector_count: 2,
    buflen: 1024,
    data_len: 512,
    data: new Uint8Array(512),
  },
  longSense: { ...stopped, queue: 0, sector: 5n, sector_count: 2 },
  packed: { ...stopped, queue: 0, sector: 5n, sector_count: 2 },
};

function sequence(bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => i & 255);
}

describe("a section that QEMU wrote with a request in flight", () => {
  it.each(Object.keys(written) as (keyof typeof written)[])("%s: is understood, and comes back", (name) => {
    const bytes = sectionBytes(written[name]);
    const parameters = scsiDiskFamily.infer(sampleOf(bytes));
    expect(parameters).toEqual({ queues: name === "write10" ? 3 : 1, packed: name === "packed" });
    const description = scsiDiskFamily.build(parameters);
    const record = decodeRecord(description, bytes);
    expect(Buffer.compare(encodeRecord(description, record), bytes)).toBe(0);
    const state = decodeState(description, bytes);
    expect(state.qdev.requests).toHaveLength(1);
    expect(state.qdev.requests[0]).toMatchObject(expected[name]);
    // Header and answer of the driver's chain, and data where it goes.
    const { element } = state.qdev.requests[0] as CarriedScsiRequest;
    expect([element.out[0]?.length, element.in[0]?.length]).toEqual([51, 108]);
  });

  it("has so many bytes of sense data in the section, and the others in a subsection", () => {
    const description = scsiDisk(one);
    const { qdev } = decodeState(description, sectionBytes(written.longSense));
    expect([qdev.sense_len, qdev.sense.length, qdev.longSense.sense.length]).toEqual([252, 96, 156]);
    expect([...qdev.longSense.sense]).toEqual([...sequence(157).subarray(1)]);
    expect(decodeState(description, sectionBytes(written.read10)).qdev).toMatchObject({
      sense_len: 0,
      longSense: { sense: new Uint8Array(156) },
    });
  });

  it("is read the same byte by byte", () => {
    const bytes = sectionBytes(written.readWithData);
    const decoder = recordDecoder(scsiDisk(one), 1);
    const cursor = new Cursor();
    let done = 0;
    // A subsection may follow: only the byte behind the section tells that there is none.
    for (const byte of [...bytes, 0x7e]) {
      cursor.append(Uint8Array.of(byte));
      if (decoder.resume(cursor)) break;
      cursor.release();
      done++;
    }
    expect(done).toBe(bytes.length);
    expect(decoder.value()).toEqual(decodeRecord(scsiDisk(one), bytes));
  });
});

describe("a section that cannot be", () => {
  const at = { sense_len: 100, marker: 104, opcode: 105, queue: 105 + 24, count: 105 + 28 + 49168 + 8 };
  const changed = (name: keyof typeof written, offset: number, ...bytes: number[]): Uint8Array => {
    const section = sectionBytes(written[name]);
    section.set(bytes, offset);
    return section;
  };

  it.each([
    ["longer sense data than there is room for", changed("longSense", at.sense_len, 0, 0, 0, 253), "qdev.sense_len"],
    ["a marker that is none", changed("read10", at.marker, 3), "qdev.requests[0]"],
    ["a queue that is none", changed("read10", at.queue, 0, 0, 0, 1), "qdev.requests[0].queue"],
    ["more segments than a chain has", changed("read10", at.queue + 8, 1, 4), "qdev.requests[0].element.blob"],
    [
      "more data than a request may have",
      changed("readWithData", at.count + 8, 4, 0, 0, 1),
      "qdev.requests[0].data_len",
    ],
  ])("%s", (_, bytes, path) => {
    expect(codeOf(() => decodeState(scsiDisk(one), bytes))).toEqual(["FIELD_CHECK", path]);
  });

  it("data beyond any request, which is not allocated", () => {
    const bytes = changed("writeWithBuffer", at.count, 0x10, 0, 0, 0, 0x40, 0, 0, 0);
    expect(codeOf(() => decodeState(scsiDisk(one), bytes))).toEqual(["LENGTH_BOUND", "qdev.requests[0].data"]);
  });

  it("an end in the middle", () => {
    const bytes = sectionBytes(written.read10);
    expect(codeOf(() => decodeState(scsiDisk(one), bytes.subarray(0, 105 + 8)))).toEqual([
      "STREAM_TRUNCATED",
      "qdev.requests[0].cdb",
    ]);
  });

  it("more requests than the queues hold", () => {
    const description = scsiDisk(one);
    const state = decodeState(description, sectionBytes(written.synchronize));
    const [request] = state.qdev.requests as [CarriedScsiRequest];
    const requests = new Array<CarriedScsiRequest>(1025).fill(request);
    const bytes = encodeState(description, { ...state, qdev: { ...state.qdev, requests } });
    expect(codeOf(() => decodeState(description, bytes))).toEqual(["COUNT_BOUND", "qdev.requests[1024]"]);
  });

  it("an opcode that moves blocks in a request that does not", () => {
    const bytes = changed("writeSame10", at.opcode, 0x2a);
    expect(codeOf(() => decodeState(scsiDisk(one), bytes))).toEqual(["STREAM_TRUNCATED", "qdev.requests[0].sector"]);
  });
});

describe("any requests", () => {
  const bytes = (least: number, most: number) => fc.uint8Array({ minLength: least, maxLength: most });
  const segment = fc.record({ address: fc.maxSafeNat(), length: fc.nat(0xffff_ffff) });
  const element = fc.record({
    index: fc.nat(0xffff),
    out: fc.array(segment, { maxLength: 5 }),
    in: fc.array(segment, { maxLength: 5 }),
  });
  const base = { tag: fc.nat(0xffff_ffff), lun: fc.nat(16383), queue: fc.nat(7), element };
  const none = {
    sector: fc.constant(0n),
    sector_count: fc.constant(0),
    buflen: fc.constant(0),
    data_len: fc.constant(0),
  };
  const withCode = (codes: readonly number[]) =>
    fc.tuple(fc.constantFrom(...codes), bytes(15, 15)).map(([code, rest]) => Uint8Array.of(code, ...rest));
  const other = fc.record({
    ...base,
    ...none,
    retry: fc.boolean(),
    cdb: withCode([0x00, 0x2f, 0x35, 0x41, 0x42, 0x8f, 0x93, 0xa0, 0xaf, 0xff]),
    data: fc.constant(noData),
  });
  const moving = { sector: fc.bigInt(0n, (1n << 64n) - 1n), sector_count: fc.nat(3) };
  const read = fc
    .record({ ...base, ...moving, retry: fc.boolean(), cdb: withCode([0x08, 0x28, 0x88, 0xa8]), data: bytes(0, 64) })
    .map((request) => {
      const data = request.retry ? noData : request.data;
      return { ...request, data, data_len: data.length, buflen: data.length === 0 ? 0 : 64 };
    });
  const codes = [0x0a, 0x2a, 0x8a, 0xaa, 0x2e, 0x8e, 0xae];
  const write = fc
    .record({ ...base, ...moving, retry: fc.boolean(), cdb: withCode(codes), buflen: fc.nat(2048) })
    .map((request) => {
      const length = Math.min(request.buflen, 512 * request.sector_count);
      return { ...request, data_len: 0, data: sequence(length) };
    });

  it.each([false, true])("come back (packed: %s)", (packed) => {
    fc.assert(
      fc.property(fc.array(fc.oneof(other, read, write), { maxLength: 4 }), (made) => {
        const requests = made.map((request) => ({
          ...request,
          element: packed ? { ...request.element, ndescs: 3 } : request.element,
        }));
        const description = scsiDisk({ queues: 8, packed });
        const state: ScsiDiskState = {
          ...decodeState(scsiDisk(one), sectionBytes(written.longSense)),
          media_event: true,
        };
        const whole = { ...state, qdev: { ...state.qdev, requests } };
        const section = encodeState(description, whole);
        expect(decodeState(description, section)).toEqual(whole);
        expect(Buffer.compare(encodeRecord(description, decodeRecord(description, section)), section)).toBe(0);
        const perElement = 1 + 28 + 49168 + (packed ? 4 : 0);
        expect(section.length).toBeGreaterThanOrEqual(104 + perElement * requests.length + 1 + 5);
        if (requests.length > 0) {
          const queues = Math.max(...requests.map(({ queue }) => queue + 1));
          expect(scsiDiskFamily.infer(sampleOf(section))).toEqual({ queues, packed });
        }
      }),
      { seed: 20261121, numRuns: 25 },
    );
  });

  it("in a queue that the adapter does not have are refused when they are written", () => {
    const state = decodeState(scsiDisk({ queues: 3, packed: false }), sectionBytes(written.write10));
    expect(
      requestsOf(encodeState(scsiDisk({ queues: 3, packed: false }), state), { queues: 3, packed: false }),
    ).toEqual(state.qdev.requests);
    expect(codeOf(() => encodeState(scsiDisk({ queues: 2, packed: false }), state))).toEqual([
      "FIELD_CHECK",
      "qdev.requests[0].queue",
    ]);
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { loadDigests } from "../src/godwit/digest.ts";
import {
  FrameReader,
  FrameWriter,
  frameHeaderBytes,
  frameType,
  maxControlFrameBytes,
  maxStreamFrameBytes,
} from "../src/godwit/framing.ts";
import { encodeMagic, MagicReader } from "../src/godwit/magic.ts";
import { concat } from "./support/machine.ts";

const seed = 20_261_121;
const digests = await loadDigests();

interface Frame {
  readonly type: number;
  readonly payload: Uint8Array;
}

/** One after the other, as one side sends them. */
function bytesOf(frames: readonly Frame[]): Uint8Array {
  const writer = new FrameWriter(digests);
  return concat(frames.flatMap(({ type, payload }) => [writer.head(type, payload).header, payload]));
}

/** What a reader makes of the bytes, given in these pieces. */
function read(pieces: readonly Uint8Array[]): { events: Frame[]; reader: FrameReader } {
  const events: Frame[] = [];
  const reader = new FrameReader(digests, {
    control: (payload) => events.push({ type: frameType.control, payload: payload.slice() }),
    stream: (payload) => events.push({ type: frameType.stream, payload: payload.slice() }),
  });
  for (const piece of pieces) {
    reader.push(piece);
    piece.fill(0xee);
  }
  return { events, reader };
}

function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] as number;
    pieces.push(bytes.slice(at, at + size));
    at += size;
  }
  return pieces;
}

const frame = fc.record({
  type: fc.constantFrom(frameType.control, frameType.stream),
  payload: fc.uint8Array({ minLength: 1, maxLength: 300 }),
});

/** A header that its writer would refuse to make; its check is right. */
function forgedHeader(type: number, length: number): Uint8Array {
  const header = new FrameWriter(digests).head(frameType.control, Uint8Array.of(1)).header;
  const view = new DataView(header.buffer);
  header[0] = type;
  view.setUint32(8, length);
  view.setUint32(20, Number(digests.of(header.subarray(0, 20)) & 0xffff_ffffn));
  return header;
}

describe("frames", () => {
  it("are the same however they are cut", () => {
    const pieces = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 10 });
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 20 }), pieces, (frames, sizes) => {
        const { events, reader } = read(cut(bytesOf(frames), sizes));
        expect(events).toEqual(frames);
        expect(reader.atBoundary).toBe(true);
        expect(reader.heldBytes).toBe(0);
      }),
      { seed, numRuns: 200 },
    );
  });

  it("have the layout that their table says", () => {
    const writer = new FrameWriter(digests);
    writer.control(Uint8Array.of(1));
    const bytes = writer.control(Uint8Array.of(0x61, 0x62, 0x63));
    // xxHash64 of "abc", as published.
    const digest = [0x44, 0xbc, 0x2c, 0xf5, 0xad, 0x77, 0x09, 0x99];
    expect(Array.from(bytes.subarray(0, 20))).toEqual([1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3, ...digest]);
    expect(Array.from(bytes.subarray(24))).toEqual([0x61, 0x62, 0x63]);
    expect(new DataView(bytes.buffer).getUint32(20)).toBe(Number(digests.of(bytes.subarray(0, 20)) & 0xffff_ffffn));
  });

  it("with any bit changed are refused, and nothing of them is handed on", () => {
    const payload = Uint8Array.from({ length: 40 }, (_, i) => i);
    const whole = bytesOf([{ type: frameType.stream, payload }]);
    for (let bit = 0; bit < 8 * whole.length; bit++) {
      const changed = whole.slice();
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      let handedOn = 0;
      const count = (): void => {
        handedOn++;
      };
      const reader = new FrameReader(digests, { control: count, stream: count });
      expect(() => reader.push(changed), `bit ${bit}`).toThrow(expect.objectContaining({ code: "DIGEST_MISMATCH" }));
      expect(handedOn).toBe(0);
    }
  });

  it("lost, doubled or out of turn are refused", () => {
    const frames = [1, 2, 3].map((byte): Frame => ({ type: frameType.control, payload: Uint8Array.of(byte) }));
    const bytes = bytesOf(frames);
    const [a, b, c] = [0, 1, 2].map((i) => bytes.slice(i * 25, (i + 1) * 25)) as [Uint8Array, Uint8Array, Uint8Array];
    for (const order of [[b], [a, a], [a, c], [b, a, c]]) {
      expect(() => read(order.map((piece) => piece.slice()))).toThrow(
        expect.objectContaining({ code: "PROTOCOL_ORDER" }),
      );
    }
    expect(read([a, b, c]).events.length).toBe(3);
  });

  it("are refused, with their place, when type or length cannot be", () => {
    const cases: [type: number, length: number][] = [
      [0, 1],
      [3, 1],
      [255, 1],
      [1, 0],
      [2, 0],
      [1, maxControlFrameBytes + 1],
      [2, maxStreamFrameBytes + 1],
      [2, 0xffffffff],
    ];
    for (const [type, length] of cases) {
      expect(() => read([forgedHeader(type, length)]), `${type} ${length}`).toThrow(
        expect.objectContaining({ code: "PROTOCOL_FRAME" }),
      );
    }
    const second = concat([bytesOf([{ type: frameType.stream, payload: new Uint8Array(3) }]), new Uint8Array(24)]);
    expect(() => read([second])).toThrow(expect.objectContaining({ location: { offset: frameHeaderBytes + 3 } }));
  });

  it("stay as they are until the next push, though one push ends a gathered frame and begins another", () => {
    const payloads = [1, 2, 3, 4, 5].map((byte) => new Uint8Array(1000).fill(byte));
    const bytes = bytesOf(payloads.map((payload) => ({ type: frameType.stream, payload })));
    // Each push ends in the middle of a frame: all but those between are gathered.
    for (const pieceBytes of [700, 1024, 1500, 2500]) {
      const seen: Uint8Array[] = [];
      let handedOn: Uint8Array[] = [];
      const reader = new FrameReader(digests, {
        control: () => expect.unreachable(),
        stream: (payload) => handedOn.push(payload),
      });
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        reader.push(bytes.slice(at, at + pieceBytes));
        seen.push(...handedOn.map((payload) => payload.slice()));
        handedOn = [];
      }
      expect(seen).toEqual(payloads);
    }
  });

  it("too long to be sent are refused here, not there", () => {
    const writer = new FrameWriter(digests);
    expect(() => writer.control(new Uint8Array(maxControlFrameBytes + 1))).toThrow(
      expect.objectContaining({ code: "PROTOCOL_FRAME" }),
    );
    expect(() => writer.head(frameType.stream, new Uint8Array(maxStreamFrameBytes + 1))).toThrow(
      expect.objectContaining({ code: "PROTOCOL_FRAME" }),
    );
  });
});

describe("the opening", () => {
  it("is GDWT and version 2, and what follows is handed on", () => {
    expect(Array.from(encodeMagic())).toEqual([0x47, 0x44, 0x57, 0x54, 0, 0, 0, 2]);
    for (let at = 0; at <= 10; at++) {
      const bytes = concat([encodeMagic(), Uint8Array.of(1, 2)]);
      const reader = new MagicReader();
      const first = reader.push(bytes.subarray(0, at));
      const rest = at < 8 ? reader.push(bytes.subarray(at)) : bytes.subarray(at);
      expect(concat([first ?? new Uint8Array(0), rest ?? new Uint8Array(0)])).toEqual(Uint8Array.of(1, 2));
    }
  });

  it("is refused at its first wrong byte", () => {
    for (let wrong = 0; wrong < 4; wrong++) {
      const reader = new MagicReader();
      const bytes = encodeMagic();
      bytes[wrong] = 0;
      for (let i = 0; i < wrong; i++) expect(reader.push(bytes.slice(i, i + 1))).toBeUndefined();
      expect(() => reader.push(bytes.slice(wrong, wrong + 1))).toThrow(expect.objectContaining({ code: "PEER_KIND" }));
    }
  });
});

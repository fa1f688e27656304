import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  controlFrame,
  FrameReader,
  frameHeaderBytes,
  frameType,
  maxControlFrameBytes,
  maxStreamFrameBytes,
  writeFrameHeader,
} from "../src/framing.ts";
import { encodeMagic, MagicReader } from "../src/magic.ts";
import { concat } from "./support/machine.ts";

const seed = 20_261_121;

interface Frame {
  readonly type: number;
  readonly payload: Uint8Array;
}

function bytesOf({ type, payload }: Frame): Uint8Array {
  const bytes = new Uint8Array(frameHeaderBytes + payload.length);
  writeFrameHeader(bytes, type, payload.length);
  bytes.set(payload, frameHeaderBytes);
  return bytes;
}

/** What a reader makes of the bytes, given in these pieces: control frames one by one, stream bytes joined. */
function read(pieces: readonly Uint8Array[]): { events: Frame[]; reader: FrameReader } {
  const events: Frame[] = [];
  const reader = new FrameReader({
    control: (payload) => events.push({ type: frameType.control, payload: payload.slice() }),
    stream: (bytes) => {
      const last = events.at(-1);
      if (last?.type === frameType.stream) {
        events[events.length - 1] = { type: frameType.stream, payload: concat([last.payload, bytes]) };
      } else events.push({ type: frameType.stream, payload: bytes.slice() });
    },
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

describe("frames", () => {
  it("are the same however they are cut", () => {
    const pieces = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 10 });
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 20 }), pieces, (frames, sizes) => {
        const bytes = concat(frames.map(bytesOf));
        const whole = read([bytes.slice()]);
        const inPieces = read(cut(bytes, sizes));
        expect(inPieces.events).toEqual(whole.events);
        expect(concat(inPieces.events.map(({ payload }) => payload))).toEqual(
          concat(frames.map(({ payload }) => payload)),
        );
        expect(inPieces.events.filter(({ type }) => type === frameType.control)).toEqual(
          frames.filter(({ type }) => type === frameType.control),
        );
        expect(inPieces.reader.atBoundary).toBe(true);
      }),
      { seed, numRuns: 200 },
    );
  });

  it("have the layout of five bytes and a payload", () => {
    expect(Array.from(controlFrame(Uint8Array.of(7, 8)))).toEqual([1, 0, 0, 0, 2, 7, 8]);
  });

  it("are refused, with their place, when type or length cannot be", () => {
    const good = bytesOf({ type: frameType.stream, payload: new Uint8Array(3) });
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
      const header = new Uint8Array(frameHeaderBytes);
      writeFrameHeader(header, type, length);
      for (const pieces of [[concat([good, header])], [good, header]]) {
        expect(() => read(pieces.map((piece) => piece.slice())), `${type} ${length}`).toThrow(
          expect.objectContaining({ code: "PROTOCOL_FRAME", location: { offset: good.length } }),
        );
      }
    }
  });

  it("too long to be sent are refused here, not there", () => {
    expect(() => controlFrame(new Uint8Array(maxControlFrameBytes + 1))).toThrow(
      expect.objectContaining({ code: "PROTOCOL_FRAME" }),
    );
  });
});

describe("the opening", () => {
  it("is GDWT and version 1, and what follows is handed on", () => {
    expect(Array.from(encodeMagic())).toEqual([0x47, 0x44, 0x57, 0x54, 0, 0, 0, 1]);
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

// What the guest keeps in its memory, as a function of how far it got: so that every byte can be checked afterwards.
import { mix } from "./random.ts";

export const pageBytes = 4096;
/** 192 KiB. */
const pages = 48;
export const ramBytes = pages * pageBytes;

/** Page 0: how many steps the guest has done (u32). */
export const headerOffset = 64;
/** Pages 1 to 31: records, one a step. They stand at no multiple of the page size, so that some lie on two pages. */
const recordsOffset = pageBytes;
export const recordBytes = 64;
const recordStride = 1016;
const records = Math.floor((31 * pageBytes - recordBytes) / recordStride);
/** Page 32: what the next request carries out. */
export const payloadOffset = 32 * pageBytes + 100;
export const payloadBytes = 512;
/** Page 33: the device's answers, a ring. */
const answersOffset = 33 * pageBytes;
export const answerBytes = 16;
const answers = 32;
/** Pages 34 to 41 hold noise that nobody touches; the rest is zero. */
const noiseOffset = 34 * pageBytes;
const noiseBytes = 8 * pageBytes;

/** The guest submits a request at each so many steps, if the device is free. */
export const requestEverySteps = 3;

/** Where step `number` (from 1) writes its record. */
export function recordOffset(number: number): number {
  return recordsOffset + ((number * 37) % records) * recordStride;
}

/** The step whose record stood there before step `number`; 0: none. */
export function recordBefore(number: number): number {
  return Math.max(0, number - records);
}

export function answerOffset(number: number): number {
  return answersOffset + (number % answers) * answerBytes;
}

/** Number, content, checksum. The record of step 0 is one that was never written. Not to be changed. */
export const recordOf = numbered(recordBytes, 0x5e9);
export const answerOf = numbered(answerBytes, 0xa25);
export const payloadOf = numbered(payloadBytes, 0xb10c);

export function payloadNumber(payload: Uint8Array): number {
  return new DataView(payload.buffer, payload.byteOffset).getUint32(0);
}

export function headerOf(steps: number): Uint8Array {
  return Uint8Array.of(steps >>> 24, steps >>> 16, steps >>> 8, steps);
}

const noise = Uint8Array.from({ length: noiseBytes }, (_, at) => mix(at + 1));

/** The memory of a machine that has done nothing yet. */
export function initialMemory(): Uint8Array<ArrayBuffer> {
  const memory = new Uint8Array(ramBytes);
  memory.set(noise, noiseOffset);
  return memory;
}

/** The memory of a machine after so many steps, submitted and answered requests. */
export function expectedMemory(steps: number, submitted: number, answered: number): Uint8Array {
  const memory = initialMemory();
  memory.set(headerOf(steps), headerOffset);
  for (let number = Math.max(1, steps - records + 1); number <= steps; number++) {
    memory.set(recordOf(number), recordOffset(number));
  }
  if (submitted > 0) memory.set(payloadOf(submitted), payloadOffset);
  for (let number = Math.max(1, answered - answers + 1); number <= answered; number++) {
    memory.set(answerOf(number), answerOffset(number));
  }
  return memory;
}

/** The first place where two arrays of one length differ, or -1. */
export function firstDifference(a: Uint8Array, b: Uint8Array): number {
  if (a.length !== b.length) return Math.min(a.length, b.length);
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return at;
  return -1;
}

/** The same content is asked for again and again, in one seed and in the next. */
const mostKept = 4096;

function numbered(lengthBytes: number, kind: number): (number: number) => Uint8Array {
  const kept: Uint8Array[] = [];
  return (number) => {
    if (number >= mostKept) return contentOf(number, lengthBytes, kind);
    kept[number] ??= contentOf(number, lengthBytes, kind);
    return kept[number];
  };
}

function contentOf(number: number, lengthBytes: number, kind: number): Uint8Array {
  const buffer = new ArrayBuffer(lengthBytes);
  const bytes = new Uint8Array(buffer);
  if (number === 0) return bytes;
  const view = new DataView(buffer);
  view.setUint32(0, number);
  let sum = mix(number ^ kind);
  for (let at = 4; at < lengthBytes - 4; at += 4) {
    const word = mix(number * 131 + at + kind);
    view.setUint32(at, word);
    sum = mix(sum ^ word);
  }
  view.setUint32(lengthBytes - 4, sum);
  return bytes;
}

// A connection that breaks at a named moment: what is lost there is not handed on, and both ends see it gone.
import { MigrationError } from "@godwit/core";
import type { Channel } from "@godwit/transport";

/** When it breaks. `bytes`: what is being handed on; `total`: all before it in this direction. */
export interface Moment {
  /** Before this is sent; true: now. */
  beforeSending?(bytes: Uint8Array, total: number): boolean;
  /** When this was sent, and the other end may have read it. */
  afterSending?(bytes: Uint8Array, total: number): boolean;
  /** Before this is read. */
  beforeReading?(bytes: Uint8Array, total: number): boolean;
}

const gone = (): MigrationError => new MigrationError("TRANSPORT_CLOSED", "cut by the test");

/** `cut` tells that the moment came. */
export function cutting(channel: Channel, moment: Moment, cut: () => void): Channel {
  let sentBytes = 0;
  let readBytes = 0;
  const reader = channel.receive()[Symbol.asyncIterator]();
  const breakOff = (): MigrationError => {
    const error = gone();
    cut();
    channel.abort(error);
    return error;
  };
  return {
    async send(bytes) {
      if (moment.beforeSending?.(bytes, sentBytes) === true) throw breakOff();
      await channel.send(bytes);
      if (moment.afterSending?.(bytes, sentBytes) === true) throw breakOff();
      sentBytes += bytes.length;
    },
    receive: () => ({
      [Symbol.asyncIterator]: () => ({
        async next() {
          const { done, value } = await reader.next();
          if (done === true) return { done: true as const, value: undefined };
          if (moment.beforeReading?.(value, readBytes) === true) throw breakOff();
          readBytes += value.length;
          return { done: false as const, value };
        },
      }),
    }),
    close: () => channel.close(),
    abort: (error) => channel.abort(error),
  };
}

/** A connection whose sending is done by `send`: `on` hands bytes on. What it throws breaks the connection. */
export function sendingBy(
  channel: Channel,
  send: (bytes: Uint8Array, on: (bytes: Uint8Array) => Promise<void>) => Promise<void>,
): Channel {
  return {
    async send(bytes) {
      try {
        await send(bytes, (some) => channel.send(some));
      } catch (error) {
        channel.abort(error);
        throw error;
      }
    },
    receive: () => channel.receive(),
    close: () => channel.close(),
    abort: (error) => channel.abort(error),
  };
}

/** Hands on the first bytes of what is being sent, and then breaks. */
export async function cutBehind(
  bytes: Uint8Array,
  count: number,
  on: (bytes: Uint8Array) => Promise<void>,
): Promise<never> {
  await on(bytes.slice(0, count));
  throw gone();
}

/** SHUT of the return path: its status; undefined for anything else. */
export function shutIn(bytes: Uint8Array): number | undefined {
  const isShut = bytes.length >= 8 && bytes[bytes.length - 7] === 1 && bytes[bytes.length - 8] === 0;
  return isShut ? new DataView(bytes.buffer, bytes.byteOffset).getUint32(bytes.length - 4) : undefined;
}

/** The bytes that let a QEMU run: EOF, and the vmdesc behind it. */
export const isLast = (bytes: Uint8Array): boolean => bytes[0] === 0 && bytes[1] === 6;

/** Post-copy's package, from its command on: LISTEN stands first in it. */
export const isPackage = (bytes: Uint8Array): boolean =>
  startsWith(bytes, 0, packagedHead) && startsWith(bytes, packagedHead.length + 4, listen);

/** What was read has the beginning of the package in it. */
export function hasPackage(bytes: Uint8Array): boolean {
  for (let at = bytes.indexOf(8); at >= 0; at = bytes.indexOf(8, at + 1)) {
    if (isPackage(bytes.subarray(at))) return true;
  }
  return false;
}

const packagedHead = [8, 0, 7, 0, 4];
const listen = [8, 0, 4, 0, 0];

const startsWith = (bytes: Uint8Array, at: number, words: readonly number[]): boolean =>
  words.every((word, i) => bytes[at + i] === word);

/** The end of a vmdesc: QEMU has sent all that it has. */
export const endsVmdesc = (bytes: Uint8Array): boolean => bytes.at(-1) === 0x7d && bytes.at(-2) === 0x5d;

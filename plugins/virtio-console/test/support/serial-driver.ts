// A driver of virtio-console, and a host's end that is as full as a test wants.
import { type Bench, type Buffer, Driver, type Machine } from "@godwit/virtio-testkit";
import { receiveQueueOf } from "../../src/constants.ts";
import type { SerialPortOptions } from "../../src/port.ts";

export const text = (bytes: Uint8Array): string => String.fromCharCode(...bytes);
export const bytesOf = (of: string): Uint8Array => Uint8Array.from(of, (character) => character.charCodeAt(0));

export class SerialDriver<M extends Bench = Machine> extends Driver<M> {
  readonly #given = new Map<string, Buffer>();

  #give(queue: number, length: number): void {
    const buffer = { at: this.allocate(length), length };
    this.#given.set(`${queue}/${this.ring(queue).add([], [buffer])}`, buffer);
  }

  #reap(queue: number): Uint8Array[] {
    return this.ring(queue)
      .reap()
      .map(({ head, length }) => {
        const buffer = this.#given.get(`${queue}/${head}`);
        if (buffer === undefined) throw new Error(`no buffer ${head}`);
        return this.bytes(buffer.at, length);
      });
  }

  /** Room for so many control messages. */
  listen(messages: number, length = 64): void {
    for (let i = 0; i < messages; i++) this.#give(2, length);
    this.ring(2).kick();
  }

  tell(port: number, event: number, value: number): void {
    const at = this.allocate(8);
    const { view } = this;
    view.setUint32(at, port, true);
    view.setUint16(at + 4, event, true);
    view.setUint16(at + 6, value, true);
    this.ring(3).add([{ at, length: 8 }], []);
    this.ring(3).kick();
  }

  /** Control messages since the last call: port, event, value, and what belongs to it. */
  heard(): (readonly [number, number, number, ...number[]])[] {
    return this.#reap(2).map((bytes) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      return [view.getUint32(0, true), view.getUint16(4, true), view.getUint16(6, true), ...bytes.subarray(8)];
    });
  }

  /** Announces itself and opens these ports, as Linux does. */
  open(...ports: number[]): void {
    this.listen(16);
    this.tell(0xffffffff, 0, 1);
    for (const port of ports) {
      this.tell(port, 3, 1);
      this.tell(port, 6, 1);
    }
    this.heard();
  }

  /** Puts output into a port's ring, each piece a segment, without a kick. */
  put(port: number, ...pieces: string[]): number {
    const buffers = pieces.map((piece) => {
      const at = this.allocate(piece.length);
      this.machine.ram.set(bytesOf(piece), at);
      return { at, length: piece.length };
    });
    return this.ring(receiveQueueOf(port) + 1).add(buffers, []);
  }

  write(port: number, ...pieces: string[]): number {
    const head = this.put(port, ...pieces);
    this.ring(receiveQueueOf(port) + 1).kick();
    return head;
  }

  /** Heads of output that was given back since the last call. */
  written(port: number): number[] {
    return this.ring(receiveQueueOf(port) + 1)
      .reap()
      .map(({ head }) => head);
  }

  give(port: number, length: number): void {
    this.#give(receiveQueueOf(port), length);
    this.ring(receiveQueueOf(port)).kick();
  }

  read(port: number): string[] {
    return this.#reap(receiveQueueOf(port)).map(text);
  }
}

export interface Terminal extends SerialPortOptions {
  /** Bytes that it takes before it is full. */
  space: number;
  taken: string;
  readonly log: string[];
}

/** A host's end that takes `space` bytes. */
export function terminal(init: Omit<SerialPortOptions, "write"> & { space?: number }): Terminal {
  const end: Terminal = {
    ...init,
    space: init.space ?? Number.POSITIVE_INFINITY,
    taken: "",
    log: [],
    write(bytes) {
      const length = Math.min(bytes.length, end.space);
      end.space -= length;
      end.taken += text(bytes.subarray(0, length));
      return length;
    },
    guestConnected: (connected) => end.log.push(connected ? "open" : "closed"),
    room: () => end.log.push("room"),
  };
  return end;
}

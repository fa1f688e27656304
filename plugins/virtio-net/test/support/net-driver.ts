// A driver of virtio-net with one queue pair or more: sends frames, gives buffers, and commands the receive filter.
import { type Bench, Driver, type Machine } from "@godwit/virtio-testkit";

const header = 12;

export class NetDriver<M extends Bench = Machine> extends Driver<M> {
  readonly #buffers = new Map<string, number>();
  #controlQueue = 2;

  /** With MQ the control queue stands behind all pairs. */
  controlAt(index: number): void {
    this.#controlQueue = index;
  }

  put(frame: Uint8Array, pair = 0): void {
    const at = this.allocate(header + frame.length);
    this.machine.ram.fill(0, at, at + header);
    this.machine.ram.set(frame, at + header);
    this.ring(2 * pair + 1).add(
      [
        { at, length: header },
        { at: at + header, length: frame.length },
      ],
      [],
    );
  }

  send(frame: Uint8Array, pair = 0): void {
    this.put(frame, pair);
    this.ring(2 * pair + 1).kick();
  }

  /** Gives a receive buffer to the device. */
  give(bytes = 1526, pair = 0): void {
    const at = this.allocate(bytes);
    const head = this.ring(2 * pair).add([], [{ at, length: bytes }]);
    this.#buffers.set(`${pair}/${head}`, at);
    this.ring(2 * pair).kick();
  }

  /** Frames that the device has put into buffers since the last call, their headers checked. */
  take(pair = 0): Uint8Array[] {
    return this.ring(2 * pair)
      .reap()
      .map(({ head, length }) => {
        const at = this.#buffers.get(`${pair}/${head}`) as number;
        const bytes = this.bytes(at, length);
        if (bytes.subarray(0, header).join() !== "0,0,0,0,0,0,0,0,0,0,1,0")
          throw new Error("not the header of one buffer");
        return bytes.slice(header);
      });
  }

  /** Sends a command; gives the answer. */
  command(kind: number, command: number, data: ArrayLike<number>): number {
    const at = this.allocate(2 + data.length);
    this.machine.ram.set([kind, command], at);
    this.machine.ram.set(Uint8Array.from(data), at + 2);
    const answer = this.allocate(1);
    this.machine.ram[answer] = 0xee;
    const queue = this.ring(this.#controlQueue);
    queue.add(
      [{ at, length: 2 }, ...(data.length === 0 ? [] : [{ at: at + 2, length: data.length }])],
      [{ at: answer, length: 1 }],
    );
    queue.kick();
    queue.reap();
    return this.machine.ram[answer] as number;
  }
}

export const own = "52:54:00:12:34:56";

export function mac(text: string): number[] {
  return text.split(":").map((pair) => Number.parseInt(pair, 16));
}

/** A frame of 64 bytes that holds a number; with `vid`, tagged. */
export function frame(to: string, number: number, vid?: number): Uint8Array {
  const bytes = new Uint8Array(64);
  bytes.set(mac(to));
  bytes.set(mac("02:00:00:00:00:01"), 6);
  bytes.set(vid === undefined ? [0x88, 0xb5] : [0x81, 0x00, vid >> 8, vid & 0xff, 0x88, 0xb5], 12);
  new DataView(bytes.buffer).setUint32(20, number);
  return bytes;
}

export function numberOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(20);
}

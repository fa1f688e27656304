// A driver of virtio-scsi: commands with their answers, and task management.
import { type Bench, type Buffer, Driver, type Machine } from "@godwit/virtio-testkit";

export interface Sent {
  readonly queue: number;
  readonly head: number;
  readonly answerAt: number;
  readonly dataAt: number;
  readonly dataBytes: number;
}

export interface Place {
  readonly queue?: number;
  readonly target?: number;
  readonly lun?: number;
  /** The eight bytes themselves. */
  readonly raw?: readonly number[];
  readonly id?: bigint;
}

/** What the driver reads when its request comes back. */
export interface Got {
  readonly response: number;
  readonly status: number;
  readonly residual: number;
  /** Key, additional code and its qualifier. */
  readonly sense: readonly number[];
}

const unanswered = 0xee;

export class ScsiDriver<M extends Bench = Machine> extends Driver<M> {
  senseSize = 96;
  cdbSize = 32;
  #id = 0x1_0000_0000n;

  /** Puts a command into a queue without a kick. Bytes go out; a number is room for what comes in. */
  put(cdb: readonly number[], data: Uint8Array | number = 0, place: Place = {}): Sent {
    const { queue = 0 } = place;
    const header = this.allocate(19 + this.cdbSize);
    this.machine.ram.fill(0, header, header + 19 + this.cdbSize);
    this.machine.ram.set(this.#address(place), header);
    this.view.setBigUint64(header + 8, place.id ?? this.#id++, true);
    this.machine.ram.set(cdb, header + 19);
    const out = typeof data !== "number";
    const dataBytes = out ? data.length : data;
    const dataAt = this.allocate(dataBytes);
    if (out) this.machine.ram.set(data, dataAt);
    const answerAt = this.allocate(12 + this.senseSize);
    this.machine.ram.fill(unanswered, answerAt, answerAt + 12 + this.senseSize);
    const buffers: Buffer[] = dataBytes === 0 ? [] : [{ at: dataAt, length: dataBytes }];
    const answer = { at: answerAt, length: 12 + this.senseSize };
    const head = this.ring(2 + queue).add(
      [{ at: header, length: 19 + this.cdbSize }, ...(out ? buffers : [])],
      [answer, ...(out ? [] : buffers)],
    );
    return { queue, head, answerAt, dataAt, dataBytes };
  }

  send(cdb: readonly number[], data: Uint8Array | number = 0, place: Place = {}): Sent {
    const sent = this.put(cdb, data, place);
    this.ring(2 + sent.queue).kick();
    return sent;
  }

  /** Undefined: not answered. */
  got({ answerAt }: Sent): Got | undefined {
    const { ram } = this.machine;
    if (ram[answerAt + 11] === unanswered) return undefined;
    const length = this.view.getUint32(answerAt, true);
    const sense = ram.slice(answerAt + 12, answerAt + 12 + length);
    return {
      response: ram[answerAt + 11] as number,
      status: ram[answerAt + 10] as number,
      residual: this.view.getUint32(answerAt + 4, true),
      sense: length === 0 ? [] : [2, 12, 13].map((i) => sense[i] as number),
    };
  }

  data({ dataAt, dataBytes }: Sent): Uint8Array {
    return this.bytes(dataAt, dataBytes);
  }

  /** Sends and reads the answer. */
  ask(cdb: readonly number[], data: Uint8Array | number = 0, place: Place = {}): Got & { readonly data: Uint8Array } {
    const sent = this.send(cdb, data, place);
    const got = this.got(sent);
    if (got === undefined) throw new Error(`command 0x${cdb[0]?.toString(16)} was not answered`);
    return { ...got, data: this.data(sent) };
  }

  /** Takes the unit attention that a unit begins with. */
  greet(place: Place = {}): void {
    this.ask([0, 0, 0, 0, 0, 0], 0, place);
  }

  /** A task management request; gives where its answer comes. */
  manage(subtype: number, place: Place = {}): number {
    const at = this.allocate(24);
    this.machine.ram.fill(0, at, at + 24);
    this.view.setUint32(at + 4, subtype, true);
    this.machine.ram.set(this.#address(place), at + 8);
    this.view.setBigUint64(at + 16, place.id ?? 0n, true);
    return this.control(at, 24, 1);
  }

  /** Any control request; gives where its answer comes. */
  control(at: number, bytes: number, room: number): number {
    const answer = this.allocate(room);
    this.machine.ram.fill(unanswered, answer, answer + room);
    this.ring(0).add([{ at, length: bytes }], [{ at: answer, length: room }]);
    this.ring(0).kick();
    return answer;
  }

  byte(at: number): number {
    return this.machine.ram[at] as number;
  }

  heads(queue = 0): number[] {
    return this.ring(2 + queue)
      .reap()
      .map(({ head }) => head);
  }

  #address({ target = 0, lun = 0, raw }: Place): readonly number[] {
    return raw ?? [1, target, lun < 256 ? 0 : 0x40 | (lun >> 8), lun & 255];
  }
}

const be = (value: number, bytes: number): number[] =>
  Array.from({ length: bytes }, (_, i) => Math.floor(value / 256 ** (bytes - 1 - i)) % 256);

export const cdb = {
  testUnitReady: [0, 0, 0, 0, 0, 0],
  read10: (block: number, count: number, flags = 0) => [0x28, flags, ...be(block, 4), 0, ...be(count, 2), 0],
  write10: (block: number, count: number, flags = 0) => [0x2a, flags, ...be(block, 4), 0, ...be(count, 2), 0],
  synchronize: [0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  inquiry: (room: number, page?: number) => [0x12, page === undefined ? 0 : 1, page ?? 0, ...be(room, 2), 0],
  reportLuns: (room: number, selection = 0) => [0xa0, 0, selection, 0, 0, 0, ...be(room, 4), 0, 0],
  requestSense: (room: number) => [3, 0, 0, 0, room, 0],
};

export const tick = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

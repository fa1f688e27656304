// How each kind of modelled driver takes in data: at once, at once but only behind configuration space, or held until the
// configuration that it belongs to has come.
import { Cursor } from "@godwit/core";
import type { ConfigOrder } from "../vendor-driver.ts";
import { type ModelRecord, modelRecords, pageBytes } from "./data.ts";
import { ModelDevice } from "./device.ts";

/** Fills a fresh device. Everything throws plain errors: the caller is a driver. */
export class ModelReceiver {
  readonly #order: ConfigOrder;
  readonly #device: ModelDevice;
  #identified = false;
  #complete = false;
  /** BAR 0 by the configuration that came last. */
  #bar: bigint | undefined;
  readonly #barsSeen = new Set<bigint>();
  /** Chunks whose configuration has not come. */
  #held: { readonly bar: bigint; readonly chunk: Uint8Array }[] = [];
  #heldBytes = 0;

  constructor(order: ConfigOrder, memoryBytes: number) {
    this.#order = order;
    this.#device = new ModelDevice(memoryBytes);
  }

  setConfig(config: Uint8Array): void {
    this.#bar = barOf(config);
    this.#barsSeen.add(this.#bar);
    this.#applyHeld();
  }

  write(chunk: Uint8Array): void {
    if (this.#order === "filter") this.#hold(chunk);
    else this.#apply(chunk, this.#base());
  }

  /** What was filled. */
  finish(): ModelDevice {
    const [waiting] = this.#held;
    if (waiting !== undefined) {
      throw new Error(`device data came without its configuration (BAR 0 at ${hex(waiting.bar)})`);
    }
    if (!this.#complete) throw new Error("the device's registers did not come");
    return this.#device;
  }

  #base(): bigint {
    if (this.#order === "not-needed") return 0n;
    if (this.#bar === undefined) throw new Error("device data came before configuration space");
    return this.#bar;
  }

  #hold(chunk: Uint8Array): void {
    if (chunk.length < 8) throw new Error("a chunk without its BAR");
    const cursor = new Cursor(chunk);
    const bar = cursor.u64();
    this.#heldBytes += chunk.length;
    const bound = 2 * this.#device.memory.length + 64 * 1024;
    if (this.#heldBytes > bound) throw new Error(`more than ${bound} bytes wait for their configuration`);
    this.#held.push({ bar, chunk: new Uint8Array(chunk.subarray(8)) });
    this.#applyHeld();
  }

  /** In their order: a page that came later must not be overwritten by an earlier one. */
  #applyHeld(): void {
    for (let [first] = this.#held; first !== undefined && this.#barsSeen.has(first.bar); [first] = this.#held) {
      this.#held.shift();
      this.#heldBytes -= first.chunk.length + 8;
      this.#apply(first.chunk, first.bar);
    }
  }

  #apply(chunk: Uint8Array, base: bigint): void {
    for (const record of modelRecords(chunk)) this.#take(record, base);
  }

  #take(record: ModelRecord, base: bigint): void {
    const device = this.#device;
    if (record.kind === "identity") {
      if (record.memoryBytes !== device.memory.length) {
        throw new Error(`device memory of ${record.memoryBytes} bytes, and ${device.memory.length} here`);
      }
      this.#identified = true;
      return;
    }
    if (!this.#identified) throw new Error(`${record.kind} came before the identity`);
    if (record.kind === "registers") {
      device.jobs = record.jobs;
      device.checksum = record.checksum;
      this.#complete = true;
      return;
    }
    const at = record.address - base;
    if (at < 0n || at > BigInt(device.memory.length - pageBytes) || at % BigInt(pageBytes) !== 0n) {
      throw new Error(`a page at ${hex(record.address)}, and BAR 0 at ${hex(base)}`);
    }
    device.memory.set(record.bytes, Number(at));
  }
}

/** BAR 0 as it stands in configuration space, 32 bits. */
export function barOf(config: Uint8Array): bigint {
  const view = new DataView(config.buffer, config.byteOffset);
  return BigInt(view.getUint32(0x10, true) & ~0xf) & 0xffff_ffffn;
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

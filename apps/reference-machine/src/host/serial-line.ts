// The host's end of the serial port: keeps what the guest sends, a few bytes at a time, and sends numbered lines itself.
import { closeSync, fstatSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { SerialPort } from "@godwit/virtio-console";
import { expectedLine, LINE_BYTES } from "../peripheral-evidence.ts";

/** Both directions, as they went. Whoever has the machine goes on where the last one stopped. */
export interface SerialLog {
  /** The guest's bytes, in their order: kept when this returns. */
  keep(bytes: Uint8Array): void;
  /** Bytes of the host that the guest has taken since the first. */
  sentBytes(): number;
  /** It has taken so many more. */
  sent(bytes: number): void;
}

/** No line is taken at once: the output of a port is half taken nearly always, and so when the machine moves. */
const takenAtOnceBytes = 13;
const takesAgainMs = 1;

export class SerialLine {
  readonly #log: SerialLog;
  readonly #seed: number;
  #port: SerialPort | undefined;
  #full = false;

  constructor(log: SerialLog, seed: number) {
    this.#log = log;
    this.#seed = seed;
  }

  attach(port: SerialPort): void {
    this.#port = port;
  }

  /** For the port: takes what there is room for. */
  take(bytes: Uint8Array): number {
    if (this.#full) return 0;
    const taken = bytes.subarray(0, takenAtOnceBytes);
    this.#log.keep(taken);
    this.#full = true;
    setTimeout(() => {
      this.#full = false;
      this.#port?.drained();
    }, takesAgainMs);
    return taken.length;
  }

  /** Sends the rest of a line that was begun, or the next one, as far as the guest has room. */
  send(): void {
    const done = this.#log.sentBytes();
    const line = expectedLine("host", Math.floor(done / LINE_BYTES) + 1, this.#seed);
    const taken = this.#port?.send(line.subarray(done % LINE_BYTES)) ?? 0;
    if (taken > 0) this.#log.sent(taken);
  }

  /** A line is begun and not at its end. */
  get isWithinLine(): boolean {
    return this.#log.sentBytes() % LINE_BYTES !== 0;
  }
}

/** What both hosts share: a file for each direction. Writes are done when they return, so none overtakes the machine. */
export class SharedSerialLog implements SerialLog {
  readonly #out: number;
  readonly #in: number;

  constructor(folder: string) {
    this.#out = openSync(join(folder, "serial-out.log"), "a");
    this.#in = openSync(join(folder, "serial-in.log"), "a");
  }

  keep(bytes: Uint8Array): void {
    writeSync(this.#out, bytes);
  }

  sentBytes(): number {
    return fstatSync(this.#in).size;
  }

  sent(bytes: number): void {
    writeSync(this.#in, new Uint8Array(bytes));
  }

  close(): void {
    closeSync(this.#out);
    closeSync(this.#in);
  }
}

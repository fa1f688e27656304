// Configuration space of a device as its driver sees it: read and written in the driver's byte order. What it saw last
// is what travels.
import { fieldsAround, inGuestOrder } from "./config-order.ts";
import type { Registers } from "./registers.ts";

/** What configuration space is made of: the model's. */
export interface ConfigEnd {
  readonly configWidths?: readonly number[];
  readonly configKeptBytes?: number;
  configBytes(): Uint8Array;
  writeConfig?(offset: number, bytes: Uint8Array): void;
}

export class DeviceConfig {
  readonly #model: ConfigEnd;
  readonly #registers: Pick<Registers, "config">;
  readonly #isLittleEndian: () => boolean;

  constructor(model: ConfigEnd, registers: Pick<Registers, "config">, isLittleEndian: () => boolean) {
    this.#model = model;
    this.#registers = registers;
    this.#isLittleEndian = isLittleEndian;
  }

  /** Ones beyond its end. */
  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length).fill(0xff);
    const { configWidths } = this.#model;
    const image = inGuestOrder(this.#model.configBytes(), configWidths, this.#isLittleEndian());
    if (offset + length > image.length) return bytes;
    this.#registers.config = image;
    bytes.set(image.subarray(offset, offset + length));
    return bytes;
  }

  /** Nothing beyond its end. */
  write(offset: number, bytes: Uint8Array): void {
    if (offset + bytes.length > this.#registers.config.length) return;
    const image = this.#registers.config.slice();
    image.set(bytes, offset);
    this.#registers.config = image.slice().fill(0, this.#model.configKeptBytes ?? image.length);
    const widths = this.#model.configWidths;
    if (widths === undefined || this.#isLittleEndian()) {
      this.#model.writeConfig?.(offset, bytes);
      return;
    }
    // The fields that the bytes fall on, as the model has them.
    const { from, to } = fieldsAround(widths, offset, bytes.length);
    this.#model.writeConfig?.(from, inGuestOrder(image, widths, false).slice(from, to));
  }
}

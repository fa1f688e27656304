// Configuration space of a device as its driver sees it: read and written in the driver's byte order.
import { fieldsAround, inGuestOrder } from "./config-order.ts";

/** What configuration space is made of: the model's. */
export interface ConfigEnd {
  readonly configWidths?: readonly number[];
  configBytes(): Uint8Array;
  writeConfig?(offset: number, bytes: Uint8Array): void;
}

export class DeviceConfig {
  readonly #model: ConfigEnd;
  readonly #isLittleEndian: () => boolean;

  constructor(model: ConfigEnd, isLittleEndian: () => boolean) {
    this.#model = model;
    this.#isLittleEndian = isLittleEndian;
  }

  get length(): number {
    return this.#model.configBytes().length;
  }

  /** As the driver reads it. */
  get image(): Uint8Array {
    return inGuestOrder(this.#model.configBytes(), this.#model.configWidths, this.#isLittleEndian());
  }

  /** Ones beyond its end. */
  read(offset: number, length: number): Uint8Array {
    const { image } = this;
    const bytes = new Uint8Array(length).fill(0xff);
    if (offset + length <= image.length) bytes.set(image.subarray(offset, offset + length));
    return bytes;
  }

  /** Nothing beyond its end. */
  write(offset: number, bytes: Uint8Array): void {
    if (offset + bytes.length > this.length) return;
    const widths = this.#model.configWidths;
    if (widths === undefined || this.#isLittleEndian()) {
      this.#model.writeConfig?.(offset, bytes);
      return;
    }
    // The fields that the bytes fall on, as the model has them.
    const { image } = this;
    image.set(bytes, offset);
    const { from, to } = fieldsAround(widths, offset, bytes.length);
    this.#model.writeConfig?.(from, inGuestOrder(image, widths, false).slice(from, to));
  }
}

// A frame buffer that migrates while the guest draws: its lines are sent in rounds, those that were drawn on again.
import {
  type IterableInit,
  type KernelForPlugins,
  type Pending,
  type Registration,
  type StagedIterable,
  u16,
  vmstate,
  type Writer,
} from "@godwit/core";
import { StagedFrame } from "./staged-frame.ts";
import { endMark, frameVersion, recordHeadBytes } from "./wire.ts";

// #region record
/** The registers, which go with the devices at the end. */
const registers = vmstate({
  name: "frame-buffer",
  version: frameVersion,
  fields: { scroll_line: u16, cursor_line: u16 },
});
// #endregion

export interface FrameBuffer {
  readonly registration: Registration;
  readonly registers: { scroll_line: number; cursor_line: number };
  /** The guest draws one pixel. */
  draw(line: number, column: number, value: number): void;
  pixel(line: number, column: number): number;
}

export function frameBuffer(kernel: KernelForPlugins, width: number, lines: number): FrameBuffer {
  // #region memory
  let pixels = new Uint8Array(width * lines);
  /** Lines that the guest drew on since they were asked for last. */
  const dirty = new Set<number>();
  /** Lines that this attempt is still to send. */
  const queue = new Set<number>();
  let isTracking = false;

  function draw(line: number, column: number, value: number): void {
    pixels[line * width + column] = value;
    if (isTracking) dirty.add(line);
  }

  function synchronise(): void {
    for (const line of dirty) queue.add(line);
    dirty.clear();
  }
  // #endregion

  // #region source
  const recordBytes = recordHeadBytes + width;

  function setup(out: Writer): void {
    isTracking = true;
    dirty.clear();
    for (let line = 0; line < lines; line++) queue.add(line);
    out.u16(width);
    out.u16(lines);
  }

  function pending(exact: boolean): Pending {
    if (exact) synchronise();
    return { mustPrecopyBytes: queue.size * recordBytes, canPostcopyBytes: 0 };
  }

  /** Lines of the queue, until `budgetBytes` are written. True: the queue is empty. */
  function send(out: Writer, budgetBytes: number): boolean {
    let left = budgetBytes;
    for (const line of queue) {
      if (left <= 0) return false;
      queue.delete(line);
      out.u16(line);
      out.raw(pixels.subarray(line * width, (line + 1) * width));
      left -= recordBytes;
    }
    return true;
  }

  function iterate(out: Writer, budgetBytes: number): boolean {
    const isEmpty = send(out, budgetBytes);
    out.u16(endMark);
    return isEmpty;
  }

  function complete(out: Writer, budgetBytes: number): boolean {
    synchronise(); // the machine stands: after this, nothing becomes dirty
    const isEmpty = send(out, budgetBytes);
    if (isEmpty) out.u16(endMark);
    return isEmpty;
  }

  function cleanup(): void {
    isTracking = false;
    dirty.clear();
    queue.clear();
  }
  // #endregion

  // #region destination
  function stage(): StagedIterable {
    return new StagedFrame(width, lines, (incoming) => {
      const before = pixels;
      pixels = incoming;
      return before;
    });
  }
  // #endregion

  // #region register
  const handler: IterableInit = {
    idstr: registers.name,
    version: frameVersion,
    setup,
    pending,
    iterate,
    complete,
    cleanup,
    stage,
  };
  const own = { scroll_line: 0, cursor_line: 0 };
  const registration = kernel.iterable(handler, {
    description: registers,
    device: { save: () => ({ ...own }), load: (state) => void Object.assign(own, state) },
  });
  // #endregion

  return { registration, registers: own, draw, pixel: (line, column) => pixels[line * width + column] as number };
}

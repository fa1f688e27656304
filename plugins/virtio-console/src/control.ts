// Messages of the control queues (virtio 1.2, section 5.3.6.2): u32 port, u16 event, u16 value, and what belongs to it,
// in the driver's byte order (little-endian from virtio 1.0 on).
import type { ConsoleSize } from "./configuration.ts";
import { controlEvent } from "./constants.ts";

export interface ControlMessage {
  readonly port: number;
  readonly event: number;
  readonly value: number;
  /** What belongs to the event. */
  readonly more?: { readonly name: string } | { readonly size: ConsoleSize };
}

export const controlBytes = 8;

/** Undefined: too short to be one. */
export function parseControl(bytes: Uint8Array, littleEndian: boolean): ControlMessage | undefined {
  if (bytes.length < controlBytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    port: view.getUint32(0, littleEndian),
    event: view.getUint16(4, littleEndian),
    value: view.getUint16(6, littleEndian),
  };
}

export function encodeControl({ port, event, value, more }: ControlMessage, littleEndian: boolean): Uint8Array {
  const extraBytes = more === undefined ? 0 : "name" in more ? more.name.length + 1 : 4;
  const bytes = new Uint8Array(controlBytes + extraBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, port, littleEndian);
  view.setUint16(4, event, littleEndian);
  view.setUint16(6, value, littleEndian);
  if (more === undefined) return bytes;
  if ("size" in more) {
    view.setUint16(controlBytes, more.size.cols, littleEndian);
    view.setUint16(controlBytes + 2, more.size.rows, littleEndian);
    return bytes;
  }
  // A name is ASCII, and a 0 ends it.
  bytes.set(
    Array.from(more.name, (character) => character.charCodeAt(0)),
    controlBytes,
  );
  return bytes;
}

export const message = {
  add: (port: number): ControlMessage => ({ port, event: controlEvent.PORT_ADD, value: 1 }),
  console: (port: number): ControlMessage => ({ port, event: controlEvent.CONSOLE_PORT, value: 1 }),
  open: (port: number, open: boolean): ControlMessage => ({ port, event: controlEvent.PORT_OPEN, value: open ? 1 : 0 }),
  name: (port: number, name: string): ControlMessage => ({
    port,
    event: controlEvent.PORT_NAME,
    value: 1,
    more: { name },
  }),
  resize: (port: number, size: ConsoleSize): ControlMessage => ({
    port,
    event: controlEvent.RESIZE,
    value: 1,
    more: { size },
  }),
} as const;

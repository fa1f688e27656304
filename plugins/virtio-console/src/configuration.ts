// Configuration space of virtio-console (virtio 1.2, section 5.3.4).

export interface ConsoleSize {
  readonly cols: number;
  readonly rows: number;
}

export interface ConsoleConfiguration extends ConsoleSize {
  readonly maxPorts: number;
  readonly emergencyWrite: boolean;
}

/** Bytes of each field. */
export const configurationWidths: readonly number[] = [2, 2, 4, 4];

const at = { cols: 0, rows: 2, maxPorts: 4, emergencyWrite: 8 } as const;

/** le16 cols, le16 rows, le32 max_nr_ports, and where it is offered le32 emerg_wr, which reads as 0. */
export function configurationBytes({ cols, rows, maxPorts, emergencyWrite }: ConsoleConfiguration): Uint8Array {
  const bytes = new Uint8Array(emergencyWrite ? 12 : 8);
  const view = new DataView(bytes.buffer);
  view.setUint16(at.cols, cols, true);
  view.setUint16(at.rows, rows, true);
  view.setUint32(at.maxPorts, maxPorts, true);
  return bytes;
}

/** What is written to `emerg_wr` is not kept. */
export const keptBytes: number = at.emergencyWrite;

/** The character that a write to configuration space means, where it falls on `emerg_wr`. */
export function emergencyCharacter(offset: number, bytes: Uint8Array): number | undefined {
  return offset > at.emergencyWrite ? undefined : bytes[at.emergencyWrite - offset];
}

/** `max_nr_ports`, both ways round (a legacy big-endian guest has its own order). QEMU leaves 0 until a guest reads it. */
export function maxPortsOf(config: Uint8Array): readonly number[] | undefined {
  if (config.length < at.maxPorts + 4) return undefined;
  const view = new DataView(config.buffer, config.byteOffset, config.byteLength);
  return [view.getUint32(at.maxPorts, true), view.getUint32(at.maxPorts, false)];
}

export function sizeOf(config: Uint8Array): ConsoleSize | undefined {
  if (config.length < at.rows + 2) return undefined;
  const view = new DataView(config.buffer, config.byteOffset, config.byteLength);
  return { cols: view.getUint16(at.cols, true), rows: view.getUint16(at.rows, true) };
}

// Configuration space of a SCSI host adapter (virtio 1.2, section 5.6.4), and the two fields that a driver may write.
import { defaultCdbBytes, defaultSenseBytes } from "./constants.ts";

const configurationBytesCount = 36;
/** Bytes of each field. */
export const configurationWidths: readonly number[] = [4, 4, 4, 4, 4, 4, 4, 2, 2, 4];
export const senseSizeAt = 20;
export const cdbSizeAt = 24;

export interface ScsiConfiguration {
  readonly requestQueues: number;
  readonly segMax: number;
  readonly senseSize: number;
  readonly cdbSize: number;
}

const maxSectors = 0xffff;
const commandsPerLun = 128;
const eventInfoBytes = 16;
const maxTarget = 255;
const maxLun = 16_383;

export function configurationBytes({ requestQueues, segMax, senseSize, cdbSize }: ScsiConfiguration): Uint8Array {
  const view = new DataView(new ArrayBuffer(configurationBytesCount));
  const words = [requestQueues, segMax, maxSectors, commandsPerLun, eventInfoBytes, senseSize, cdbSize];
  for (const [i, word] of words.entries()) view.setUint32(4 * i, word, true);
  view.setUint16(28, 0, true);
  view.setUint16(30, maxTarget, true);
  view.setUint32(32, maxLun, true);
  return new Uint8Array(view.buffer);
}

/** What a state's image says of the sizes; what cannot be is the default. */
export function sizesIn(image: Uint8Array): { readonly senseSize: number; readonly cdbSize: number } {
  if (image.length < cdbSizeAt + 4) return { senseSize: defaultSenseBytes, cdbSize: defaultCdbBytes };
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const [senseSize, cdbSize] = [view.getUint32(senseSizeAt, true), view.getUint32(cdbSizeAt, true)];
  // Zeros are an image that no driver has read or written yet.
  if (senseSize === 0 && cdbSize === 0) return { senseSize: defaultSenseBytes, cdbSize: defaultCdbBytes };
  return { senseSize, cdbSize };
}

/** QEMU's limits: sense data up to 65,536 bytes, commands of 1 to 255. */
export function isSenseSize(bytes: number): boolean {
  return bytes < 65_536;
}
export function isCdbSize(bytes: number): boolean {
  return bytes > 0 && bytes < 256;
}

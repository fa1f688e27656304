// A mapped-ram file has its pages at fixed places: when what stands before them grows or shrinks, the padding in front of
// the first block's pages takes it up, and everything behind stays where it is. Source: wire reference 8.
import type { DevicePart, MappedPlace } from "./device-part.ts";
import { refusal } from "./refusal.ts";
import { growthOf, type Splice } from "./splice.ts";

const bitsOfLong = 64;
/** The header's two last words are the bitmap's offset and the pages'; the bitmap follows the header. */
const bitmapOffsetFromBitmap = -16;

/** What is to be added to the splices. `EDIT_MAPPED_RAM` where the padding is too small. */
export function keepPagesInPlace({ mapped }: DevicePart, splices: readonly Splice[]): Splice[] {
  if (mapped === undefined) return [];
  const { bitmapOffset, pagesOffset } = mapped;
  const growth = splices.filter(({ offset }) => offset < bitmapOffset).reduce((sum, one) => sum + growthOf(one), 0);
  if (growth === 0) return [];
  const paddingOffset = bitmapOffset + bitmapBytes(mapped);
  if (growth > pagesOffset - paddingOffset) {
    const room = pagesOffset - paddingOffset;
    const sentence = `${growth} bytes are needed before the pages of the mapped-ram file, and there is room for ${room}`;
    throw refusal("EDIT_MAPPED_RAM", sentence, { section: "ram/0", offset: paddingOffset });
  }
  const moved = new Uint8Array(8);
  new DataView(moved.buffer).setBigUint64(0, BigInt(bitmapOffset + growth));
  return [
    { offset: bitmapOffset + bitmapOffsetFromBitmap, removeBytes: 8, insert: moved },
    { offset: paddingOffset, removeBytes: Math.max(0, growth), insert: new Uint8Array(Math.max(0, -growth)) },
  ];
}

const bitmapBytes = ({ blockBytes, pageBytes }: MappedPlace): number =>
  Math.ceil(blockBytes / pageBytes / bitsOfLong) * (bitsOfLong / 8);

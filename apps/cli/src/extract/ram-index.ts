// What stands beside the images of RAM: which block is which file, and what of it has come.
import type { DirtyBitmap } from "@godwit/ram-dirty-tracker";
import { imageName } from "../ram/file-names.ts";
import type { RamBlockState, RamPlaces } from "../ram/ram-places.ts";

export const ramIndexName = "ram.json";

/** `ram.json`. */
export interface RamIndex {
  readonly machineType: string | null;
  /** Bytes of a target page. */
  readonly pageBytes: number;
  /** In the order of the stream's list. */
  readonly blocks: readonly RamIndexBlock[];
}

export interface RamIndexBlock {
  /** As the stream names it. */
  readonly name: string;
  /** Beside this file. */
  readonly file: string;
  readonly bytes: number;
  readonly pages: number;
  /** Pages that are not zero, and take room in the image. */
  readonly writtenPages: number;
  readonly missingPages: number;
  /** Where they are, from a byte up to another; zeros in the image. */
  readonly missing: readonly { readonly from: number; readonly to: number }[];
  /** Where the guest has the block, if the stream says so (`x-ignore-shared`). */
  readonly address?: string;
}

export function ramIndex(ram: RamPlaces, machineType: string | undefined): RamIndex {
  const { pageBytes } = ram;
  const wanted = [...ram.blocks.values()].filter(({ place }) => place !== undefined);
  return { machineType: machineType ?? null, pageBytes, blocks: wanted.map((block) => entry(block, pageBytes)) };
}

function entry({ idstr, length, came, written, address }: RamBlockState, pageBytes: number): RamIndexBlock {
  return {
    name: idstr,
    file: imageName(idstr),
    bytes: length,
    pages: came.pages,
    writtenPages: written.count,
    missingPages: came.pages - came.count,
    missing: clearRanges(came, pageBytes),
    ...(address !== undefined && { address: String(address) }),
  };
}

function clearRanges(bits: DirtyBitmap, pageBytes: number): { from: number; to: number }[] {
  const ranges: { from: number; to: number }[] = [];
  for (let page = 0; page < bits.pages && bits.count < bits.pages; ) {
    const next = bits.nextSet(page);
    const end = next < 0 ? bits.pages : next;
    if (end > page) ranges.push({ from: page * pageBytes, to: end * pageBytes });
    page = end + 1;
  }
  return ranges;
}

/** Whether a folder holds what an extraction has made, and nothing else. */
export const isRamFolder = (names: readonly string[]): boolean =>
  names.includes(ramIndexName) && names.every((name) => name === ramIndexName || name.endsWith(".raw"));

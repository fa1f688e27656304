// The RAM of a stream as files in a folder: one sparse image a block, pages that are zero as holes.
import { closeSync, ftruncateSync, openSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import type { ListedBlock, ListedExtra } from "@godwit/ram-dirty-tracker";
import { imageName } from "./file-names.ts";
import { type RamPlaces, ramPlaces } from "./ram-places.ts";
import { onFile } from "./run-writer.ts";

export interface RamFilesInit {
  /** Is there, and holds no images yet. */
  readonly folder: string;
  /** Bytes of a target page; asked when the list of blocks comes. */
  pageBytes(): number;
  /** Which blocks are wanted; all, if not given. */
  wants?(block: ListedBlock): boolean;
  /** How much memory a stream may list. Bytes; the default is 1 TiB. */
  readonly boundBytes?: number | undefined;
  /** The files have no name: they are gone with `close`, or with the process, however it ends. */
  readonly unnamed?: boolean;
  onControl?(kind: "memsize" | "eos" | "mfflush", value: number): void;
}

export interface RamFiles extends RamPlaces {
  /** Of a wanted block's image, if it has a name. */
  pathOf(block: ListedBlock): string;
  /** Closes the files, which stay. Twice is once. */
  close(): void;
}

/** Exit 2 where the file system refuses. */
export function ramFiles({ folder, wants, boundBytes, unnamed = false, ...rest }: RamFilesInit): RamFiles {
  const descriptors: number[] = [];
  const pathOf = ({ idstr }: ListedBlock): string => join(folder, imageName(idstr));
  const places = ramPlaces({
    ...rest,
    ...(boundBytes !== undefined && { boundBytes }),
    place(block: ListedBlock & ListedExtra) {
      if (wants?.(block) === false) return undefined;
      return onFile(() => {
        const descriptor = openSync(pathOf(block), "wx+");
        descriptors.push(descriptor);
        if (unnamed) unlinkSync(pathOf(block));
        // As long as the block, and empty: what is not written is a hole.
        ftruncateSync(descriptor, block.length);
        return { descriptor, at: 0 };
      });
    },
  });
  return Object.assign(places, {
    pathOf,
    close(): void {
      for (const descriptor of descriptors.splice(0)) closeSync(descriptor);
    },
  });
}

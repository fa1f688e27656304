// What a block list holds beside names and lengths. The wire does not say it: the migration's capabilities do.

export interface ListFormat {
  /** `mapped-ram`: each entry carries a header, and the block's pages have their places in the file right behind it. */
  readonly mappedRam?: boolean;
  /** `x-ignore-shared`: each entry carries the block's guest address, and shared blocks send no page. */
  readonly ignoreShared?: boolean;
  /**
   * Blocks whose entries carry their page size, by idstr, and the size. Bytes. With `postcopy-ram` these are the blocks
   * whose page size is neither the host's nor the target's (huge pages). An entry has it before the address: QEMU 7.2
   * writes and reads it so; 10.x writes it so too, but reads the two in the other order, and cannot load both together.
   */
  readonly pageSizes?: ReadonlyMap<string, number>;
  /** Where the stream begins in the file: mapped-ram headers hold file offsets. Bytes; the default is 0. */
  readonly fileOffset?: number;
}

export const plainList: ListFormat = {};

/** The format that capabilities ask for, as the configuration section names them (`configuration.capabilities`). */
export function listFormat(capabilities: readonly string[]): ListFormat {
  return {
    mappedRam: capabilities.includes("mapped-ram"),
    ignoreShared: capabilities.includes("x-ignore-shared"),
  };
}

/** A hint for errors: what a list may carry that only the migration's settings tell. */
export const longerList =
  "the list may carry more than names and lengths: mapped-ram headers, addresses of x-ignore-shared, page sizes of post-copy";

// What `diff` finds, as plain data: the document of `--json`, and what the text is made from.

export interface Difference {
  /** Nothing differs that is not ignored. */
  readonly equal: boolean;
  readonly a: SideAbout;
  readonly b: SideAbout;
  /** Of the stream as a whole: `machineType`, `capabilities`, `uuid`, `pageBytes`, `commands` (names with what they carry). */
  readonly stream: readonly Changed[];
  readonly sections: {
    readonly onlyInA: readonly SectionAbout[];
    readonly onlyInB: readonly SectionAbout[];
    /** Fewest sections that would have to change places for the order to be the same; places count from 0. */
    readonly moved: readonly { readonly section: string; readonly placeA: number; readonly placeB: number }[];
    readonly changed: readonly SectionDifference[];
  };
  /** Null with `--no-ram`, or where `ram` is ignored. */
  readonly ram: RamDifference | null;
  /** How many differences `--ignore` left out. */
  readonly ignored: number;
  readonly notes: readonly string[];
}

interface SideAbout {
  readonly name: string;
  readonly bytes: number;
  readonly machineType: string | null;
}

export interface Changed {
  readonly what: string;
  readonly a: unknown;
  readonly b: unknown;
}

export interface SectionAbout {
  readonly section: string;
  readonly version: number;
  readonly bodyBytes: number;
}

export interface SectionDifference {
  readonly section: string;
  /** What the two were compared by. */
  readonly by: "description" | "vmdesc" | "bytes";
  readonly version?: { readonly a: number; readonly b: number };
  readonly subsectionsOnlyInA: readonly string[];
  readonly subsectionsOnlyInB: readonly string[];
  /** What is below a subsection that only one side has is not listed. */
  readonly fields: readonly FieldDifference[];
}

export interface FieldDifference {
  readonly path: string;
  /** Absent where the field is not on that side; of a buffer, its length stands in `bytes`. */
  readonly a?: unknown;
  readonly b?: unknown;
  /** Of a buffer, on each side. */
  readonly bytes?: { readonly a: number; readonly b: number };
  /** Of buffers: what differs in the bytes that both have. */
  readonly ranges?: readonly ByteRange[];
  /** Ranges beyond those that are listed. */
  readonly moreRanges?: number;
  /** Named bits that changed: of the field itself (`path` is empty), or of registers inside a buffer. */
  readonly names?: readonly NameDifference[];
}

export interface ByteRange {
  readonly offset: number;
  readonly bytes: number;
  /** Hexadecimal, of the first 32 bytes at most. */
  readonly a: string;
  readonly b: string;
}

export interface NameDifference {
  readonly path: string;
  readonly a?: number | bigint;
  readonly b?: number | bigint;
  /** Names that only B has, and that only A has. */
  readonly set: readonly string[];
  readonly cleared: readonly string[];
}

export interface RamDifference {
  readonly pageBytes: number;
  readonly onlyInA: readonly BlockAbout[];
  readonly onlyInB: readonly BlockAbout[];
  readonly changed: readonly BlockDifference[];
  /** Of blocks that both have: neither stream brings them, and nothing is known of them. */
  readonly pagesInNeither: number;
}

export interface Sides<T> {
  readonly a: T;
  readonly b: T;
}

interface BlockAbout {
  readonly idstr: string;
  readonly bytes: number;
}

export interface BlockDifference {
  readonly idstr: string;
  /** Where the lengths differ. */
  readonly bytes?: Sides<number>;
  /** Of the memory behind the block, such as huge pages, where both streams tell it and it differs. */
  readonly memoryPageBytes?: Sides<number>;
  /** In the guest, where both streams tell it (x-ignore-shared) and it differs. */
  readonly address?: Sides<bigint>;
  /** Pages that differ, by kind. */
  readonly pages: Readonly<Record<PageChange, number>>;
  readonly ranges: readonly PageRange[];
  /** Ranges beyond those that are listed. */
  readonly moreRanges: number;
}

/**
 * `changed`: both have content. `cleared`: zero in B. `filled`: zero in A. `onlyInA`, `onlyInB`: the other stream does not
 * bring the page at all (channels that were not given, a post-copy that was cut off).
 */
export const pageChanges = ["changed", "cleared", "filled", "onlyInA", "onlyInB"] as const;
export type PageChange = (typeof pageChanges)[number];

export interface PageRange {
  readonly kind: PageChange;
  readonly firstPage: number;
  readonly lastPage: number;
  readonly pages: number;
  /** Of the first byte in the block. */
  readonly offset: number;
}

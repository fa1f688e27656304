// What the ram section is made of, and what takes it in: a load, or a tool's walk.
import type { MappedHeader } from "./mapped-header.ts";
import type { RamRecordCounts, RamRecordKind } from "./records.ts";

export type RamPhase = "start" | "part" | "end";

/** A block of START's list. */
export interface ListedBlock {
  readonly idstr: string;
  /** Bytes: used_length. */
  readonly length: number;
}

/** What an entry of the list holds beside name and length; what its format does not have is absent. */
export interface ListedExtra {
  /** Bytes of the block's own page: huge pages, with `postcopy-ram`. */
  readonly pageBytes?: number;
  /** The guest-physical address, with `x-ignore-shared`. */
  readonly address?: bigint;
  /** With `mapped-ram`. */
  readonly mapped?: MappedHeader;
}

/** What a section held, and what the next one of the same stream needs to know: its decoder is given this. */
export interface RamSection<B extends ListedBlock = ListedBlock> {
  readonly records: RamRecordCounts;
  /** START's list, by idstr, in its order. */
  readonly blocks: ReadonlyMap<string, B>;
  /** The block that CONTINUE means. */
  readonly named: B | undefined;
}

/**
 * What the decoder hands over to. Throws `MigrationError`; the decoder adds path and offset. Records are the decoder's
 * own objects and change after the call.
 */
export interface RamSink<B extends ListedBlock> {
  /** A name of the list; refuses what it does not know. */
  listing(idstr: string): void;
  /** A block of the list, as far as its length; its answer comes back with each page. */
  listed(idstr: string, length: number): B;
  /** The entry is whole. */
  entry(block: B, extra: ListedExtra): void;
  /** All pages of a block of mapped-ram have come; those that did not are zero. */
  mappedComplete(block: B): void;
  /** The list is complete. */
  listComplete(blocks: ReadonlyMap<string, B>): void;
  /** Whether such records are read; otherwise they are `RAM_ENCODING`. */
  accepts(kind: RamRecordKind): boolean;
  /**
   * Whether an EOS or MULTIFD_FLUSH may take effect: with multifd, once every channel is there. Asked again whenever the
   * decoder is resumed, until it may.
   */
  mayPass(kind: "eos" | "mfflush"): boolean;
  /** A record for a page of the block begins; refuses a block whose memory does not travel. */
  opening(block: B): void;
  /** `bytes` from `from` to `to` are the payload of a page's record from `at` on; they are the reader's. */
  payload(record: PageRecord<B>, at: number, bytes: Uint8Array, from: number, to: number): void;
  /** A record is complete. */
  record(record: RamRecord<B>): void;
  /** The section's data is complete. */
  sectionComplete(phase: RamPhase): void;
  /** A sink for a fork of the decoder. */
  fork(): RamSink<B>;
}

/** A record that names a page; `mapped` is none, but a page in its place of a mapped-ram file. */
export interface PageRecord<B extends ListedBlock = ListedBlock> {
  readonly kind: "zero" | "page" | "xbzrle" | "compress" | "mapped";
  readonly block: B;
  /** Offset in the block. Bytes. */
  readonly offset: number;
  /** The record carries CONTINUE, and not the block's name. */
  readonly continues: boolean;
  /** The fill byte of a zero page; 0 otherwise. */
  readonly fill: number;
  /** Bytes of the page as it travels: the target page, an XBZRLE delta, zlib data; 0 for a zero page. */
  readonly payloadBytes: number;
}

/** A record that names none: `value` is MEM_SIZE's total. */
export interface ControlRecord {
  readonly kind: "memsize" | "eos" | "mfflush";
  readonly value: number;
}

export type RamRecord<B extends ListedBlock = ListedBlock> = PageRecord<B> | ControlRecord;

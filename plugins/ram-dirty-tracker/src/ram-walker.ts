// Reads the ram sections of any machine's stream without having its RAM: for tools and tests.
import { type BodyDecoder, MigrationError } from "@godwit/core";
import { type ListFormat, longerList, plainList } from "./list-format.ts";
import { PayloadAssembly } from "./payload-assembly.ts";
import { ramDecoder } from "./ram-decoder.ts";
import type { ListedBlock, ListedExtra, PageRecord, RamPhase, RamRecord, RamSection, RamSink } from "./ram-sink.ts";
import { checkPageBytes, defaultPageBytes, type RamRecordKind } from "./records.ts";

export interface RamWalkerInit {
  /** Bytes of a target page: `page_size` of the stream's vmdesc. The default is 4096. */
  readonly pageBytes?: number;
  /** What the block list holds; asked at each START. The default is names and lengths. */
  readonly list?: ListFormat | (() => ListFormat);
  /** Each block of the list, as it comes. */
  onBlock?(block: ListedBlock & ListedExtra): void;
  /** Each record, complete; and each page of a mapped-ram file, as the kind `mapped`. */
  onRecord?(record: RamRecord): void;
  /** The content of each PAGE record and of each page of a mapped-ram file, whole; not to be kept. */
  page?(block: ListedBlock, offset: number, bytes: Uint8Array): void;
  /** What any page's record carries, whole: a page, a delta, zlib data; not to be kept. Comes before `onRecord`. */
  payload?(record: PageRecord, bytes: Uint8Array): void;
}

export interface RamWalker {
  /**
   * Reads the data of one section; its value is what the next one's decoder is given as `previous`. Every kind of
   * record is walked but HOOK, whose length only its transport knows (`RAM_ENCODING`).
   */
  decoder(phase: RamPhase, previous?: RamSection): BodyDecoder<RamSection>;
}

/** Forks of its decoders call the same functions. `DEFINITION_INVALID` for a page that cannot be. */
export function ramWalker(init: RamWalkerInit = {}): RamWalker {
  const { pageBytes = defaultPageBytes, list = plainList } = init;
  checkPageBytes(pageBytes);
  const formatOf = () => (typeof list === "function" ? list() : list);
  return {
    decoder: (phase, previous) => ramDecoder(new WalkSink(init), phase, pageBytes, previous, formatOf()),
  };
}

class WalkSink implements RamSink<ListedBlock> {
  readonly #init: RamWalkerInit;
  readonly #payload: PayloadAssembly;

  constructor(init: RamWalkerInit, payload = new PayloadAssembly()) {
    this.#init = init;
    this.#payload = payload;
  }

  listing(idstr: string): void {
    if (idstr !== "") return;
    throw new MigrationError("RAM_ENCODING", `a RAM block has no name; the total is wrong, or ${longerList}`);
  }

  listed(idstr: string, length: number): ListedBlock {
    return { idstr, length };
  }

  entry(block: ListedBlock, extra: ListedExtra): void {
    this.#init.onBlock?.({ ...block, ...extra });
  }

  mappedComplete(): void {}

  listComplete(): void {}

  accepts(_kind: RamRecordKind): boolean {
    return true;
  }

  mayPass(): boolean {
    return true;
  }

  opening(): void {}

  payload(record: PageRecord, at: number, bytes: Uint8Array, from: number, to: number): void {
    const isPage = record.kind === "page" || record.kind === "mapped";
    if (this.#init.payload === undefined && !(isPage && this.#init.page)) return;
    const whole = this.#payload.add(record.payloadBytes, at, bytes, from, to);
    if (whole === undefined) return;
    if (isPage) this.#init.page?.(record.block, record.offset, whole);
    this.#init.payload?.({ ...record }, whole);
  }

  record(record: RamRecord): void {
    this.#init.onRecord?.({ ...record });
  }

  sectionComplete(): void {}

  fork(): WalkSink {
    return new WalkSink(this.#init, this.#payload.fork());
  }
}

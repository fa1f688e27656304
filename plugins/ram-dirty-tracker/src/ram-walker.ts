// Reads the ram sections of any machine's stream without having its RAM: for tools and tests.
import { type BodyDecoder, MigrationError } from "@godwit/core";
import { longerList, ramDecoder } from "./ram-decoder.ts";
import type { ListedBlock, PageRecord, RamPhase, RamRecord, RamSection, RamSink } from "./ram-sink.ts";
import { checkPageBytes, defaultPageBytes, type RamRecordKind } from "./records.ts";

export interface RamWalkerInit {
  /** Bytes of a target page: `page_size` of the stream's vmdesc. The default is 4096. */
  readonly pageBytes?: number;
  /** Each block of the list, as it comes. */
  onBlock?(block: ListedBlock): void;
  /** Each record, complete. */
  onRecord?(record: RamRecord): void;
  /** The content of each PAGE record, whole; not to be kept. */
  page?(block: ListedBlock, offset: number, bytes: Uint8Array): void;
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
  const { pageBytes = defaultPageBytes } = init;
  checkPageBytes(pageBytes);
  return { decoder: (phase, previous) => ramDecoder(new WalkSink(init, pageBytes), phase, pageBytes, previous) };
}

class WalkSink implements RamSink<ListedBlock> {
  readonly #init: RamWalkerInit;
  readonly #pageBytes: number;
  /** The page that comes in pieces. */
  #pieces: Uint8Array | undefined;

  constructor(init: RamWalkerInit, pageBytes: number) {
    this.#init = init;
    this.#pageBytes = pageBytes;
  }

  listing(idstr: string): void {
    if (idstr !== "") return;
    throw new MigrationError("RAM_ENCODING", `a RAM block has no name; the total is wrong, or ${longerList}`);
  }

  listed(idstr: string, length: number): ListedBlock {
    const block = { idstr, length };
    this.#init.onBlock?.(block);
    return block;
  }

  listComplete(): void {}

  accepts(_kind: RamRecordKind): boolean {
    return true;
  }

  payload(record: PageRecord, at: number, bytes: Uint8Array, from: number, to: number): void {
    if (this.#init.page === undefined || record.kind !== "page") return;
    const { block, offset, payloadBytes } = record;
    if (to - from === payloadBytes) {
      this.#init.page(block, offset, bytes.subarray(from, to));
      return;
    }
    this.#pieces ??= new Uint8Array(this.#pageBytes);
    this.#pieces.set(bytes.subarray(from, to), at);
    if (at + to - from === payloadBytes) this.#init.page(block, offset, this.#pieces);
  }

  record(record: RamRecord): void {
    this.#init.onRecord?.({ ...record });
  }

  sectionComplete(): void {}

  fork(): WalkSink {
    const copy = new WalkSink(this.#init, this.#pageBytes);
    copy.#pieces = this.#pieces?.slice();
    return copy;
  }
}

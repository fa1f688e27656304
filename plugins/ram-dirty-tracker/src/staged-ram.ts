// The receiving side of RAM: fresh memory that an attempt fills, and that the machine takes over by reference or never
// sees. Its size is that of the LOCAL blocks: a stream can only fill what is here.
import { allocate, type BodyDecoder, MigrationError, type StagedIterable } from "@godwit/core";
import { type DirtyBitmap, dirtyBitmap } from "./bitmap.ts";
import type { RamBlock } from "./block.ts";
import { type GuestMap, type GuestReader, guestReader } from "./memory.ts";
import { longerList, ramDecoder } from "./ram-decoder.ts";
import type { ListedBlock, PageRecord, RamPhase, RamRecord, RamSection, RamSink } from "./ram-sink.ts";
import { type RamRecordKind, ramVersion } from "./records.ts";

export interface StagedRam extends StagedIterable {
  /**
   * Reads the data of one section. `previous` is the value of the ram section before it in the same stream, a
   * `RamSection`; undefined at START. `SECTION_VERSION`, `RAM_ORDER`, `ATTEMPT_ENDED`; the decoder throws the `RAM_*`
   * codes.
   */
  decoder(phase: RamPhase, version: number, previous: unknown): BodyDecoder<RamSection>;
  /** The memory that arrived, once a block list has; else what the blocks hold now. */
  offer(): GuestReader;
}

/** What an attempt has received, forks included; kept when its memory is gone. */
export interface ReceiveTally {
  zeroPages: number;
  normalPages: number;
  /** Pages that came at least once. */
  arrivedPages: number;
  /** Staged memory, its bitmaps not counted. */
  allocatedBytes: number;
}

export function stagedRam(
  blocks: readonly RamBlock[],
  map: GuestMap,
  pageBytes: number,
  tally: ReceiveTally = { zeroPages: 0, normalPages: 0, arrivedPages: 0, allocatedBytes: 0 },
): StagedRam {
  return new Staging(blocks, map, pageBytes, tally);
}

class Staging implements StagedRam {
  readonly #blocks: readonly RamBlock[];
  readonly #map: GuestMap;
  readonly #pageBytes: number;
  readonly #memory: StagedMemory;
  /** What a commit took the place of, to be put back if a device fails. */
  #replaced: { readonly local: RamBlock; readonly bytes: Uint8Array }[] = [];
  #ended = false;

  constructor(blocks: readonly RamBlock[], map: GuestMap, pageBytes: number, tally: ReceiveTally) {
    this.#blocks = blocks;
    this.#map = map;
    this.#pageBytes = pageBytes;
    this.#memory = new StagedMemory(blocks, pageBytes, tally);
  }

  decoder(phase: RamPhase, version: number, previous: unknown): BodyDecoder<RamSection> {
    this.#expectGoing();
    if (version !== ramVersion) {
      throw new MigrationError("SECTION_VERSION", "the ram section is of another version", {
        path: "version_id",
        expected: String(ramVersion),
        found: String(version),
      });
    }
    // A section's value is of this attempt's own making, so that its blocks are staged ones.
    return ramDecoder(this.#memory, phase, this.#pageBytes, previous as RamSection<StagedBlock> | undefined);
  }

  offer(): GuestReader {
    const memory = this.#memory;
    return guestReader(this.#map, (block) =>
      memory.isListed ? memory.bytesOf(memory.blocks[block] as StagedBlock) : (this.#blocks[block] as RamBlock).bytes(),
    );
  }

  commit(): void {
    this.#expectGoing();
    this.#ended = true;
    if (!this.#memory.isListed) return;
    try {
      for (const block of this.#memory.blocks) {
        const { local } = block;
        this.#replaced.push({ local, bytes: local.exchange(this.#memory.bytesOf(block)) });
      }
    } catch (error) {
      this.revert();
      throw error;
    } finally {
      this.#memory.release();
    }
  }

  revert(): void {
    for (const { local, bytes } of this.#replaced.reverse()) local.exchange(bytes);
    this.#replaced = [];
  }

  discard(): void {
    this.#ended = true;
    this.#replaced = [];
    this.#memory.release();
  }

  #expectGoing(): void {
    if (!this.#ended) return;
    throw new MigrationError("ATTEMPT_ENDED", "the incoming RAM was adopted or discarded", { section: "ram/0" });
  }
}

interface StagedBlock extends ListedBlock {
  readonly local: RamBlock;
  /** Made with the first content that is not zero, or for whoever looks. */
  bytes: Uint8Array | undefined;
  /** The pages that have come; made once the list is whole. */
  arrived: DirtyBitmap | undefined;
}

/** What an attempt and its forks fill. */
class StagedMemory implements RamSink<StagedBlock> {
  readonly blocks: readonly StagedBlock[];
  readonly #pageBytes: number;
  readonly #tally: ReceiveTally;
  /** A whole list has come: from here on this is the machine's memory to be. */
  isListed = false;

  constructor(blocks: readonly RamBlock[], pageBytes: number, tally: ReceiveTally) {
    this.#pageBytes = pageBytes;
    this.#tally = tally;
    this.blocks = blocks.map((local) => ({
      idstr: local.idstr,
      length: local.length,
      local,
      bytes: undefined,
      arrived: undefined,
    }));
  }

  bytesOf(block: StagedBlock): Uint8Array {
    // The local block is what justifies the size, and the list has told the same one.
    block.bytes ??= allocate(this.#tally, block.length, block.length);
    return block.bytes;
  }

  release(): void {
    this.isListed = false;
    for (const block of this.blocks) {
      block.bytes = undefined;
      block.arrived = undefined;
    }
  }

  listing(idstr: string): void {
    if (this.#find(idstr) !== undefined) return;
    const hint = idstr === "" ? `; the total is wrong, or ${longerList}` : "";
    throw new MigrationError("RAM_BLOCK_UNKNOWN", `the stream names a RAM block that is not here${hint}`, {
      expected: this.blocks.map((block) => block.idstr).join(", "),
      found: `"${idstr}"`,
    });
  }

  listed(idstr: string, length: number): StagedBlock {
    const block = this.#find(idstr) as StagedBlock;
    if (block.length === length) return block;
    throw new MigrationError("RAM_BLOCK_MISMATCH", `the RAM block "${idstr}" has another length`, {
      expected: `${block.length} bytes`,
      found: `${length} bytes`,
    });
  }

  listComplete(listed: ReadonlyMap<string, StagedBlock>): void {
    const missing = this.blocks.filter(({ idstr }) => !listed.has(idstr));
    if (missing.length > 0) {
      throw new MigrationError("RAM_BLOCK_MISMATCH", "the stream's block list lacks a RAM block of this machine", {
        expected: missing.map(({ idstr, length }) => `"${idstr}" of ${length} bytes`).join(", "),
        found: [...listed.keys()].join(", "),
      });
    }
    this.isListed = true;
    for (const block of this.blocks) block.arrived ??= dirtyBitmap(block.length / this.#pageBytes);
  }

  accepts(kind: RamRecordKind): boolean {
    return kind !== "xbzrle" && kind !== "compress" && kind !== "mfflush";
  }

  payload({ block, offset }: PageRecord<StagedBlock>, at: number, bytes: Uint8Array, from: number, to: number): void {
    this.bytesOf(block).set(bytes.subarray(from, to), offset + at);
  }

  record(record: RamRecord<StagedBlock>): void {
    if (record.kind === "page") this.#tally.normalPages++;
    else if (record.kind === "zero") {
      this.#tally.zeroPages++;
      this.#fill(record);
    } else return;
    if (record.block.arrived?.set(record.offset / this.#pageBytes)) this.#tally.arrivedPages++;
  }

  sectionComplete(phase: RamPhase): void {
    // Nothing is left to fail at commit.
    if (phase === "end") for (const block of this.blocks) this.bytesOf(block);
  }

  fork(): StagedMemory {
    return this;
  }

  #find(idstr: string): StagedBlock | undefined {
    return this.blocks.find((block) => block.idstr === idstr);
  }

  /** Memory that nothing was written to is zero already, and stays unallocated. */
  #fill({ block, offset, fill }: PageRecord<StagedBlock>): void {
    if (fill === 0 && (block.bytes === undefined || !block.arrived?.test(offset / this.#pageBytes))) return;
    this.bytesOf(block).fill(fill, offset, offset + this.#pageBytes);
  }
}

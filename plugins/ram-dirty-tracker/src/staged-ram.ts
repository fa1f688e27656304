// The receiving side of RAM: fresh memory that an attempt fills, and that the machine takes over by reference or never
// sees. Its size is that of the LOCAL blocks: a stream can only fill what is here.
import { type BodyDecoder, MigrationError, type StagedIterable } from "@godwit/core";
import type { RamBlock } from "./block.ts";
import type { ListFormat } from "./list-format.ts";
import { type GuestMap, type GuestReader, guestReader } from "./memory.ts";
import { ramDecoder } from "./ram-decoder.ts";
import type { RamPhase, RamSection } from "./ram-sink.ts";
import { pageName, ramVersion } from "./records.ts";
import type { StagedBlock, StagedMemory } from "./staged-memory.ts";

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

/** The memory that the machine took over last, if any: what is absent in it stays so until the next is taken over. */
export interface LiveMemory {
  memory: StagedMemory | undefined;
}

export interface StagingInit {
  readonly memory: StagedMemory;
  readonly live: LiveMemory;
  readonly list: ListFormat;
}

export function stagedRam(blocks: readonly RamBlock[], map: GuestMap, pageBytes: number, init: StagingInit): StagedRam {
  return new Staging(blocks, map, pageBytes, init);
}

class Staging implements StagedRam {
  readonly #blocks: readonly RamBlock[];
  readonly #map: GuestMap;
  readonly #pageBytes: number;
  readonly #format: ListFormat;
  readonly #memory: StagedMemory;
  readonly #live: LiveMemory;
  /** What a commit took the place of, to be put back if a device fails. */
  #replaced: { readonly local: RamBlock; readonly bytes: Uint8Array }[] = [];
  #liveBefore: StagedMemory | undefined;
  #ended = false;

  constructor(blocks: readonly RamBlock[], map: GuestMap, pageBytes: number, { memory, live, list }: StagingInit) {
    this.#blocks = blocks;
    this.#map = map;
    this.#pageBytes = pageBytes;
    this.#format = list;
    this.#memory = memory;
    this.#live = live;
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
    const section = previous as RamSection<StagedBlock> | undefined;
    return ramDecoder(this.#memory, phase, this.#pageBytes, section, this.#format);
  }

  offer(): GuestReader {
    const memory = this.#memory;
    const bytesOf = (block: number): Uint8Array =>
      memory.isListed ? memory.bytesOf(memory.blocks[block] as StagedBlock) : (this.#blocks[block] as RamBlock).bytes();
    return guestReader(this.#map, bytesOf, () => memory.absence);
  }

  commit(): void {
    this.#expectGoing();
    this.#ended = this.#memory.absence === undefined;
    if (!this.#memory.isListed) return;
    try {
      for (const block of this.#memory.blocks) {
        const { local } = block;
        if (block.ignored) continue;
        this.#replaced.push({ local, bytes: local.exchange(this.#memory.bytesOf(block)) });
      }
      this.#memory.adopted();
      this.#liveBefore = this.#live.memory;
      this.#live.memory = this.#memory;
    } catch (error) {
      this.revert();
      this.#memory.release();
      throw error;
    }
  }

  settled(): void {
    this.#replaced = [];
    this.#liveBefore = undefined;
  }

  present(block: string, offset: number): Promise<void> {
    return this.#memory.absence?.whenPresent({ block, offset }) ?? Promise.resolve();
  }

  finish(): void {
    const missing = this.#memory.absence?.first();
    if (missing === undefined) return;
    throw new MigrationError("STREAM_TRUNCATED", "post-copy has ended, and pages have not come", {
      section: "ram/0",
      path: missing.block,
      expected: "all pages",
      found: `none at ${pageName(missing.block, missing.offset)}`,
    });
  }

  revert(): void {
    for (const { local, bytes } of this.#replaced.reverse()) local.exchange(bytes);
    this.#replaced = [];
    this.#memory.reverted();
    if (this.#live.memory === this.#memory) this.#live.memory = this.#liveBefore;
    this.#liveBefore = undefined;
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

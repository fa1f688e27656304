// What an attempt and its forks fill: one staged block for each local one, and every kind of page put in its place. In
// post-copy these become the machine's own memory while pages still come.
import { allocate, MigrationError } from "@godwit/core";
import { Absence, checkPages, type OnMissing } from "./absence.ts";
import { bitmapBytes, type DirtyBitmap, dirtyBitmap } from "./bitmap.ts";
import type { RamBlock } from "./block.ts";
import { type ListFormat, longerList } from "./list-format.ts";
import type { MultifdReceiver } from "./multifd/receiver.ts";
import { PayloadAssembly } from "./payload-assembly.ts";
import type { ListedBlock, ListedExtra, PageRecord, RamPhase, RamRecord, RamSink } from "./ram-sink.ts";
import type { RamRecordKind } from "./records.ts";
import type { InflateRaw } from "./stream-codec.ts";
import { xbzrleDecode } from "./xbzrle.ts";
import { inflatePage } from "./zlib-format.ts";

/** What a load can take beside ZERO, PAGE and XBZRLE records. */
export interface ReceiveInit {
  readonly list?: ListFormat;
  /** For compressed pages (QEMU's capability `compress`, up to 9.0). */
  readonly inflateRaw?: InflateRaw | undefined;
}

/** Whether such a record is known at all, and whether the channels are where it wants them. */
type Barrier = Pick<MultifdReceiver, "knows" | "mayPass">;

/** What an attempt has received, forks included; kept when its memory is gone. */
export interface ReceiveTally {
  zeroPages: number;
  normalPages: number;
  /** Those that came as a delta, and as zlib data. */
  xbzrlePages: number;
  compressedPages: number;
  /** Pages that came at least once, or need not. */
  arrivedPages: number;
  /** Staged memory, its bitmaps not counted. */
  allocatedBytes: number;
}

export function receiveTally(): ReceiveTally {
  return { zeroPages: 0, normalPages: 0, xbzrlePages: 0, compressedPages: 0, arrivedPages: 0, allocatedBytes: 0 };
}

export interface StagedBlock extends ListedBlock {
  readonly local: RamBlock;
  /** Its place in the machine's list. */
  readonly number: number;
  /** Its memory stays the local one, and no page may come. */
  readonly ignored: boolean;
  /** Made with the first content that is not zero, or for whoever looks. */
  bytes: Uint8Array | undefined;
  /** The pages that have come; made once the list is whole. */
  arrived: DirtyBitmap | undefined;
}

export class StagedMemory implements RamSink<StagedBlock> {
  readonly blocks: readonly StagedBlock[];
  readonly #pageBytes: number;
  readonly #tally: ReceiveTally;
  readonly #init: ReceiveInit;
  /** Of an encoded page; the decoder has bounded its length. */
  readonly #payload = new PayloadAssembly();
  #encoded: Uint8Array | undefined;
  /** With multifd. */
  barrier: Barrier | undefined;
  /** A whole list has come: from here on this is the machine's memory to be. */
  isListed = false;
  /** Post-copy: from LISTEN on. */
  #absence: Absence | undefined;
  /** The machine has taken the memory over, and pages go to it. */
  #isLive = false;
  #released = false;

  constructor(blocks: readonly RamBlock[], pageBytes: number, tally: ReceiveTally, init: ReceiveInit) {
    this.#pageBytes = pageBytes;
    this.#tally = tally;
    this.#init = init;
    this.blocks = blocks.map((local, number) => ({
      idstr: local.idstr,
      length: local.length,
      local,
      number,
      ignored: local.shared && init.list?.ignoreShared === true,
      bytes: undefined,
      arrived: undefined,
    }));
  }

  bytesOf(block: StagedBlock): Uint8Array {
    if (block.ignored || this.#isLive) return block.local.bytes();
    this.#expectHeld();
    // The local block is what justifies the size, and the list has told the same one.
    block.bytes ??= allocate(this.#tally, block.length, block.length);
    return block.bytes;
  }

  release(): void {
    this.#absence?.end();
    // What has not come to a machine that runs stays absent: to read zeros there would be worse than to stand still.
    if (this.#isLive) return;
    this.isListed = false;
    this.#released = true;
    for (const block of this.blocks) {
      block.bytes = undefined;
      block.arrived = undefined;
    }
  }

  /** Post-copy: the pages that have not come. */
  get absence(): Absence | undefined {
    return this.#absence;
  }

  /** The machine has taken over the memory, and only in post-copy more comes. */
  adopted(): void {
    if (this.#absence === undefined) {
      this.release();
      return;
    }
    this.#isLive = true;
    for (const block of this.blocks) block.bytes = undefined;
  }

  /** The machine has its old memory back. */
  reverted(): void {
    this.#isLive = false;
  }

  /** Pages that were sent, and have changed since. `RAM_ORDER`, `RAM_BLOCK_UNKNOWN`, `RAM_OFFSET`. */
  discard(idstr: string, ranges: readonly { readonly start: number; readonly length: number }[]): void {
    this.#expectBefore("a discard");
    const block = this.find(idstr);
    const pageBytes = this.#pageBytes;
    for (const { start, length } of ranges) {
      checkPages(block, idstr, start, length, pageBytes);
      const arrived = this.#arrivedOf(block);
      const end = (start + length) / pageBytes;
      // What has come and no more: a source may say it of everything, again and again.
      for (let page = arrived.nextSet(start / pageBytes); page >= 0 && page < end; page = arrived.nextSet(page + 1)) {
        arrived.clear(page);
        this.#tally.arrivedPages--;
        // A zero page is not stored where nothing was: so there must be nothing.
        if (!block.ignored) block.bytes?.fill(0, page * pageBytes, (page + 1) * pageBytes);
      }
    }
  }

  /** Post-copy begins: what has not come by now is absent, and what comes is taken once. `RAM_ORDER`. */
  listen(onMissing: OnMissing, nowMs: (() => number) | undefined): void {
    this.#expectBefore("a second beginning of post-copy");
    if (this.barrier !== undefined) {
      throw new MigrationError("RAM_ORDER", "post-copy does not go together with multifd", { found: "multifd" });
    }
    const blocks = this.blocks.map((block) => ({ ...block, arrived: this.#arrivedOf(block) }));
    this.#absence = new Absence(blocks, this.#pageBytes, onMissing, nowMs);
  }

  /** The pages of the block that have come, as recovery tells them. `RAM_BLOCK_UNKNOWN`. */
  received(idstr: string): Uint8Array {
    const block = this.find(idstr);
    if (block === undefined) {
      throw new MigrationError("RAM_BLOCK_UNKNOWN", "there is no such RAM block here", { found: `"${idstr}"` });
    }
    this.#expectHeld();
    const arrived = this.#arrivedOf(block);
    const bitmap = new Uint8Array(bitmapBytes(arrived.pages));
    for (let page = arrived.nextSet(0); page >= 0; page = arrived.nextSet(page + 1)) {
      bitmap[page >>> 3] = (bitmap[page >>> 3] as number) | (1 << (page & 7));
    }
    return bitmap;
  }

  #expectBefore(found: string): void {
    if (this.isListed && this.#absence === undefined) return;
    const expected = this.isListed ? "pages" : "the block list";
    throw new MigrationError("RAM_ORDER", "RAM is not at this point", { section: "ram/0", expected, found });
  }

  listing(idstr: string): void {
    if (this.find(idstr) !== undefined) return;
    const hint = idstr === "" ? `; the total is wrong, or ${longerList}` : "";
    throw new MigrationError("RAM_BLOCK_UNKNOWN", `the stream names a RAM block that is not here${hint}`, {
      expected: this.blocks.map((block) => block.idstr).join(", "),
      found: `"${idstr}"`,
    });
  }

  listed(idstr: string, length: number): StagedBlock {
    const block = this.find(idstr) as StagedBlock;
    if (block.length === length) return block;
    throw mismatch(`the RAM block "${idstr}" has another length`, `${block.length} bytes`, `${length} bytes`);
  }

  entry(block: StagedBlock, { address, mapped }: ListedExtra): void {
    if (block.ignored) {
      const gpa = block.local.map[0]?.gpa ?? 0;
      if (address !== BigInt(gpa)) {
        const detail = `the shared RAM block "${block.idstr}" stands at another guest address`;
        throw mismatch(detail, `0x${gpa.toString(16)}`, `0x${address?.toString(16)}`);
      }
      // The pages behind the header have no records: here is where they must be refused.
      if (mapped === undefined || mapped.pagesOffset === 0) return;
      const detail = `the file has pages of the RAM block "${block.idstr}", whose memory is shared here`;
      throw mismatch(detail, "a block that the source ignores", "its pages");
    }
    if (mapped === undefined || mapped.pagesOffset !== 0) return;
    const detail = `the file has no pages of the RAM block "${block.idstr}", which is not shared here`;
    throw mismatch(detail, "its pages", "a block that the source ignores");
  }

  listComplete(listed: ReadonlyMap<string, StagedBlock>): void {
    const missing = this.blocks.filter(({ idstr }) => !listed.has(idstr));
    if (missing.length > 0) {
      throw mismatch(
        "the stream's block list lacks a RAM block of this machine",
        missing.map(({ idstr, length }) => `"${idstr}" of ${length} bytes`).join(", "),
        [...listed.keys()].join(", "),
      );
    }
    this.isListed = true;
    for (const block of this.blocks) {
      const arrived = this.#arrivedOf(block);
      if (!block.ignored) continue;
      arrived.setAll();
      this.#tally.arrivedPages += arrived.pages;
    }
  }

  accepts(kind: RamRecordKind): boolean {
    // Against which content would a delta be? The guest writes to the page.
    if (kind === "xbzrle") return this.#absence === undefined;
    // One page's data is put together at a time, and in post-copy two connections bring some. QEMU has no both either.
    if (kind === "compress") return this.#absence === undefined && this.#init.inflateRaw !== undefined;
    return kind !== "mfflush" || this.barrier?.knows(kind) === true;
  }

  mayPass(kind: "eos" | "mfflush"): boolean {
    return this.barrier?.mayPass(kind) ?? true;
  }

  opening(block: StagedBlock): void {
    this.#expectHeld();
    if (!block.ignored) return;
    const detail = `a page came for the RAM block "${block.idstr}", whose memory is shared`;
    throw mismatch(detail, "no page of it", "a page");
  }

  payload(record: PageRecord<StagedBlock>, at: number, bytes: Uint8Array, from: number, to: number): void {
    const { kind, block, offset, payloadBytes } = record;
    if (kind === "page" || kind === "mapped") this.store(block, offset + at, bytes, from, to);
    else this.#encoded = this.#payload.add(payloadBytes, at, bytes, from, to);
  }

  record(record: RamRecord<StagedBlock>): void {
    switch (record.kind) {
      case "zero":
        this.fill(record.block, record.offset, record.fill);
        return;
      case "page":
      case "mapped":
        this.arrive(record.block, record.offset);
        return;
      case "xbzrle":
        this.#applyDelta(record);
        this.#tally.xbzrlePages++;
        return;
      case "compress":
        if (this.#mayStore(record.block, record.offset)) {
          this.#inflate(record);
          this.#tally.compressedPages++;
        }
        this.#arrived(record.block, record.offset);
        return;
    }
  }

  mappedComplete(block: StagedBlock): void {
    const arrived = this.#arrivedOf(block);
    for (let page = 0; page < arrived.pages; page++) {
      if (!arrived.set(page)) continue;
      this.#tally.zeroPages++;
      this.#tally.arrivedPages++;
    }
  }

  sectionComplete(phase: RamPhase): void {
    // Nothing is left to fail at commit.
    if (phase === "end") for (const block of this.blocks) this.bytesOf(block);
  }

  fork(): StagedMemory {
    return this;
  }

  find(idstr: string): StagedBlock | undefined {
    return this.blocks.find((block) => block.idstr === idstr);
  }

  /** A part of a page's content: `bytes` from `from` to `to`, for `at` of the block. */
  store(block: StagedBlock, at: number, bytes: Uint8Array, from: number, to: number): void {
    if (!this.#mayStore(block, at)) return;
    this.bytesOf(block).set(bytes.subarray(from, to), at);
  }

  /** A page whose content is in its place. */
  arrive(block: StagedBlock, offset: number): void {
    if (this.#mayStore(block, offset)) this.#tally.normalPages++;
    this.#arrived(block, offset);
  }

  /** A page of one byte. Memory that nothing was written to is zero already, and stays unallocated. */
  fill(block: StagedBlock, offset: number, byte: number): void {
    if (this.#mayStore(block, offset)) {
      // In post-copy a part of the page may have come by a connection that was lost.
      const isClean =
        this.#absence === undefined
          ? block.bytes === undefined || !this.#arrivedOf(block).test(offset / this.#pageBytes)
          : block.bytes === undefined && !this.#isLive;
      if (byte !== 0 || !isClean) this.bytesOf(block).fill(byte, offset, offset + this.#pageBytes);
      this.#tally.zeroPages++;
    }
    this.#arrived(block, offset);
  }

  /** In post-copy the guest may have written to a page that is there: it comes from elsewhere no more. */
  #mayStore(block: StagedBlock, at: number): boolean {
    return this.#absence === undefined || this.#absence.isAbsent(block.number, Math.floor(at / this.#pageBytes));
  }

  /** A channel's connection may outlive the attempt: what it brings then has no memory to go to. */
  #expectHeld(): void {
    if (!this.#released) return;
    throw new MigrationError("ATTEMPT_ENDED", "a page came when the incoming RAM was adopted or discarded");
  }

  #arrived(block: StagedBlock, offset: number): void {
    const page = offset / this.#pageBytes;
    if (this.#absence?.arrive(block.number, page) === false) return;
    if (this.#arrivedOf(block).set(page)) this.#tally.arrivedPages++;
  }

  /** A delta is against a page that came: QEMU would apply it to whatever memory is there. */
  #applyDelta({ block, offset, payloadBytes }: PageRecord<StagedBlock>): void {
    if (!this.#arrivedOf(block).test(offset / this.#pageBytes)) {
      throw new MigrationError("RAM_ORDER", "a delta came for a page that has not", {
        expected: "the page itself, before",
        found: "XBZRLE",
      });
    }
    if (payloadBytes === 0) return;
    xbzrleDecode(this.#encoded as Uint8Array, this.bytesOf(block).subarray(offset, offset + this.#pageBytes));
  }

  #inflate({ block, offset, payloadBytes }: PageRecord<StagedBlock>): void {
    const data = payloadBytes === 0 ? new Uint8Array(0) : (this.#encoded as Uint8Array);
    const page = inflatePage(data, this.#pageBytes, this.#init.inflateRaw as InflateRaw);
    this.bytesOf(block).set(page, offset);
  }

  #arrivedOf(block: StagedBlock): DirtyBitmap {
    block.arrived ??= dirtyBitmap(block.length / this.#pageBytes);
    return block.arrived;
  }
}

function mismatch(detail: string, expected: string, found: string): MigrationError {
  return new MigrationError("RAM_BLOCK_MISMATCH", detail, { expected, found });
}

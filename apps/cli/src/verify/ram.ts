// RAM sections, written again record by record while they are read. A page's content can be anything: what is verified of
// it is that it stands in its place.
import { Writer } from "@godwit/core";
import {
  type ListedBlock,
  type ListedExtra,
  type RamRecord,
  type RamWalkerInit,
  writeListedBlock,
  writeRamRecord,
} from "@godwit/ram-dirty-tracker";
import { type Findings, firstDifference, hexAt } from "./findings.ts";
import type { Original } from "./original.ts";

interface OpenRam {
  readonly section: string;
  /** What is to be written next. */
  at: number;
  records: number;
  blocks: number;
  comparedBytes: number;
  /** Of mapped-ram: bitmaps, gaps and holes, which are no records. */
  passedBytes: number;
  /** A section that differs once is out of step. */
  differs: boolean;
}

export interface RamVerified {
  readonly records: number;
  readonly comparedBytes: number;
  readonly passedBytes: number;
}

const none = new Uint8Array(0);

export class RamVerifier {
  readonly #original: Original;
  readonly #findings: Findings;
  readonly #fileOffset: () => number;
  readonly #open: OpenRam[] = [];
  readonly #out = new Writer(1 << 17);
  #payload: Uint8Array = none;
  /** The block of mapped-ram that is being read. */
  #mapped: { readonly pagesAt: number; readonly end: number } | undefined;

  constructor(original: Original, findings: Findings, fileOffset: () => number) {
    this.#original = original;
    this.#findings = findings;
    this.#fileOffset = fileOffset;
  }

  /** What the walker calls. */
  readonly walker: Omit<RamWalkerInit, "pageBytes" | "list"> = {
    onBlock: (block) => this.#block(block),
    payload: (_, bytes) => {
      this.#payload = bytes;
    },
    onRecord: (record) => this.#record(record),
  };

  /** Where the bytes begin that are still needed; undefined outside of RAM. */
  get neededFrom(): number | undefined {
    return this.#open[0]?.at;
  }

  opening(section: string, bodyOffset: number): void {
    this.#open.push({
      section,
      at: bodyOffset,
      records: 0,
      blocks: 0,
      comparedBytes: 0,
      passedBytes: 0,
      differs: false,
    });
  }

  /** The section has been read whole, up to `end`. */
  complete(end: number): RamVerified {
    const open = this.#open.shift() as OpenRam;
    if (open.at !== end && !open.differs) {
      this.#findings.add({
        code: "BYTES_DIFFER",
        message: "the records written again have another length",
        section: open.section,
        path: `records[${open.records}]`,
        offset: Math.min(open.at, end),
        expected: `${end} as the section's end`,
        found: String(open.at),
      });
    }
    return open;
  }

  #block(block: ListedBlock & ListedExtra): void {
    this.#leaveMapped();
    const open = this.#open.at(-1) as OpenRam;
    writeListedBlock(this.#out, block);
    this.#compare(open, block, none);
    open.blocks++;
    const { mapped, length } = block;
    if (mapped === undefined || mapped.pagesOffset === 0) return;
    const pagesAt = mapped.pagesOffset - this.#fileOffset();
    this.#mapped = { pagesAt, end: pagesAt + length };
  }

  #record(record: RamRecord): void {
    const open = this.#open.at(-1) as OpenRam;
    if (record.kind === "mapped") {
      this.#passTo(open, (this.#mapped?.pagesAt ?? open.at) + record.offset);
      this.#out.raw(this.#payload);
    } else {
      this.#leaveMapped();
      writeRamRecord(this.#out, record, none);
    }
    const payload = record.kind === "mapped" ? none : this.#payload;
    this.#payload = none;
    this.#compare(open, record, payload);
    open.records++;
  }

  #leaveMapped(): void {
    if (this.#mapped === undefined) return;
    this.#passTo(this.#open.at(-1) as OpenRam, this.#mapped.end);
    this.#mapped = undefined;
  }

  #passTo(open: OpenRam, offset: number): void {
    open.passedBytes += offset - open.at;
    open.at = offset;
  }

  /** What was written, and a payload behind it, with what stands in the stream. */
  #compare(open: OpenRam, what: ListedBlock | RamRecord, payload: Uint8Array): void {
    this.#one(open, what, this.#out.written());
    this.#out.pos = 0;
    if (payload.length > 0) this.#one(open, what, payload);
  }

  #one(open: OpenRam, what: ListedBlock | RamRecord, made: Uint8Array): void {
    const found = this.#original.at(open.at, made.length);
    const differs = open.differs ? -1 : firstDifference(made, found);
    if (differs >= 0) {
      open.differs = true;
      this.#findings.add({
        code: "BYTES_DIFFER",
        message: "the record written again is another",
        section: open.section,
        path: pathOf(open, what),
        offset: open.at + differs,
        expected: hexAt(made, differs),
        found: hexAt(found, differs),
      });
    }
    if (!open.differs) open.comparedBytes += made.length;
    open.at += made.length;
  }
}

function pathOf({ blocks, records }: OpenRam, what: ListedBlock | RamRecord): string {
  if (!("kind" in what)) return `blocks[${blocks}] (${what.idstr})`;
  const page =
    "block" in what ? ` (${what.kind} ${what.block.idstr}+0x${what.offset.toString(16)})` : ` (${what.kind})`;
  return `records[${records}]${page}`;
}

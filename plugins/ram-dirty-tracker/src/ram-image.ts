// The RAM that a stream brings, in memory made for it: for tools, which have no machine.
import { MigrationError } from "@godwit/core";
import { type DirtyBitmap, dirtyBitmap } from "./bitmap.ts";
import type { ListFormat } from "./list-format.ts";
import type { ListedBlock, ListedExtra, PageRecord, RamRecord } from "./ram-sink.ts";
import { type RamWalker, ramWalker } from "./ram-walker.ts";
import { defaultPageBytes } from "./records.ts";
import type { InflateRaw } from "./stream-codec.ts";
import { xbzrleDecode } from "./xbzrle.ts";
import { inflatePage } from "./zlib-format.ts";

export interface RamImageInit {
  /** Bytes of a target page. The default is 4096. */
  readonly pageBytes?: number;
  /** What the block list holds. */
  readonly list?: ListFormat;
  /** For compressed pages. */
  readonly inflateRaw?: InflateRaw;
  /** How much memory a stream may ask for by its block list. Bytes; the default is 1 GiB. `LENGTH_BOUND` beyond. */
  readonly boundBytes?: number;
}

export interface RamImage {
  /** What reads the stream's ram sections. */
  readonly walker: RamWalker;
  /** The blocks in the order of the list, with their memory as far as it has come. */
  readonly blocks: ReadonlyMap<string, ImageBlock>;
  /** Pages of the listed blocks that have not come; a whole stream leaves none, but where they go by channels or are shared. */
  missingPages(): number;
}

export interface ImageBlock extends ListedBlock, ListedExtra {
  readonly bytes: Uint8Array;
}

/** Memory is allocated on the stream's word here, up to the bound: a tool has no machine to compare with. */
export function ramImage(init: RamImageInit = {}): RamImage {
  const { pageBytes = defaultPageBytes, list, inflateRaw, boundBytes = 2 ** 30 } = init;
  const blocks = new Map<string, ImageBlock>();
  const arrived = new Map<string, DirtyBitmap>();
  let total = 0;
  const pageOf = ({ block, offset }: PageRecord): Uint8Array =>
    (blocks.get(block.idstr) as ImageBlock).bytes.subarray(offset, offset + pageBytes);

  const payload = (record: PageRecord, content: Uint8Array): void => {
    const page = pageOf(record);
    if (record.kind === "xbzrle") xbzrleDecode(content, page);
    else if (record.kind !== "compress") page.set(content);
    else if (inflateRaw !== undefined) page.set(inflatePage(content, pageBytes, inflateRaw));
    else throw new MigrationError("RAM_ENCODING", "a compressed page came, and nothing here inflates it");
  };

  const walker = ramWalker({
    pageBytes,
    ...(list && { list }),
    onBlock(block) {
      total += block.length;
      if (total > boundBytes) {
        throw new MigrationError("LENGTH_BOUND", "the stream lists more memory than this tool takes", {
          expected: `at most ${boundBytes} bytes`,
          found: `${total} bytes`,
        });
      }
      blocks.set(block.idstr, { ...block, bytes: new Uint8Array(block.length) });
      const pages = dirtyBitmap(block.length / pageBytes);
      // A page that has no bit in a mapped-ram file is zero: it is there as well.
      if (block.mapped !== undefined && block.mapped.pagesOffset !== 0) pages.setAll();
      arrived.set(block.idstr, pages);
    },
    payload,
    onRecord(record: RamRecord) {
      if (!("block" in record)) return;
      if (record.kind === "zero") pageOf(record).fill(record.fill);
      arrived.get(record.block.idstr)?.set(record.offset / pageBytes);
    },
  });
  const missingPages = (): number => [...arrived.values()].reduce((sum, { pages, count }) => sum + pages - count, 0);
  return { walker, blocks, missingPages };
}

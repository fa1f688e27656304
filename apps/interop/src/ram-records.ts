// The records of ram sections, written again as they are read: what comes out must be what came in.
import { Writer } from "@godwit/core";
import {
  type ListFormat,
  type RamPhase,
  type RamSection,
  type RamWalker,
  ramWalker,
  writeListedBlock,
  writeRamRecord,
} from "@godwit/ram-dirty-tracker";

export interface RamRewriter {
  readonly walker: RamWalker;
  /** The data of each section, in their order. */
  readonly sections: readonly Writer[];
}

/** Pages of mapped-ram are no records, and are not written again. */
export function ramRewriter(pageBytes: number, list: ListFormat): RamRewriter {
  const sections: Writer[] = [];
  const current = (): Writer => sections.at(-1) as Writer;
  let payload: Uint8Array | undefined;
  const walker = ramWalker({
    pageBytes,
    list,
    onBlock: (block) => writeListedBlock(current(), block),
    payload(_, bytes) {
      payload = bytes.slice();
    },
    onRecord(record) {
      writeRamRecord(current(), record, payload);
      payload = undefined;
    },
  });
  return {
    sections,
    walker: {
      decoder(phase: RamPhase, previous?: RamSection) {
        sections.push(new Writer(1 << 20));
        return walker.decoder(phase, previous);
      },
    },
  };
}

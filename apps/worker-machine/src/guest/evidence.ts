// Whether the guest has lost, repeated or torn anything: its memory and registers against a model that executes no
// instruction.
import type { Registers } from "../cpu/registers.ts";
import { afterDoneStore, afterTableStore, layout, nextChain, prologueLength, recordLength } from "./program.ts";

export interface Evidence {
  /** Complete records since reset. */
  readonly records: number;
  /** What is wrong; empty where the evidence is whole. At most ten lines. */
  readonly problems: readonly string[];
}

const maxProblems = 10;

/** Of a standing machine. Takes time in proportion to the records. */
export function examine(ram: Uint8Array, { pc, instret, halted, cause }: Registers): Evidence {
  const view = new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
  const records = view.getUint32(layout.doneAt, true);
  const problems: string[] = [];
  const expect = (what: string, expected: number, found: number) => {
    if (expected === found) return;
    if (problems.length < maxProblems) problems.push(`${what}: expected ${expected}, found ${found}`);
  };
  if (halted) problems.push(`the hart has halted at ${pc} with cause ${cause}`);

  // Where the hart is in its program says how many instructions it must have retired.
  const at = pc / 4 - prologueLength;
  if (at >= 0) {
    const finished = at >= afterDoneStore ? records - 1 : records;
    expect("instret", prologueLength + finished * recordLength + at, instret);
  } else expect("instret", pc / 4, instret);

  const table = new Uint32Array(layout.tableBytes / 4);
  const chains = new Int32Array(layout.recordSlots);
  let chain = 0;
  for (let n = 1; n <= records; n++) {
    chain = nextChain(chain, n);
    chains[n % layout.recordSlots] = chain;
    addTo(table, chain, n);
  }
  const isInTable = at >= afterTableStore && at < afterDoneStore;
  if (isInTable) addTo(table, nextChain(chain, records + 1), records + 1);
  for (const [i, word] of table.entries()) {
    expect(`table[${i}]`, word, view.getUint32(layout.tableAt + 4 * i, true));
  }
  // The slot of the record that is being written holds some of it and some of its predecessor.
  for (let n = Math.max(1, records - layout.recordSlots + 2); n <= records; n++) {
    const slot = n % layout.recordSlots;
    const offset = layout.recordsAt + slot * layout.recordBytes;
    const own = chains[slot] as number;
    const words = [n, own, n ^ own, ~(n ^ own)];
    for (const [i, word] of words.entries()) {
      expect(`record ${n}, word ${i}`, word | 0, view.getInt32(offset + 4 * i, true));
    }
  }
  return { records, problems };
}

function addTo(table: Uint32Array, chain: number, sequence: number): void {
  const index = (chain & (layout.tableBytes - 4)) >>> 2;
  table[index] = (table[index] as number) + sequence;
}

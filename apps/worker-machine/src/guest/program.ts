// The guest: it writes records for ever, each with a sequence number and a checksum that depends on all before it.
import {
  add,
  addi,
  and,
  jump,
  lui,
  lw,
  s0,
  s1,
  s2,
  s3,
  s4,
  s5,
  s6,
  slli,
  srli,
  sw,
  t0,
  t1,
  t2,
  t3,
  xor,
  xori,
} from "./assembler.ts";

export const ramBytes = 256 * 1024;

/**
 * Where the guest keeps what. A record is four words: sequence number, chain, their exclusive or, and its complement;
 * record n stands at slot n modulo `recordSlots`. Each also adds its number to one word of the table.
 */
export const layout = {
  /** The number of records that are complete. */
  doneAt: 0x1000,
  recordsAt: 0x2000,
  recordSlots: 1024,
  recordBytes: 16,
  tableAt: 0x1_0000,
  tableBytes: 0x2_0000,
} as const;

const prologue = [
  lui(s2, layout.recordsAt),
  lui(s3, layout.tableAt),
  lui(s4, layout.doneAt),
  // Masks: a byte offset among the records, and among the table's words.
  lui(s5, 0x4000),
  addi(s5, s5, -layout.recordBytes),
  lui(s6, layout.tableBytes),
  addi(s6, s6, -4),
];

/** Without a branch: every record takes as many instructions as the next, so that none can be missing unseen. */
const record = [
  addi(s0, s0, 1),
  slli(t0, s1, 13),
  xor(s1, s1, t0),
  srli(t0, s1, 17),
  xor(s1, s1, t0),
  slli(t0, s1, 5),
  xor(s1, s1, t0),
  add(s1, s1, s0),
  and(t1, s1, s6),
  add(t1, t1, s3),
  lw(t2, 0, t1),
  add(t2, t2, s0),
  sw(t2, 0, t1),
  slli(t3, s0, 4),
  and(t3, t3, s5),
  add(t3, t3, s2),
  sw(s0, 0, t3),
  sw(s1, 4, t3),
  xor(t0, s0, s1),
  sw(t0, 8, t3),
  xori(t0, t0, -1),
  sw(t0, 12, t3),
  sw(s0, 0, s4),
];
const loop = [...record, jump(-4 * record.length)];

/** Instructions. */
export const prologueLength = prologue.length;
export const recordLength = loop.length;
/** Places in the loop behind which the table has this record, and `done` counts it. */
export const afterTableStore = 13;
export const afterDoneStore = 23;

export function loadProgram(ram: Uint8Array): void {
  const view = new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
  for (const [i, word] of [...prologue, ...loop].entries()) view.setInt32(4 * i, word, true);
}

/** The chain's next value, as the guest computes it. */
export function nextChain(chain: number, sequence: number): number {
  let next = chain;
  next ^= next << 13;
  next ^= next >>> 17;
  next ^= next << 5;
  return (next + sequence) | 0;
}

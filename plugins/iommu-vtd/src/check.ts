// What can be wrong in a state that arrived: parts that contradict each other, or that would lead outside a table.
import { MigrationError } from "@godwit/core";
import { csrBytes, type VtdState } from "./description.ts";
import { hex } from "./fault.ts";
import { faultRecord, faultStatus, global, RegisterFile, register } from "./registers.ts";

/** Refuses a state that no unit can be in, with `DEVICE_CHECK`, the field, what was expected and what was found. */
export function checkVtdState(state: VtdState): void {
  const registers = new RegisterFile(state.csr);
  checkEnables(state, registers);
  checkTables(state, registers);
  if (state.qi_enabled) checkQueue(state, registers);
  checkFaultRecords(state, registers);
}

/** Refuses a state of a unit that can do other things than this one: its guest relies on what it was told. */
export function checkSameUnit(state: VtdState, csr: Uint8Array): void {
  const theirs = new RegisterFile(state.csr);
  const ours = new RegisterFile(csr);
  for (const [name, offset] of [
    ["VER", register.VER],
    ["CAP", register.CAP],
    ["CAP", register.CAP + 4],
    ["ECAP", register.ECAP],
    ["ECAP", register.ECAP + 4],
  ] as const) {
    if (theirs.get(offset) === ours.get(offset)) continue;
    const detail = `the incoming unit has other capabilities (${name}, bits ${(offset % 8) * 8} and up)`;
    throw refusal(`csr[${offset}]`, detail, hex(ours.get(offset)), hex(theirs.get(offset)));
  }
}

/** The flags that the unit acts on, and GSTS, which tells the guest of them, move together. */
function checkEnables(state: VtdState, registers: RegisterFile): void {
  for (const [field, bit, name] of [
    ["dmar_enabled", global.TRANSLATION, "TES"],
    ["qi_enabled", global.QUEUED_INVALIDATION, "QIES"],
    ["intr_enabled", global.INTERRUPT_REMAPPING, "IRES"],
  ] as const) {
    const status = registers.has(register.GSTS, bit);
    if (state[field] === status) continue;
    throw refusal(field, `it contradicts GSTS.${name} in csr[${register.GSTS}]`, String(status), String(state[field]));
  }
}

/**
 * Table pointers are whole pages, and there are none before a command has set them. RTADDR and IRTA may differ from
 * them: the guest may have written the registers since.
 */
function checkTables(state: VtdState, registers: RegisterFile): void {
  for (const [field, bit, command] of [
    ["root", global.ROOT_POINTER, "SRTP"],
    ["intr_root", global.INTERRUPT_POINTER, "SIRTP"],
  ] as const) {
    checkPage(field, state[field]);
    if (state[field] !== 0n && !registers.has(register.GSTS, bit)) {
      const detail = `there is a table, but GSTS in csr[${register.GSTS}] says that ${command} never set one`;
      throw refusal(field, detail, "0x0", `0x${state[field].toString(16)}`);
    }
  }
  const entries = state.intr_size;
  if (entries !== 0 && !(isPowerOfTwo(entries) && entries >= 2 && entries <= 0x1_0000)) {
    throw refusal(
      "intr_size",
      "no interrupt table has this size",
      "0, or a power of two from 2 to 65536",
      String(entries),
    );
  }
}

function checkQueue(state: VtdState, registers: RegisterFile): void {
  checkPage("iq", state.iq);
  const { iq_size: size, iq_head: head, iq_tail: tail } = state;
  if (!isPowerOfTwo(size) || size < 128) {
    throw refusal("iq_size", "no invalidation queue has this size", "a power of two from 128 to 32768", String(size));
  }
  if (head >= size) throw refusal("iq_head", "it lies outside the queue", `0 to ${size - 1}`, String(head));
  // A guest may write any tail; a unit that found it outside stands still with IQE.
  if (tail >= size && !registers.has(register.FSTS, faultStatus.QUEUE_ERROR)) {
    throw refusal("iq_tail", "it lies outside the queue", `0 to ${size - 1}`, String(tail));
  }
  for (const [field, offset, index] of [
    ["iq_head", register.IQH, head],
    ["iq_tail", register.IQT, tail],
  ] as const) {
    const bytes = registers.get(offset);
    // Descriptors have 16 bytes, or 32 where the guest chose so.
    if (bytes === index * 16 || bytes === index * 32) continue;
    throw refusal(field, `it contradicts the register in csr[${offset}]`, String(bytes / 16), String(index));
  }
}

function checkFaultRecords(state: VtdState, registers: RegisterFile): void {
  const records = ((registers.get(register.CAP + 4) >>> 8) & 0xff) + 1;
  const at = (((registers.get(register.CAP) >>> 24) | ((registers.get(register.CAP + 4) & 0x3) << 8)) >>> 0) * 16;
  if (at + records * faultRecord.bytes > csrBytes) {
    throw refusal(
      `csr[${register.CAP}]`,
      "CAP places fault records outside the registers",
      `an end of at most ${hex(csrBytes)}`,
      `${records} from ${hex(at)} on`,
    );
  }
  if (state.next_frcd_reg < records) return;
  throw refusal("next_frcd_reg", "there is no such fault record", `0 to ${records - 1}`, String(state.next_frcd_reg));
}

function checkPage(path: string, address: bigint): void {
  if ((address & 0xfffn) === 0n && address < 1n << 52n) return;
  throw refusal(path, "no table can stand there", "a page's address below 2^52", `0x${address.toString(16)}`);
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && (value & (value - 1)) === 0;
}

function refusal(path: string, detail: string, expected: string, found: string): MigrationError {
  return new MigrationError("DEVICE_CHECK", detail, { path, expected, found });
}

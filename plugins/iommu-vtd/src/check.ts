// What can be wrong in a state that arrived: parts that contradict each other, or that would lead outside a table.
import { MigrationError } from "@godwit/core";
import { type Capability, capabilityOf, refuseOtherCapability } from "./capability.ts";
import { csrBytes, type VtdState } from "./description.ts";
import { hex } from "./fault.ts";
import { descriptorBytesOf } from "./queue-shape.ts";
import { faultRecord, global, RegisterFile, register } from "./registers.ts";

/** Refuses a state that no unit can be in, with `DEVICE_CHECK`, the field, what was expected and what was found. */
export function checkVtdState(state: VtdState): void {
  const registers = new RegisterFile(state.csr);
  const capability = capabilityOf(registers);
  checkStatus(registers);
  checkEnables(state, registers);
  checkTables(state, registers);
  checkInterruptTable(state, registers, capability);
  checkIndexes(state, registers, capability);
  if (state.qi_enabled) checkQueue(state, registers);
  checkFaultRecords(state, registers);
}

/** Refuses a state of a unit that can do other things than this one: its guest relies on what it was told. */
export function checkSameUnit(state: VtdState, csr: Uint8Array): void {
  refuseOtherCapability(new RegisterFile(state.csr), new RegisterFile(csr), "the incoming unit has other capabilities");
}

/** GSTS has no bits but those that a command of this kind of unit sets. */
function checkStatus(registers: RegisterFile): void {
  const known = Object.values(global).reduce((bits, bit) => bits | bit, 0) >>> 0;
  const status = registers.get(register.GSTS);
  if ((status & ~known) === 0) return;
  throw refusal(`csr[${register.GSTS}]`, "GSTS has bits that no unit sets", `bits of ${hex(known)}`, hex(status));
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
}

/** A table that was set has a size; before, there is none of it. What it is for must be on offer. */
function checkInterruptTable(state: VtdState, registers: RegisterFile, { intremap }: Capability): void {
  const entries = state.intr_size;
  const isSet = registers.has(register.GSTS, global.INTERRUPT_POINTER);
  if (isSet ? !(isPowerOfTwo(entries) && entries >= 2 && entries <= 0x1_0000) : entries !== 0) {
    const expected = isSet ? "a power of two from 2 to 65536" : "0 before SIRTP has set a table";
    throw refusal("intr_size", "no interrupt-remapping table has this size", expected, String(entries));
  }
  for (const [field, possible, why] of [
    ["intr_enabled", intremap, `the unit's ECAP in csr[${register.ECAP}] has no IR`],
    // EIM is not asked: QEMU latches EIME whatever is on offer.
    ["intr_eime", isSet, "only a table that was set has 32-bit destinations"],
  ] as const) {
    if (state[field] && !possible) throw refusal(field, why, "false", "true");
  }
  if (registers.has(register.GSTS, global.COMPATIBILITY_FORMAT) && !intremap) {
    const detail = `GSTS says that CFI is set, but ECAP in csr[${register.ECAP}] has no IR`;
    throw refusal(`csr[${register.GSTS}]`, detail, "CFIS 0", "CFIS 1");
  }
}

/**
 * IQH and IQT tell in bytes what `iq_head` and `iq_tail` tell in descriptors. IQA is no witness to how wide they are: a
 * guest may have written it since. A tail in the middle of a wide descriptor is in IQT, but was not taken over.
 */
function checkIndexes(state: VtdState, registers: RegisterFile, { scalableMode }: Capability): void {
  const widths = scalableMode ? [16, 32] : [16];
  for (const [field, offset] of [
    ["iq_head", register.IQH],
    ["iq_tail", register.IQT],
  ] as const) {
    const bytes = registers.get(offset);
    if (widths.some((width) => bytes === state[field] * width)) continue;
    if (field === "iq_tail" && bytes % 32 === 16 && descriptorBytesOf(state, registers) === 32) continue;
    throw refusal(field, `it contradicts the register in csr[${offset}]`, String(bytes / 16), String(state[field]));
  }
  if (state.iq_last_desc_type > 0x7f) {
    const expected = "a type of at most 7 bits";
    throw refusal("iq_last_desc_type", "there are no such descriptors", expected, String(state.iq_last_desc_type));
  }
}

function checkQueue(state: VtdState, registers: RegisterFile): void {
  checkPage("iq", state.iq);
  const { iq_size: size, iq_head: head } = state;
  const wide = descriptorBytesOf(state, registers) === 32;
  const [least, most] = wide ? [0x80, 0x4000] : [0x100, 0x8000];
  if (!isPowerOfTwo(size) || size < least || size > most) {
    const expected = `a power of two from ${least} to ${most}`;
    throw refusal("iq_size", "no invalidation queue has this size", expected, String(size));
  }
  // The tail may lie outside: a guest may write any, and it stays there when the guest has cleared IQE.
  if (head >= size) throw refusal("iq_head", "it lies outside the queue", `0 to ${size - 1}`, String(head));
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

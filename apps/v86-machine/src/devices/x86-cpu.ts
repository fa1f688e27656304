// The processor as the guest sees it: eip and eflags as the architecture has them, not as v86 caches them.
import {
  array,
  bool,
  type Description,
  type KernelForPlugins,
  range,
  struct,
  u8,
  u16,
  u32,
  u64,
  vmstate,
} from "@godwit/core";
import type { V86Cpu } from "../emulator/v86-objects.ts";

export interface SegmentState {
  selector: number;
  base: number;
  limit: number;
  /** The descriptor's access byte. */
  access: number;
  null_selector: boolean;
}

export interface TableState {
  base: number;
  limit: number;
}

export interface FpuState {
  fpuc: number;
  fpus: number;
  fpstt: number;
  /** A bit a register: empty. */
  fptag: number;
  fpop: number;
  fpip: number;
  fpcs: number;
  fpdp: number;
  fpds: number;
  fpregs: { mantissa: bigint; exponent: number }[];
}

export interface X86CpuState {
  /** eax, ecx, edx, ebx, esp, ebp, esi, edi. */
  regs: Uint32Array;
  eip: number;
  eflags: number;
  halted: boolean;
  cpl: number;
  protected_mode: boolean;
  code_32: boolean;
  stack_32: boolean;
  tss_32: boolean;
  /** es, cs, ss, ds, fs, gs, tr, ldtr. */
  segs: SegmentState[];
  gdt: TableState;
  idt: TableState;
  cr: Uint32Array;
  dr: Uint32Array;
  pdpte: BigUint64Array;
  sysenter_cs: number;
  sysenter_esp: number;
  sysenter_eip: number;
  tsc: bigint;
  fpu: FpuState;
  /** Eight registers of four 32-bit words, the lowest first. */
  xmm_regs: Uint32Array;
  mxcsr: number;
}

const segment: Description<SegmentState> = vmstate({
  name: "segment",
  version: 1,
  fields: { selector: u16, base: u32, limit: u32, access: u8, null_selector: bool },
});

const table: Description<TableState> = vmstate({
  name: "descriptor-table",
  version: 1,
  fields: { base: u32, limit: u32 },
});

const fpuRegister: Description<FpuState["fpregs"][number]> = vmstate({
  name: "fpreg",
  version: 1,
  fields: { mantissa: u64, exponent: u16 },
});

const fpu: Description<FpuState> = vmstate({
  name: "fpu",
  version: 1,
  fields: {
    fpuc: u16,
    fpus: u16,
    fpstt: range(u8, 0, 7),
    fptag: u8,
    fpop: u32,
    fpip: u32,
    fpcs: u32,
    fpdp: u32,
    fpds: u32,
    fpregs: array(struct(fpuRegister), 8),
  },
});

export const x86Cpu: Description<X86CpuState> = vmstate({
  name: "cpu",
  version: 1,
  fields: {
    regs: array(u32, 8),
    eip: u32,
    eflags: u32,
    halted: bool,
    cpl: range(u8, 0, 3),
    protected_mode: bool,
    code_32: bool,
    stack_32: bool,
    tss_32: bool,
    segs: array(struct(segment), 8),
    gdt: struct(table),
    idt: struct(table),
    cr: array(u32, 8),
    dr: array(u32, 8),
    pdpte: array(u64, 4),
    sysenter_cs: u32,
    sysenter_esp: u32,
    sysenter_eip: u32,
    tsc: u64,
    fpu: struct(fpu),
    xmm_regs: array(u32, 32),
    mxcsr: u32,
  },
});

export function x86CpuDevice(kernel: KernelForPlugins, cpu: V86Cpu, ramIdstr: string): void {
  kernel.device(x86Cpu, {
    after: [ramIdstr],
    save: () => save(cpu),
    load: (state) => {
      load(cpu, state);
      forgetCaches(cpu);
    },
  });
}

/** What v86 has compiled and translated from the memory before. */
export function forgetCaches(cpu: V86Cpu): void {
  cpu.update_state_flags();
  cpu.full_clear_tlb();
  cpu.jit_clear_cache();
}

const codeSegment = 1;
const wordsPerFpuRegister = 4;

function one(register: ArrayLike<number>): number {
  return (register[0] as number) >>> 0;
}

function save(cpu: V86Cpu): X86CpuState {
  cpu.store_current_tsc();
  const pdpte = unsigned(cpu.reg_pdpte);
  return {
    regs: unsigned(cpu.reg32),
    eip: (one(cpu.instruction_pointer) - (cpu.segment_offsets[codeSegment] as number)) >>> 0,
    eflags: cpu.get_eflags() >>> 0,
    halted: one(cpu.in_hlt) !== 0,
    cpl: one(cpu.cpl),
    protected_mode: one(cpu.protected_mode) !== 0,
    code_32: one(cpu.is_32) !== 0,
    stack_32: one(cpu.stack_size_32) !== 0,
    tss_32: one(cpu.tss_size_32) !== 0,
    segs: Array.from({ length: 8 }, (_, index) => ({
      selector: cpu.sreg[index] as number,
      base: (cpu.segment_offsets[index] as number) >>> 0,
      limit: cpu.segment_limits[index] as number,
      access: cpu.segment_access_bytes[index] as number,
      null_selector: cpu.segment_is_null[index] !== 0,
    })),
    gdt: { base: one(cpu.gdtr_offset), limit: one(cpu.gdtr_size) },
    idt: { base: one(cpu.idtr_offset), limit: one(cpu.idtr_size) },
    cr: unsigned(cpu.cr),
    dr: unsigned(cpu.dreg),
    pdpte: BigUint64Array.from({ length: 4 }, (_, index) =>
      joined(pdpte[2 * index] as number, pdpte[2 * index + 1] as number),
    ),
    sysenter_cs: one(cpu.sysenter_cs),
    sysenter_esp: one(cpu.sysenter_esp),
    sysenter_eip: one(cpu.sysenter_eip),
    tsc: joined(cpu.current_tsc[0] as number, cpu.current_tsc[1] as number),
    fpu: saveFpu(cpu),
    xmm_regs: unsigned(cpu.reg_xmm32s),
    mxcsr: one(cpu.mxcsr),
  };
}

function saveFpu(cpu: V86Cpu): FpuState {
  const words = unsigned(cpu.fpu_st);
  return {
    fpuc: one(cpu.fpu_control_word),
    fpus: one(cpu.fpu_status_word),
    fpstt: one(cpu.fpu_stack_ptr),
    fptag: one(cpu.fpu_stack_empty),
    fpop: one(cpu.fpu_opcode),
    fpip: one(cpu.fpu_ip),
    fpcs: one(cpu.fpu_ip_selector),
    fpdp: one(cpu.fpu_dp),
    fpds: one(cpu.fpu_dp_selector),
    fpregs: Array.from({ length: 8 }, (_, index) => {
      const at = index * wordsPerFpuRegister;
      return {
        mantissa: joined(words[at] as number, words[at + 1] as number),
        exponent: (words[at + 2] as number) & 0xffff,
      };
    }),
  };
}

function load(cpu: V86Cpu, state: X86CpuState): void {
  cpu.reg32.set(state.regs);
  for (const [index, { selector, base, limit, access, null_selector }] of state.segs.entries()) {
    cpu.sreg[index] = selector;
    cpu.segment_offsets[index] = base;
    cpu.segment_limits[index] = limit;
    cpu.segment_access_bytes[index] = access;
    cpu.segment_is_null[index] = Number(null_selector);
  }
  cpu.instruction_pointer[0] = state.eip + (state.segs[codeSegment] as SegmentState).base;
  cpu.previous_ip[0] = cpu.instruction_pointer[0] as number;
  cpu.prefixes[0] = 0;
  // All flags are up to date: none is left to be computed from the last result.
  cpu.flags[0] = state.eflags;
  cpu.flags_changed[0] = 0;
  cpu.in_hlt[0] = Number(state.halted);
  cpu.cpl[0] = state.cpl;
  cpu.protected_mode[0] = Number(state.protected_mode);
  cpu.is_32[0] = Number(state.code_32);
  cpu.stack_size_32[0] = Number(state.stack_32);
  cpu.tss_size_32[0] = Number(state.tss_32);
  cpu.gdtr_offset[0] = state.gdt.base;
  cpu.gdtr_size[0] = state.gdt.limit;
  cpu.idtr_offset[0] = state.idt.base;
  cpu.idtr_size[0] = state.idt.limit;
  cpu.cr.set(state.cr);
  cpu.dreg.set(state.dr);
  for (const [index, entry] of state.pdpte.entries()) cpu.reg_pdpte.set(halves(entry), 2 * index);
  cpu.sysenter_cs[0] = state.sysenter_cs;
  cpu.sysenter_esp[0] = state.sysenter_esp;
  cpu.sysenter_eip[0] = state.sysenter_eip;
  setTsc(cpu, state.tsc);
  loadFpu(cpu, state.fpu);
  cpu.reg_xmm32s.set(state.xmm_regs);
  cpu.mxcsr[0] = state.mxcsr;
}

function loadFpu(cpu: V86Cpu, state: FpuState): void {
  cpu.fpu_control_word[0] = state.fpuc;
  cpu.fpu_status_word[0] = state.fpus;
  cpu.fpu_stack_ptr[0] = state.fpstt;
  cpu.fpu_stack_empty[0] = state.fptag;
  cpu.fpu_opcode[0] = state.fpop;
  cpu.fpu_ip[0] = state.fpip;
  cpu.fpu_ip_selector[0] = state.fpcs;
  cpu.fpu_dp[0] = state.fpdp;
  cpu.fpu_dp_selector[0] = state.fpds;
  for (const [index, { mantissa, exponent }] of state.fpregs.entries()) {
    cpu.fpu_st.set([...halves(mantissa), exponent], index * wordsPerFpuRegister);
  }
}

/**
 * v86's `set_tsc` is relative to the offset that is set already: the counter comes out wrong by that offset in a machine
 * that was restored before. Setting it to what it reads takes the offset away.
 */
function setTsc(cpu: V86Cpu, tsc: bigint): void {
  cpu.store_current_tsc();
  cpu.set_tsc(cpu.current_tsc[0] as number, cpu.current_tsc[1] as number);
  cpu.set_tsc(...halves(tsc));
}

function unsigned(registers: ArrayLike<number>): Uint32Array {
  return Uint32Array.from(registers);
}

function joined(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low);
}

function halves(value: bigint): [low: number, high: number] {
  return [Number(value & 0xffff_ffffn), Number(value >> 32n)];
}

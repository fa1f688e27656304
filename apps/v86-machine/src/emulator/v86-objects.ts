/**
 * The objects inside of v86 0.5.462 that hold its state, as far as they are described here. v86's own types end at the
 * outermost class; these names were read from the published build and are what pins the version.
 */

export interface V86Serial {
  /** Pending interrupts: bit 0 modem status, 2 transmitter empty, 4 data received, 12 receive timeout. */
  ints: number;
  baud_rate: number;
  line_control: number;
  lsr: number;
  fifo_control: number;
  ier: number;
  iir: number;
  modem_control: number;
  modem_status: number;
  scratch_register: number;
  /** Received bytes that the guest has not read. Not in v86's own state. */
  input: number[];
}

export interface V86Pit {
  /** Milliseconds of v86's clock. */
  readonly counter_start_time: Float64Array;
  readonly counter_start_value: Uint16Array;
  readonly counter_next_low: Uint8Array;
  readonly counter_enabled: Uint8Array;
  readonly counter_mode: Uint8Array;
  readonly counter_read_mode: Uint8Array;
  readonly counter_latch: Uint8Array;
  readonly counter_latch_value: Uint16Array;
  readonly counter_reload: Uint16Array;
  /** Fires what is due; how long the next one takes. Milliseconds. */
  timer(now: number, noIrq: boolean): number;
}

export interface V86Rtc {
  cmos_index: number;
  readonly cmos_data: Uint8Array;
  /** The guest's date, and the host's when it was set: milliseconds since 1970. */
  rtc_time: number;
  last_update: number;
  /** Host's milliseconds since 1970; the alarm is 0 while there is none. */
  next_interrupt: number;
  next_interrupt_alarm: number;
  update_interrupt_time: number;
  periodic_interrupt: boolean;
  /** Milliseconds. */
  periodic_interrupt_time: number;
  update_interrupt: boolean;
  cmos_a: number;
  cmos_b: number;
  cmos_c: number;
  cmos_diag_status: number;
  nmi_disabled: number;
  /** Fires what is due by the host's date; how long the next one takes. Milliseconds. */
  timer(): number;
}

/** A device that v86 saves as an array of slots. */
export interface V86Device {
  get_state(): unknown[];
  set_state(state: unknown[]): void;
}

export interface V86Devices {
  readonly uart0: V86Serial;
  readonly uart1?: V86Serial;
  readonly uart2?: V86Serial;
  readonly uart3?: V86Serial;
  readonly pit: V86Pit;
  readonly rtc: V86Rtc;
}

export interface V86Io {
  port_read8(port: number): number;
  port_write8(port: number, value: number): void;
}

/** One register, or a few: views of the wasm memory. */
export type Register8 = Uint8Array;
export type Register32 = Int32Array;

export interface V86Cpu {
  readonly wasm_memory: { readonly buffer: ArrayBuffer };
  readonly memory_size: Uint32Array;
  /** A view of RAM that survives the growth of the wasm memory. */
  readonly mem8: Uint8Array;
  readonly devices: V86Devices & Readonly<Record<string, unknown>>;
  readonly io: V86Io;
  fw_value: number[] | Uint8Array;
  fw_pointer: number;

  readonly reg32: Int32Array;
  /** Linear: the base of CS is in it. */
  readonly instruction_pointer: Register32;
  readonly previous_ip: Register32;
  readonly flags: Register32;
  readonly flags_changed: Register32;
  readonly sreg: Uint16Array;
  readonly segment_offsets: Int32Array;
  readonly segment_limits: Uint32Array;
  readonly segment_is_null: Uint8Array;
  readonly segment_access_bytes: Uint8Array;
  readonly gdtr_offset: Register32;
  readonly gdtr_size: Register32;
  readonly idtr_offset: Register32;
  readonly idtr_size: Register32;
  readonly cr: Int32Array;
  readonly dreg: Int32Array;
  readonly reg_pdpte: Int32Array;
  readonly protected_mode: Register32;
  readonly is_32: Register32;
  readonly stack_size_32: Register32;
  readonly tss_size_32: Register32;
  readonly cpl: Register8;
  readonly in_hlt: Register8;
  readonly prefixes: Register32;
  readonly sysenter_cs: Register32;
  readonly sysenter_esp: Register32;
  readonly sysenter_eip: Register32;
  readonly current_tsc: Uint32Array;
  readonly fpu_st: Int32Array;
  readonly fpu_stack_empty: Register8;
  readonly fpu_stack_ptr: Register8;
  readonly fpu_control_word: Uint16Array;
  readonly fpu_status_word: Uint16Array;
  readonly fpu_opcode: Register32;
  readonly fpu_ip: Register32;
  readonly fpu_ip_selector: Register32;
  readonly fpu_dp: Register32;
  readonly fpu_dp_selector: Register32;
  readonly reg_xmm32s: Int32Array;
  readonly mxcsr: Register32;
  readonly last_result: Register32;
  readonly last_op1: Register32;
  readonly last_op_size: Register32;

  get_eflags(): number;
  store_current_tsc(): void;
  set_tsc(low: number, high: number): void;
  update_state_flags(): void;
  full_clear_tlb(): void;
  jit_clear_cache(): void;
  reboot_internal(): void;
  get_pic_addr_master(): number;
  get_pic_addr_slave(): number;
  get_state(): unknown[];
  set_state(state: unknown[]): void;
}

/** What v86 saves and restores: anything with slots. The methods are used on less than a whole CPU, too. */
export interface V86SaveTarget {
  readonly cpu: { get_state(): unknown[]; set_state(state: unknown[]): void };
}

export interface V86Engine {
  readonly cpu: V86Cpu;
  do_tick(): void;
  run(): void;
  stop(): void;
  save_state(this: V86SaveTarget): ArrayBuffer;
  restore_state(this: V86SaveTarget, state: ArrayBuffer): void;
  /** The class: its `microtick` is the clock of all engines of the process, in milliseconds. */
  readonly constructor: { microtick: () => number };
}

export interface V86Emulator {
  readonly v86: V86Engine;
  add_listener(event: string, listener: (value: number) => void): void;
  save_state(): Promise<ArrayBuffer>;
  restore_state(state: ArrayBuffer): Promise<void>;
  serial0_send(text: string): void;
  destroy(): Promise<void>;
}

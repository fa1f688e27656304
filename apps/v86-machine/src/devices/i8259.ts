// The two 8259 interrupt controllers, in the layout of QEMU's section `i8259`. v86 keeps them in wasm memory.
import { type Description, equal, type KernelForPlugins, range, u8, vmstate } from "@godwit/core";
import type { V86Cpu } from "../emulator/v86-objects.ts";

export interface I8259State {
  /** The lines as they were seen last: an edge is a difference to this. */
  last_irr: number;
  irr: number;
  /** Masked interrupts. v86 keeps the open ones. */
  imr: number;
  isr: number;
  priority_add: number;
  irq_base: number;
  read_reg_select: number;
  poll: number;
  special_mask: number;
  /** 0: ready; 1, 2: the next write is ICW2, ICW3. */
  init_state: number;
  auto_eoi: number;
  rotate_on_auto_eoi: number;
  special_fully_nested_mode: number;
  /** 1: ICW4 is still to come. */
  init4: number;
  single_mode: number;
  elcr: number;
}

const flag = range(u8, 0, 1);
/** v86's controller does not have it: a machine that uses it cannot go on here. */
const absent = equal(u8, 0);

export const i8259: Description<I8259State> = vmstate({
  name: "i8259",
  version: 1,
  fields: {
    last_irr: u8,
    irr: u8,
    imr: u8,
    isr: u8,
    priority_add: absent,
    irq_base: u8,
    read_reg_select: flag,
    poll: absent,
    special_mask: flag,
    init_state: range(u8, 0, 2),
    auto_eoi: flag,
    rotate_on_auto_eoi: absent,
    special_fully_nested_mode: absent,
    init4: flag,
    single_mode: absent,
    elcr: u8,
  },
});

/** Where v86 has each register: byte offsets from the controller's address. Slot 4 says which of the two it is. */
const at = {
  mask: 0,
  base: 1,
  isr: 2,
  irr: 3,
  expectIcw4: 6,
  state: 7,
  readIsr: 8,
  autoEoi: 9,
  elcr: 10,
  lines: 11,
  specialMask: 12,
} as const;
const controllerBytes = 13;

/** Instance 0 is the master, 1 the slave. */
export function i8259Devices(kernel: KernelForPlugins, cpu: V86Cpu): void {
  for (const [instance, address] of [cpu.get_pic_addr_master(), cpu.get_pic_addr_slave()].entries()) {
    kernel.device(i8259, {
      instance,
      save: () => save(registersAt(cpu, address)),
      load: (state) => load(registersAt(cpu, address), state),
    });
  }
}

/** A fresh view each time: the wasm memory may have grown. */
function registersAt(cpu: V86Cpu, address: number): Uint8Array {
  return new Uint8Array(cpu.wasm_memory.buffer, address, controllerBytes);
}

function save(registers: Uint8Array): I8259State {
  const of = (offset: number): number => registers[offset] as number;
  return {
    last_irr: of(at.lines),
    irr: of(at.irr),
    imr: of(at.mask) ^ 0xff,
    isr: of(at.isr),
    priority_add: 0,
    irq_base: of(at.base),
    read_reg_select: of(at.readIsr),
    poll: 0,
    special_mask: of(at.specialMask),
    init_state: of(at.state),
    auto_eoi: of(at.autoEoi),
    rotate_on_auto_eoi: 0,
    special_fully_nested_mode: 0,
    init4: of(at.expectIcw4),
    single_mode: 0,
    elcr: of(at.elcr),
  };
}

function load(registers: Uint8Array, state: I8259State): void {
  registers[at.lines] = state.last_irr;
  registers[at.irr] = state.irr;
  registers[at.mask] = state.imr ^ 0xff;
  registers[at.isr] = state.isr;
  registers[at.base] = state.irq_base;
  registers[at.readIsr] = state.read_reg_select;
  registers[at.specialMask] = state.special_mask;
  registers[at.state] = state.init_state;
  registers[at.autoEoi] = state.auto_eoi;
  registers[at.expectIcw4] = state.init4;
  registers[at.elcr] = state.elcr;
}

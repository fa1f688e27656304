/* The trap handler only notes what came; the work loop does the work. */
#include "interrupt.h"
#include "status.h"
#include "timer.h"

#define GUEST_IRQS \
  (1u << IRQ_DISK_CONFIG | 1u << IRQ_DISK_QUEUE | 1u << IRQ_NETWORK_CONFIG | 1u << IRQ_NETWORK_RECEIVE | \
   1u << IRQ_NETWORK_TRANSMIT | PERIPHERAL_IRQS | HOTPLUG_IRQS | 1u << CHANNEL_IRQ | \
   1u << CHANNEL_REPORT_IRQ)

#define CAUSE_TIMER 0x80000007u
#define CAUSE_EXTERNAL 0x8000000bu
#define MIE_TIMER_AND_EXTERNAL 0x880

static volatile u32 arrived;

void trap(u32 cause, u32 pc, u32 value) {
  if (cause == CAUSE_TIMER) {
    timer_disarm();
    return;
  }
  if (cause != CAUSE_EXTERNAL) {
    status_set(STATUS_BLOCK_TRAP_CAUSE, cause);
    status_set(STATUS_BLOCK_TRAP_PC, pc);
    status_set(STATUS_BLOCK_TRAP_VALUE, value);
    fatal(ERROR_TRAP, cause);
  }
  u32 irq;
  while ((irq = read32(INTERRUPT_BASE + INTERRUPT_CLAIM)) != 0) {
    status_add(STATUS_BLOCK_INTERRUPTS, 1);
    if (irq > INTERRUPT_LAST_IRQ || !(GUEST_IRQS >> irq & 1)) fatal(ERROR_IRQ, irq);
    arrived |= 1u << irq;
  }
  /* What the device wrote before it interrupted is read after this. */
  barrier();
}

void interrupt_start(void) {
  timer_disarm();
  write32(INTERRUPT_BASE + INTERRUPT_ENABLE, GUEST_IRQS);
  __asm__ volatile("csrw mie, %0" ::"r"(MIE_TIMER_AND_EXTERNAL));
  interrupts_on();
}

void interrupt_note(u32 irqs) {
  interrupts_off();
  arrived |= irqs;
  interrupts_on();
}

u32 interrupt_take(void) {
  interrupts_off();
  u32 taken = arrived;
  arrived = 0;
  interrupts_on();
  return taken;
}

void interrupt_wait(u64 deadline) {
  /* Masked from the look at `arrived` to wfi, or an interrupt in between would be slept through; wfi wakes on a
     pending one all the same, and it is taken when the mask goes. */
  interrupts_off();
  if (!arrived) {
    timer_arm(deadline);
    wait_for_interrupt();
  }
  interrupts_on();
}

/* Interrupts: which irq means what, and the flags by which the handler tells the work loop. */
#ifndef INTERRUPT_H
#define INTERRUPT_H

#include "base.h"

enum irq {
  IRQ_DISK_CONFIG = 1,
  IRQ_DISK_QUEUE = 2,
  IRQ_NETWORK_CONFIG = 3,
  IRQ_NETWORK_RECEIVE = 4,
  IRQ_NETWORK_TRANSMIT = 5,
};

/* Lets the guest's irqs and the timer through. */
void interrupt_start(void);
/* Bit n: irq n came since the last call. */
u32 interrupt_take(void);
/* Waits until the timer reaches `deadline` or a device interrupts; not at all if one has already. */
void interrupt_wait(u64 deadline);

#endif

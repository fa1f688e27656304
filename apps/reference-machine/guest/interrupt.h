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
  IRQ_ENTROPY_CONFIG = 6,
  IRQ_ENTROPY_QUEUE = 7,
  IRQ_BALLOON_CONFIG = 8,
  IRQ_BALLOON_QUEUES = 9,
  IRQ_SERIAL_CONFIG = 10,
  IRQ_SERIAL_CONTROL = 11,
  IRQ_SERIAL_RECEIVE = 12,
  IRQ_SERIAL_TRANSMIT = 13,
  IRQ_SCSI_CONFIG = 14,
  IRQ_SCSI_QUEUE = 15,
  IRQ_ACCELERATOR = 28,
  IRQ_HOTPLUG = HOTPLUG_IRQ,
  /* Two for each card: configuration, transmit. */
  IRQ_CARDS = HOTPLUG_IRQ + 1,
};

/* From IRQ_ENTROPY_CONFIG to IRQ_SCSI_QUEUE, and IRQ_ACCELERATOR. */
#define PERIPHERAL_IRQS (0xffc0u | 1u << IRQ_ACCELERATOR)

/* IRQ_HOTPLUG, and those of all cards. */
#define HOTPLUG_IRQS (((1u << (1 + 2 * CARD_COUNT)) - 1) << IRQ_HOTPLUG)

/* Lets the guest's irqs and the timer through. */
void interrupt_start(void);
/* Bit n: irq n came since the last call. */
u32 interrupt_take(void);
/* The same for irqs of devices that do not interrupt by themselves: interrupt_take tells of them. */
void interrupt_note(u32 irqs);
/* Waits until the timer reaches `deadline` or a device interrupts; not at all if one has already. */
void interrupt_wait(u64 deadline);

#endif

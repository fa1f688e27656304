/* The driver of a hot-plugged network card, which only sends: numbered packets, in order. */
#ifndef CARD_H
#define CARD_H

#include "base.h"
#include "evidence.h"
#include "virtio.h"
#include "watch.h"

#define CARD_SLOTS 4

struct card {
  struct virtio_device device;
  struct virtqueue transmit;
  struct dma_page frames;
  struct watch watch;
  u32 numbers[CARD_SLOTS]; /* of the packets in flight, 0: free; packet n is in slot n modulo their number */
  u32 submitted;
  u32 completed; /* this packet and all before it */
  u8 mac[MAC_BYTES];
};

/* Opens the card in `slot` (device << 3 | function) and brings it to DRIVER_OK; its interrupts are `first_irq`
   (configuration) and the next (transmit). False if no card is there. Numbers go on where they stood. */
bool card_start(struct card *card, u32 slot, u32 first_irq);

/* Resets the card and leaves it alone; only when nothing is in flight. */
void card_stop(struct card *card);

bool card_ready(const struct card *card);
/* The next packet, which is to be counted as submitted before card_send. */
u32 card_next(const struct card *card);
void card_send(struct card *card, u32 seed);
/* Takes what has been sent, on the transmit queue's interrupt. */
void card_reap(struct card *card);

#endif

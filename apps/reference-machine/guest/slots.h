/* The requests that a driver has in flight, each with a buffer that spans two pages. */
#ifndef SLOTS_H
#define SLOTS_H

#include "dma.h"

#define SLOT_COUNT 4

struct slot {
  u32 number; /* of the block or packet in flight, 0: free */
  struct dma_buffer buffer;
};

/* A free slot for block or packet `number`, or SLOT_COUNT. The search begins elsewhere each 16 numbers, so that each
   slot's buffer gets its turn to be swapped. */
u32 slot_find(const struct slot *slots, u32 number);

/* The highest number below which nothing is in flight, when `submitted` was the last. */
u32 slots_completed(const struct slot *slots, u32 submitted);

#endif

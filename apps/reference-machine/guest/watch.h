/* Finds interrupts that never came. Completions are taken on interrupts only, so a lost one would stop the guest. */
#ifndef WATCH_H
#define WATCH_H

#include "virtio.h"

struct watch {
  bool waiting;
  u16 last_used;
};

/* Call about once a second. True when a used element has waited since the call before, and nothing was taken. */
static inline bool watch_queue(struct watch *watch, const struct virtqueue *queue) {
  bool waiting = virtqueue_has_used(queue);
  bool lost = waiting && watch->waiting && watch->last_used == queue->last_used;
  watch->waiting = waiting && !lost;
  watch->last_used = queue->last_used;
  return lost;
}

#endif

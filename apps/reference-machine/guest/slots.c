/* Numbers are given out in order but may complete in any. */
#include "slots.h"

u32 slot_find(const struct slot *slots, u32 number) {
  u32 first = number + number / 16;
  for (u32 step = 0; step < SLOT_COUNT; step++) {
    u32 slot = (first + step) % SLOT_COUNT;
    if (slots[slot].number == 0) return slot;
  }
  return SLOT_COUNT;
}

u32 slots_completed(const struct slot *slots, u32 submitted) {
  u32 completed = submitted;
  for (u32 slot = 0; slot < SLOT_COUNT; slot++) {
    u32 number = slots[slot].number;
    if (number != 0 && number - 1 < completed) completed = number - 1;
  }
  return completed;
}

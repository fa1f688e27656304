/* The machine timer: 64-bit ticks of the virtual clock, TIMER_HZ a second. */
#ifndef TIMER_H
#define TIMER_H

#include "base.h"

u64 timer_now(void);
/* Raises the timer interrupt at `deadline`. */
void timer_arm(u64 deadline);
/* Lowers it until the next timer_arm. */
void timer_disarm(void);

/* Evenly spaced turns, `per_second` of them (0: none at all), exact over time: what the division leaves is carried. */
struct pace {
  u32 per_second;
  u32 period;
  u32 remainder;
  u32 carry;
  u64 next;
};

void pace_start(struct pace *pace, u32 per_second, u64 now);
bool pace_due(const struct pace *pace, u64 now);
/* Takes one turn. A guest that fell far behind does not try to catch up on more than a tenth of a second. */
void pace_take(struct pace *pace, u64 now);

#endif

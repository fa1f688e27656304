/* The timer's two 64-bit registers are reached by halves, so each access says how it keeps the halves together. */
#include "timer.h"

#define BACKLOG_TICKS (TIMER_HZ / 10)

u64 timer_now(void) {
  u32 high, low, again;
  do {
    high = read32(TIMER_BASE + TIMER_MTIME_HIGH);
    low = read32(TIMER_BASE + TIMER_MTIME_LOW);
    again = read32(TIMER_BASE + TIMER_MTIME_HIGH);
  } while (high != again);
  return (u64)high << 32 | low;
}

void timer_arm(u64 deadline) {
  /* High half to its end first: no value in between is earlier than both the old and the new deadline. */
  write32(TIMER_BASE + TIMER_MTIMECMP_HIGH, 0xffffffff);
  write32(TIMER_BASE + TIMER_MTIMECMP_LOW, (u32)deadline);
  write32(TIMER_BASE + TIMER_MTIMECMP_HIGH, (u32)(deadline >> 32));
}

void timer_disarm(void) {
  write32(TIMER_BASE + TIMER_MTIMECMP_HIGH, 0xffffffff);
  write32(TIMER_BASE + TIMER_MTIMECMP_LOW, 0xffffffff);
}

void pace_start(struct pace *pace, u32 per_second, u64 now) {
  if (per_second > TIMER_HZ) per_second = TIMER_HZ;
  pace->per_second = per_second;
  pace->period = per_second ? TIMER_HZ / per_second : 0;
  pace->remainder = per_second ? TIMER_HZ % per_second : 0;
  pace->carry = 0;
  pace->next = now;
}

bool pace_due(const struct pace *pace, u64 now) { return pace->per_second != 0 && now >= pace->next; }

void pace_take(struct pace *pace, u64 now) {
  if (now - pace->next > BACKLOG_TICKS) pace->next = now - BACKLOG_TICKS;
  pace->next += pace->period;
  pace->carry += pace->remainder;
  if (pace->carry >= pace->per_second) {
    pace->carry -= pace->per_second;
    pace->next += 1;
  }
}

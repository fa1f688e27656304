// The guest's registers: 32 bits each, by their offset in bytes.

export const register = {
  /** Seconds. Reading it holds the nanoseconds of the same instant; writing sets the clock. */
  time: 0x00,
  /** The nanoseconds of the last read of TIME, once. Read only. */
  nanoseconds: 0x04,
  /** Written: it rings when TIME is that value. Read: when it rings next. */
  alarm: 0x08,
  /** Seconds from one ring to the next; 0: it rings once. */
  period: 0x0c,
  /** Bit 0: it rings, and writing 1 silences it. Bit 1: it is armed, and writing 1 disarms it. */
  status: 0x10,
} as const;

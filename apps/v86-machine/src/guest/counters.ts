// The guest's own counters, where its boot sector keeps them in RAM.

export interface GuestCounters {
  /** Number of the next line. */
  readonly seq: number;
  readonly hash: number;
  /** Interrupts so far on IRQ 0 and on IRQ 8. */
  readonly ticks: number;
  readonly rtc: number;
}

export const countersAddress = 0x8000;
export const countersBytes = 16;

export function guestCounters(ram: Uint8Array): GuestCounters {
  const view = new DataView(ram.buffer, ram.byteOffset + countersAddress, countersBytes);
  const word = (index: number): number => view.getUint32(4 * index, true);
  return { seq: word(0), hash: word(1), ticks: word(2), rtc: word(3) };
}

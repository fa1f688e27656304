// What of the device travels. This file is the format of its saves: UPGRADING.md says how it may change.
import { bool, i64, range, type StateOf, since, subsection, timer, u32, vmstate } from "@godwit/core";

export const __device__Description = vmstate({
  name: "__idstr__",
  version: 2,
  minimumVersion: 1,
  fields: {
    zero: i64, // virtual nanoseconds at which TIME was 0
    alarm: timer, // its deadline on the virtual clock, never on the host's; null: not armed
    ringing: bool,
    // Seconds. Version 1 did not have it, and its saves still load: an alarm rang once.
    period: since(2, u32, { absent: 0 }),
  },
  subsections: {
    // Travels only between a read of TIME and the read of NANOSECONDS that goes with it.
    held: subsection({
      name: "__idstr__/held",
      version: 1,
      fields: { nanoseconds: range(u32, 0, 999_999_999) },
      needed: (own) => own.nanoseconds !== 0,
      absent: { nanoseconds: 0 },
    }),
  },
});

export type __Device__State = StateOf<typeof __device__Description>;

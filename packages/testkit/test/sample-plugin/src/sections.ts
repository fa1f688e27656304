// The sections of the sample: a time-of-day device with an alarm and an event queue, and the control block it depends on.
import { range, since, subsection, timer, u8, u32, u64, varray, vmstate } from "@godwit/core/vmstate";

/** Events that the queue can hold at most. */
export const mostEvents = 16;

export const controlSection = vmstate({
  name: "tod-control",
  version: 1,
  fields: { depth: range(u8, 1, mostEvents), flags: u8 },
});

export const todSection = vmstate({
  name: "tod",
  version: 2,
  minimumVersion: 1,
  fields: {
    offset: u64,
    alarm: timer,
    event_count: u8,
    events: varray("event_count", u32, { max: mostEvents }),
    period: since(2, u64, { absent: 0n }),
  },
  subsections: {
    lost: subsection({
      name: "tod/lost",
      version: 1,
      fields: { count: u32, last: u32 },
      needed: ({ count }) => count > 0,
      absent: { count: 0, last: 0 },
    }),
  },
});

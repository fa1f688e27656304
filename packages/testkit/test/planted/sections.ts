// The sample's section with one thing changed each.
import { customField, since, subsection, timer, u8, u32, u64, varray, vmstate } from "@godwit/core/vmstate";
import { mostEvents, todSection } from "../sample-plugin/src/sections.ts";

const { offset, alarm, event_count, events, period } = todSection.fields as Record<string, typeof u64>;
const { lost } = todSection.subsections;
const same = { name: "tod", version: 2, minimumVersion: 1 } as const;
const fields = {
  offset: u64,
  alarm: timer,
  event_count: u8,
  events: varray("event_count", u32, { max: mostEvents }),
  period: since(2, u64, { absent: 0n }),
};

/** One alarm or two that were lost do not travel. */
export const neededTooLate = vmstate({
  ...same,
  fields,
  subsections: {
    lost: subsection({
      name: "tod/lost",
      version: 1,
      fields: { count: u32, last: u32 },
      needed: ({ count }) => count > 2,
      absent: { count: 0, last: 0 },
    }),
  },
});

/** Travels when it is not 0, so that nothing is read wrongly; but it is new. */
export const withSubsection = vmstate({
  ...same,
  fields,
  subsections: {
    lost: lost as NonNullable<typeof lost>,
    mode: subsection({
      name: "tod/mode",
      version: 1,
      fields: { mode: u8 },
      needed: ({ mode }) => mode !== 0,
      absent: { mode: 0 },
    }),
  },
});

/** As it should be done: a version of its own, and the old ones are read. */
export const withVersion = vmstate({
  ...same,
  version: 3,
  fields: { ...fields, mode: since(3, u8, { absent: 0 }) },
  subsections: { lost: lost as NonNullable<typeof lost> },
});

/** A field more, and the version that had none. */
export const withoutVersion = vmstate({
  ...same,
  fields: { ...fields, mode: u8 },
  subsections: { lost: lost as NonNullable<typeof lost> },
});

export const swapped = vmstate({
  ...same,
  fields: {
    period: period as typeof fields.period,
    alarm: alarm as unknown as typeof timer,
    event_count: event_count as unknown as typeof u8,
    events: events as unknown as typeof fields.events,
    offset: offset as typeof u64,
  },
  subsections: { lost: lost as NonNullable<typeof lost> },
});

/** Saves even times only. */
export const halves = vmstate({
  ...same,
  fields,
  subsections: { lost: lost as NonNullable<typeof lost> },
  preSave: (state) => ({ ...state, offset: BigInt.asUintN(63, state.offset >> 1n) << 1n }),
});

/** A flag of one byte, of which it keeps one bit. */
const flag = customField<boolean, { byte: number | undefined }>({
  kind: "flag",
  begin: () => ({ byte: undefined }),
  next: ({ byte }) => (byte === undefined ? u8 : undefined),
  take: (steps, value) => {
    steps.byte = value as number;
  },
  end: ({ byte = 0 }) => byte % 2 === 1,
  encode: (value) => [{ field: u8, value: value ? 1 : 0 }],
});

export const flagSection = vmstate({ name: "tod-flag", version: 1, fields: { flag } });

// The buzzer's state as of 1.1: it has grown a melody, which travels where it is not played at the usual speed.
import { subsection, u32, vmstate } from "@godwit/core";

export const buzzer = vmstate({
  name: "acme-buzzer",
  version: 1,
  fields: { pitchHz: u32 },
  subsections: {
    melody: subsection({
      name: "acme-buzzer/melody",
      version: 1,
      fields: { beatsPerMinute: u32 },
      needed: ({ beatsPerMinute }) => beatsPerMinute !== 120,
      absent: { beatsPerMinute: 120 },
    }),
  },
});

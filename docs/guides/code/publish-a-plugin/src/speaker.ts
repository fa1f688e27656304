// Four releases of one plugin, in one file so that they can meet. In your package there is one, and its past is on the registry.
import { capture, type Plugin, restore, since, subsection, u8, u16, u32, vmstate } from "@godwit/core";

// #region first
const first = vmstate({ name: "speaker", version: 1, fields: { pitch_hz: u32 } });
// #endregion

// #region grown
const grown = vmstate({
  name: "speaker",
  version: 1,
  fields: { pitch_hz: u32 },
  subsections: {
    melody: subsection({
      name: "speaker/melody",
      version: 1,
      fields: { beats_per_minute: u16 },
      needed: (own) => own.beats_per_minute !== 120,
      absent: { beats_per_minute: 120 },
    }),
  },
});
// #endregion

// #region careless
const careless = vmstate({ name: "speaker", version: 1, fields: { pitch_hz: u32, volume: u8 } });
// #endregion

// #region careful
const careful = vmstate({
  name: "speaker",
  version: 2,
  minimumVersion: 1,
  fields: { pitch_hz: u32, volume: since(2, u8, { absent: 255 }) },
});
// #endregion

export class Speaker {
  pitch_hz = 440;
  volume = 255;
  readonly melody = { beats_per_minute: 120 };
}

/** The same class in each: which part of it travels is the description's business. */
const descriptions = { first, grown, careless, careful };

export interface SpeakerRelease {
  readonly version: string;
  readonly contract: number;
  readonly state: keyof typeof descriptions;
}

export function speaker({ version, contract, state }: SpeakerRelease, instance = 0): Plugin<Speaker> {
  return {
    name: "godwit-plugin-speaker",
    version,
    contract,
    setup(kernel) {
      const device = new Speaker();
      const description = descriptions[state] as typeof grown;
      kernel.device(description, {
        instance,
        save: () => capture(description, device),
        load: (incoming) => restore(description, device, incoming),
      });
      return device;
    },
  };
}

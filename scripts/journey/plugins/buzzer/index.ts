// A third party's plugin: a buzzer, of which a machine may have several.
import { capture, type Plugin, restore } from "@godwit/core";
import { buzzer } from "./description.ts";
import { contract, version } from "./release.ts";

export class Buzzer {
  pitchHz = 440;
  /** Described since 1.1. */
  readonly melody = { beatsPerMinute: 120 };
}

export function acmeBuzzer({ instance }: { readonly instance: number }): Plugin<Buzzer> {
  return {
    name: "@acme/godwit-buzzer",
    version,
    contract,
    setup(kernel) {
      const device = new Buzzer();
      kernel.device(buzzer, {
        instance,
        save: () => capture(buzzer, device),
        load: (state) => restore(buzzer, device, state),
      });
      return device;
    },
  };
}

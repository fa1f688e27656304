// The sample plugin: what a plugin's author publishes.
import type { Plugin } from "@godwit/core";
import { controlSection, todSection } from "./sections.ts";
import { Control, Tod, type TodOptions } from "./tod.ts";

export interface TodOffer {
  readonly control: Control;
  readonly tod: Tod;
}

/** Registers `tod-control` and `tod`. */
export function todPlugin(options: TodOptions): Plugin<TodOffer> {
  return {
    name: "sample-tod",
    version: "0.2.0",
    contract: 1,
    setup(kernel) {
      const control = new Control();
      kernel.device(controlSection, {
        save: () => ({ depth: control.depth, flags: control.flags }),
        offer: ({ depth }) => ({ depth }),
        load: ({ depth, flags }) => void Object.assign(control, { depth, flags }),
      });
      const tod = new Tod(control, options);
      kernel.device(todSection, tod);
      return { control, tod };
    },
  };
}

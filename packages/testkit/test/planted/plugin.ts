// The sample plugin with one thing changed, and the test that goes with it.
import type { Description, KernelForPlugins, Plugin } from "@godwit/core";
import type { PluginTest } from "@godwit/testkit";
import type { TodOffer } from "../sample-plugin/src/index.ts";
import { controlSection, todSection } from "../sample-plugin/src/sections.ts";
import { Control, Tod, type TodOptions } from "../sample-plugin/src/tod.ts";

export interface HostOptions extends TodOptions {
  /** The host's monotonic clock: what the sample does not have. */
  readonly hostNow: () => bigint;
}

export interface Variation {
  readonly device?: new (control: Control, options: HostOptions) => Tod;
  readonly section?: Description;
  readonly version?: string;
  readonly contract?: number;
  /** What is registered besides. */
  readonly more?: (kernel: KernelForPlugins, offer: TodOffer) => void;
}

export function variedPlugin(
  options: HostOptions,
  { device: Device = Tod, section = todSection, version = "0.2.0", contract = 1, more }: Variation,
): Plugin<TodOffer> {
  return {
    name: "sample-tod",
    version,
    contract,
    setup(kernel) {
      const control = new Control();
      kernel.device(controlSection, {
        save: () => ({ depth: control.depth, flags: control.flags }),
        offer: ({ depth }) => ({ depth }),
        load: ({ depth, flags }) => void Object.assign(control, { depth, flags }),
      });
      const tod = new Device(control, options);
      kernel.device(section as typeof todSection, tod);
      more?.(kernel, { control, tod });
      return { control, tod };
    },
  };
}

export function variedTest(variation: Variation, more: Partial<PluginTest<TodOffer>> = {}): PluginTest<TodOffer> {
  return {
    setup: (bench) => bench.use(variedPlugin({ timers: bench.timers, hostNow: bench.host.now }, variation)),
    exercise({ control, tod }, random, { host, timers }) {
      control.depth = 5 + random.int(12);
      control.flags = random.int(2);
      tod.now = BigInt(random.int(2 ** 32));
      tod.setAlarm(BigInt(1 + random.int(100)), 100n);
      host.advance(BigInt(400 + random.int(500)));
      timers.runDue();
      tod.take();
    },
    goldens: new URL("../sample-plugin/goldens/", import.meta.url),
    sources: new URL("../sample-plugin/src/", import.meta.url),
    states: 12,
    ...more,
  };
}

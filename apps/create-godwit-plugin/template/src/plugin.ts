// The plugin: what the assembler of a machine gives to `kernel.use`.
import type { Plugin } from "@godwit/core";
import { __Device__Device } from "./device.ts";
import type { __Device__Offer, __Device__Options } from "./options.ts";
import { version } from "./version.ts";

/** A time-of-day clock with an alarm. `PLUGIN_CONTRACT` where the kernel does not take plugins of contract 3. */
export function __device__Plugin(options: __Device__Options): Plugin<__Device__Offer> {
  return {
    name: "__package__",
    version,
    // What it was built and tested for, written as a number: a newer core's own is a promise that nobody has tried.
    contract: 3,
    setup: (kernel) => new __Device__Device(kernel, options),
  };
}

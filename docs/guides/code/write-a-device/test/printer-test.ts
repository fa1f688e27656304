// What the checks need to know of the printer; whoever runs them.
import type { Bench, PluginTest } from "@godwit/testkit";
import { printerPlugin } from "../src/plugin.ts";

// #region test
function machine(bench: Bench) {
  const strikes: bigint[] = [];
  const paper = {
    async open() {},
    async strike() {
      strikes.push(bench.clock.now());
    },
  };
  return { strikes, printer: bench.use(printerPlugin({ timers: bench.timers, paper })) };
}

export const printerTest: PluginTest<ReturnType<typeof machine>> = {
  setup: machine,
  goldens: new URL("../goldens/", import.meta.url),
  sources: new URL("../src/", import.meta.url),
  exercise({ printer }, random, bench) {
    printer.setRibbon(1);
    for (const byte of random.bytes(5)) printer.write(byte);
    bench.kernel.resume();
    bench.host.advance(15_000_000n);
    bench.timers.runDue();
    bench.kernel.pause();
  },
  clocks: {
    untilNs: 100_000_000n,
    start({ printer }) {
      for (const byte of [71, 79, 68]) printer.write(byte);
    },
    fired: ({ strikes }) => ({ printer: strikes }),
  },
};
// #endregion

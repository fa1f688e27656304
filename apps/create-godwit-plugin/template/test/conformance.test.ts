// Does the plugin keep what a plugin promises? What to do about a finding: it says so itself, and README.md.
import { describePlugin } from "@godwit/testkit/vitest";
import { Irqchip } from "../examples/machine.ts";
import { __device__Plugin, register } from "../src/index.ts";

describePlugin({
  setup(bench) {
    const irqchip = new Irqchip(bench.kernel);
    const rings: bigint[] = [];
    const setLine = (level: boolean) => {
      irqchip.setLine(3, level);
      if (level && bench.clock.running) rings.push(bench.clock.now()); // a load drives the line, too, and is no ring
    };
    return { rings, device: bench.use(__device__Plugin({ timers: bench.timers, setLine, controller: "irqchip" })) };
  },
  goldens: new URL("../goldens/", import.meta.url),
  sources: new URL("../src/", import.meta.url),
  exercise({ device }, random) {
    const registers = [register.time, register.alarm, register.period];
    for (let i = 0; i < 20; i++) device.write(random.pick(registers), random.int(1000));
    device.read(register.time);
  },
  clocks: {
    untilNs: 5_500_000_000n,
    start: ({ device }) => device.write(register.period, 1),
    fired: ({ rings }) => ({ alarm: rings }),
  },
});

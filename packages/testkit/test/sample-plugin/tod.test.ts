// The sample plugin's own conformance test, as its author writes it.
import { describePlugin } from "@godwit/testkit/vitest";
import { todPlugin } from "./src/index.ts";

describePlugin({
  setup: (bench) => bench.use(todPlugin({ timers: bench.timers })),
  exercise({ control, tod }, random, { host, timers }) {
    control.depth = 5 + random.int(12);
    tod.now = BigInt(random.int(2 ** 32));
    tod.setAlarm(BigInt(1 + random.int(100)), 100n);
    host.advance(BigInt(400 + random.int(500)));
    timers.runDue();
    tod.take();
  },
  goldens: new URL("goldens/", import.meta.url),
  sources: new URL("src/", import.meta.url),
});

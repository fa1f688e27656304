// The sample plugin's conformance test for Node's own runner; node-runner.test.ts has it run there.
import { describePlugin } from "@godwit/testkit/node";
import { todPlugin } from "./src/index.ts";

describePlugin({
  setup: ({ use, timers }) => use(todPlugin({ timers })),
  exercise({ control, tod }, random) {
    control.depth = 5 + random.int(12);
    tod.now = BigInt(random.int(2 ** 32));
  },
  goldens: new URL("goldens/", import.meta.url),
  sources: new URL("src/", import.meta.url),
  states: 5,
});

// Lists, queues and trees hold in whatever is done to a plugin's sections: the conformance suite, over devices that have them.
import { describePlugin } from "@godwit/testkit/vitest";
import { type Bus, listsPlugin } from "./support/plugin.ts";

describePlugin({
  setup: (bench) => bench.use(listsPlugin()),
  exercise({ queue, map, bus }, random) {
    const many = (most: number) => Array.from({ length: random.int(most + 1) }, (_, index) => index);
    for (const tag of many(6)) {
      const data = random.bytes(random.int(20));
      queue.in_flight.push({ tag, bytes: data.length, data, retry: { times: random.int(2) } });
    }
    queue.done.push(...queue.in_flight.splice(0, random.int(3)).map(({ tag }) => tag));
    queue.rows.push(...many(3).map(() => many(2).map(() => Uint16Array.of(random.int(9), random.int(9)))));
    const value = () => ({ phys: BigInt(random.int(99)), writable: random.bool(), users: many(3) });
    map.domains.push(...many(4).map((n) => ({ key: BigInt(n) << 60n, value: value() })));
    const lows = many(4).map((n) => BigInt(n * 16));
    map.intervals.push(...lows.toReversed().map((low) => ({ key: { low, high: low + 9n }, value: value() })));
    const grow = (at: Bus, levels: number): void => {
      for (const id of many(Math.min(levels, 2))) at.children.push({ id, children: [] });
      for (const child of at.children) grow(child, levels - 1);
    };
    grow(bus, 5);
  },
  states: 30,
  goldens: new URL("../goldens/", import.meta.url),
  sources: new URL("../src/", import.meta.url),
});

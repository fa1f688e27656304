// The plugin's promises, by the conformance suite: memory that was written while an attempt was under way which then
// failed, by every tracker and in every form of the stream; a device behind it counts in it, and checks what comes.
import { MigrationError, u32, vmstate } from "@godwit/core";
import { describePlugin } from "@godwit/testkit/vitest";
import { describe } from "vitest";
import { barrierTracker, compareTracker, type DirtyTracker, hashTracker, listFormat, ram } from "../src/index.ts";
import { testBlock } from "./support/rig.ts";

const gpa = 0x1000_0000;
const ring = vmstate({ name: "ring", version: 1, fields: { count: u32 } });

interface Form {
  readonly tracker: (length: number, pageBytes: number) => DirtyTracker;
  readonly pageBytes?: number;
  readonly capabilities?: readonly string[];
  readonly xbzrle?: { readonly cacheBytes: number };
}

describe.each<[string, Form]>([
  ["whole pages", { tracker: barrierTracker }],
  ["deltas", { tracker: compareTracker, xbzrle: { cacheBytes: 2048 } }],
  ["pages of 4 KiB", { tracker: (length, pageBytes) => hashTracker(length, { pageBytes }), pageBytes: 4096 }],
  ["mapped-ram", { tracker: barrierTracker, capabilities: ["mapped-ram"] }],
  ["x-ignore-shared", { tracker: compareTracker, capabilities: ["x-ignore-shared"] }],
])("%s", (_, { tracker, capabilities = [], pageBytes = 1024, ...modes }) => {
  describePlugin({
    kernel: { capabilities },
    setup(bench) {
      const how = { tracker: (length: number) => tracker(length, pageBytes) };
      const blocks = [
        testBlock("mach.ram", 4 * pageBytes, { ...how, map: [{ gpa, offset: 0, length: 4 * pageBytes }] }),
        // One block of a mapped-ram file is a MiB at least.
        ...(capabilities.includes("mapped-ram") ? [] : [testBlock("mach.shared", pageBytes, { ...how, shared: true })]),
      ];
      const list = listFormat(capabilities);
      const offer = bench.use(ram({ blocks: blocks.map(({ block }) => block), list, pageBytes, ...modes }));
      const counted = (memory: Pick<typeof offer.memory, "read">) => memory.read(gpa, 1)[0] as number;
      bench.kernel.device(ring, {
        after: offer.after,
        save: () => ({ count: counted(offer.memory) }),
        check({ count }, view) {
          if (count !== counted(offer.staged(view))) throw new MigrationError("DEVICE_CHECK", "another count in RAM");
        },
        load() {},
      });
      return blocks;
    },
    exercise(blocks, random, { kernel }) {
      const write = () => {
        for (const { memory, write } of blocks) {
          const at = random.int(memory().length);
          if (random.int(4) === 0) write(at - (at % pageBytes), new Uint8Array(pageBytes));
          else write(at, random.bytes(1 + random.int(Math.min(400, memory().length - at))));
        }
      };
      write();
      const attempt = kernel.outgoing();
      attempt.setup();
      if (!capabilities.includes("mapped-ram")) {
        for (let round = random.int(4); round > 0; round--) {
          attempt.iterate(1 + random.int(3 * pageBytes));
          write();
        }
      }
      attempt.end(false);
      write();
    },
    states: capabilities.includes("mapped-ram") ? 5 : 30,
    goldens: new URL("../goldens/", import.meta.url),
    sources: new URL("../src/", import.meta.url),
  });
});

import type { Kernel } from "@godwit/core";
import { barrierTracker, ram, ramBlock } from "@godwit/ram-dirty-tracker";

/** Gives a machine RAM at 2 GiB, sent while the guest writes to it, as deltas from the second round on. */
export function addRam(kernel: Kernel, lengthBytes: number) {
  let memory: Uint8Array = new Uint8Array(lengthBytes);
  const tracker = barrierTracker(lengthBytes);
  const { memory: guest, statistics } = kernel.use(
    ram({
      blocks: [
        ramBlock({
          idstr: "mach.ram",
          bytes: () => memory, // asked again each round
          adopt: (incoming) => {
            memory = incoming;
          },
          tracker,
          map: [{ gpa: 0x8000_0000, offset: 0, length: lengthBytes }],
        }),
      ],
      xbzrle: { cacheBytes: 16 * 1024 * 1024 },
    }),
  );
  // A write through `guest` marks its pages dirty; an interpreter may set the bits of `tracker.words` itself.
  return { guest, statistics, tracker };
}

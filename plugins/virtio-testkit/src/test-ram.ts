// The RAM of a test's machine, from address 0 on, and a device's way to it.
import type { Kernel } from "@godwit/core";
import { barrierTracker, type Dma, directDma, ram, ramBlock } from "@godwit/ram-dirty-tracker";

export interface TestRam {
  readonly ram: Uint8Array;
  readonly dma: Dma;
}

export function testRam(kernel: Kernel, ramBytes: number = 1 << 18): TestRam {
  const memory = new Uint8Array(ramBytes);
  const { memory: guestMemory, ...rest } = kernel.use(
    ram({
      blocks: [
        ramBlock({
          idstr: "test.ram",
          bytes: () => memory,
          tracker: barrierTracker(ramBytes),
          map: [{ gpa: 0, offset: 0, length: ramBytes }],
        }),
      ],
    }),
  );
  return { ram: memory, dma: directDma({ memory: guestMemory, ...rest }) };
}

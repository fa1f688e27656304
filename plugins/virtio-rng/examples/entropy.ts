import type { Kernel, TimerQueue } from "@godwit/core";
import type { Dma } from "@godwit/virtio-core";
import { virtioRngPci } from "@godwit/virtio-rng/pci";

export interface Machine {
  readonly kernel: Kernel;
  readonly timers: TimerQueue;
  readonly dma: Dma;
  readonly signalMsi: (address: number, data: number) => void;
}

/** An entropy device in slot 3 that gives its guest a kilobyte a second at most. */
export function addEntropy({ kernel, timers, dma, signalMsi }: Machine) {
  const { rng, function: pci } = kernel.use(
    virtioRngPci({
      slot: "00:03.0",
      dma,
      signalMsi,
      backend: { read: (bytes) => crypto.getRandomValues(new Uint8Array(bytes)) },
      rate: { maxBytes: 1024, periodMs: 1000, timers },
    }),
  );
  return { rng, pci };
}

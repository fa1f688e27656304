import type { Kernel } from "@godwit/core";
import { type MemoryStatistics, pageBytes } from "@godwit/virtio-balloon";
import { virtioBalloonPci } from "@godwit/virtio-balloon/pci";
import type { Dma } from "@godwit/virtio-core";

export interface Machine {
  readonly kernel: Kernel;
  readonly dma: Dma;
  readonly signalMsi: (address: number, data: number) => void;
  readonly memory: Uint8Array;
}

/** A balloon in slot 4. The function that is returned asks the guest to leave this many bytes to the host. */
export function addBalloon({ kernel, dma, signalMsi, memory }: Machine, show: (statistics: MemoryStatistics) => void) {
  const { balloon } = kernel.use(
    virtioBalloonPci({
      slot: "00:04.0",
      dma,
      signalMsi,
      reporting: true,
      discard: (gpa, length) => memory.fill(0, gpa, gpa + length),
      onStatistics: show,
    }),
  );
  return (bytes: number): void => {
    balloon.setTarget(Math.floor(bytes / pageBytes));
    balloon.requestStatistics();
  };
}

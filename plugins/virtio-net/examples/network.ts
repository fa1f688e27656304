import type { Kernel } from "@godwit/core";
import type { Dma } from "@godwit/virtio-core";
import { virtioNetPci } from "@godwit/virtio-net/pci";

export interface Machine {
  readonly kernel: Kernel;
  readonly dma: Dma;
  readonly signalMsi: (address: number, data: number) => void;
  /** The machine's end of the wire. */
  readonly send: (frame: Uint8Array) => void;
}

/** A network card in slot 1; what the machine's wire brings goes to `receive`. */
export function addNetwork({ kernel, ...wiring }: Machine) {
  const { net } = kernel.use(virtioNetPci({ slot: "00:01.0", mac: "52:54:00:12:34:56", queuePairs: 2, ...wiring }));
  return {
    /** "delivered", "queued" until the driver has buffers, or "dropped". */
    receive: (frame: Uint8Array) => net.receive(frame),
    /** After a move: what still waited at the old place is given to the new one. */
    takeOver(from: typeof net) {
      for (const { frame, header } of from.takeBacklog()) net.receive(frame, header);
    },
    net,
  };
}

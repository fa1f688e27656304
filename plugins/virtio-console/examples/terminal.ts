import type { Kernel } from "@godwit/core";
import { virtioConsolePci } from "@godwit/virtio-console/pci";
import type { Dma } from "@godwit/virtio-core";

export interface Machine {
  readonly kernel: Kernel;
  readonly dma: Dma;
  readonly signalMsi: (address: number, data: number) => void;
}

/** A device in slot 5 with a terminal, and a port by which an agent in the guest is reached. */
export function addTerminal({ kernel, dma, signalMsi }: Machine, screen: { write(text: string): void }) {
  const decoder = new TextDecoder();
  const answers: Uint8Array[] = [];
  const { serial } = kernel.use(
    virtioConsolePci({
      slot: "00:05.0",
      dma,
      signalMsi,
      maxPorts: 2,
      ports: [
        {
          id: 0,
          console: true,
          size: { cols: 80, rows: 25 },
          write(bytes) {
            screen.write(decoder.decode(bytes, { stream: true }));
            return bytes.length;
          },
        },
        {
          id: 1,
          name: "org.example.agent",
          // Full with one answer: the rest waits with the guest, and travels with it, until next() makes room.
          write: (bytes) => (answers.length === 0 ? answers.push(bytes) * bytes.length : 0),
        },
      ],
    }),
  );
  const [console, agent] = serial.ports;
  return {
    type: (text: string) => console?.send(new TextEncoder().encode(text)),
    next(): Uint8Array | undefined {
      const answer = answers.shift();
      agent?.drained();
      return answer;
    },
  };
}

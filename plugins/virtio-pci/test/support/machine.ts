// A machine of real parts for tests: kernel, RAM and one virtio PCI function.
import { createKernel, type Kernel, virtualClock } from "@godwit/core";
import { barrierTracker, directDma, ram, ramBlock } from "@godwit/ram-dirty-tracker";
import { type VirtioPciOffer, type VirtioPciOptions, virtioPci } from "../../src/index.ts";
import { type Echo, echo } from "./echo.ts";

export interface PciMachine {
  readonly kernel: Kernel;
  readonly offer: VirtioPciOffer;
  readonly model: Echo;
  readonly memory: () => Uint8Array;
  /** Messages that were sent, as `address: data`, and levels of the interrupt line. */
  readonly messages: string[];
  readonly line: boolean[];
  save(): Promise<Uint8Array>;
}

const ramBytes = 1 << 17;

export type Options = Partial<Omit<VirtioPciOptions<never, never>, "model" | "dma" | "signalMsi" | "setIntx">>;

export function pciMachine(options: Options = {}, model: Echo = echo()): PciMachine {
  let memory = new Uint8Array(ramBytes);
  const messages: string[] = [];
  const line: boolean[] = [];
  let time = 0n;
  const kernel = createKernel({
    machineType: "virtio-pci-test",
    machine: { pause() {}, resume() {}, reset: () => offer.reset() },
    clock: virtualClock(() => time++),
  });
  const block = ramBlock({
    idstr: "test.ram",
    bytes: () => memory,
    adopt: (bytes) => {
      memory = bytes as typeof memory;
    },
    tracker: barrierTracker(ramBytes),
    map: [{ gpa: 0, offset: 0, length: ramBytes }],
  });
  const offer = kernel.use(
    virtioPci({
      slot: "00:02.0",
      ...options,
      model,
      dma: directDma(kernel.use(ram({ blocks: [block] }))),
      signalMsi: (address, data) => messages.push(`${address.toString(16)}: ${data}`),
      setIntx: (level) => line.push(level),
    }),
  );
  kernel.resume();
  return {
    kernel,
    offer,
    model,
    memory: () => memory,
    messages,
    line,
    async save() {
      const chunks: Uint8Array[] = [];
      for await (const chunk of kernel.save()) chunks.push(chunk.slice());
      const bytes = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
      let at = 0;
      for (const chunk of chunks) {
        bytes.set(chunk, at);
        at += chunk.length;
      }
      return bytes;
    },
  };
}

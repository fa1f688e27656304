// A machine of real parts for tests: kernel, RAM and one virtio device on a subchannel.
import { createKernel, type Kernel, virtualClock } from "@godwit/core";
import { barrierTracker, type Dma, directDma, ram, ramBlock } from "@godwit/ram-dirty-tracker";
import { type VirtioCcwOffer, type VirtioCcwOptions, virtioCcw } from "../../src/index.ts";
import { type Echo, echo } from "./echo.ts";

export interface CcwMachine {
  readonly kernel: Kernel;
  readonly offer: VirtioCcwOffer;
  readonly model: Echo;
  readonly memory: () => Uint8Array;
  /** Interruptions, as `io schid intparm isc` and `adapter isc`, and changes of number, as `schid from to`. */
  readonly log: string[];
  save(): Promise<Uint8Array>;
}

const ramBytes = 1 << 18;

export type Options = Partial<
  Omit<VirtioCcwOptions<never, never>, "model" | "dma" | "ioInterrupt" | "adapterInterrupt" | "schidChanged">
>;

/** `through`: what the device sees memory by. */
export function ccwMachine(
  options: Options = {},
  model: Echo = echo(),
  through: (dma: Dma) => Dma = (dma) => dma,
): CcwMachine {
  let memory = new Uint8Array(ramBytes);
  const log: string[] = [];
  let time = 0n;
  const kernel = createKernel({
    machineType: "virtio-ccw-test",
    machine: { pause() {}, resume() {}, reset: () => offer.reset() },
    clock: virtualClock(() => time++),
  });
  const block = ramBlock({
    idstr: "s390.ram",
    bytes: () => memory,
    adopt: (bytes) => {
      memory = bytes as typeof memory;
    },
    tracker: barrierTracker(ramBytes),
    map: [{ gpa: 0, offset: 0, length: ramBytes }],
  });
  const offer = kernel.use(
    virtioCcw({
      busId: "fe.0.0001",
      ...options,
      model,
      dma: through(directDma(kernel.use(ram({ blocks: [block] })))),
      ioInterrupt: ({ schid, intparm, isc }) => log.push(`io ${schid} ${intparm} ${isc}`),
      adapterInterrupt: (isc) => log.push(`adapter ${isc}`),
      schidChanged: (from, to) => log.push(`schid ${from} ${to}`),
    }),
  );
  kernel.resume();
  return {
    kernel,
    offer,
    model,
    memory: () => memory,
    log,
    async save() {
      const chunks: Uint8Array[] = [];
      for await (const chunk of kernel.save()) chunks.push(chunk.slice());
      return new Uint8Array(Buffer.concat(chunks));
    },
  };
}

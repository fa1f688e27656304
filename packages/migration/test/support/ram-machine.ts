// A machine whose memory is the ram plugin's, and which runs when a test lets it: for what the engine does with pages.
import { createKernel, type Kernel, u32, virtualClock, vmstate } from "@godwit/core";
import { barrierTracker, type RamOffer, ram, ramBlock } from "@godwit/ram-dirty-tracker";

const pageBytes = 4096;
const counter = vmstate({ name: "counter", version: 1, fields: { ticks: u32 } });

export interface RamMachine {
  readonly kernel: Kernel;
  readonly ram: RamOffer;
  isRunning: boolean;
  ticks: number;
  memory(): Uint8Array;
  /** The guest's turn: writes its count into some pages. */
  tick(): void;
}

export function ramMachine(init: { readonly pages: number; readonly pagesPerTick?: number }): RamMachine {
  const { pages, pagesPerTick = 3 } = init;
  let bytes = new Uint8Array(pages * pageBytes);
  const tracker = barrierTracker(bytes.length);
  const block = ramBlock({
    idstr: "pc.ram",
    bytes: () => bytes,
    adopt: (fresh) => {
      bytes = fresh as Uint8Array<ArrayBuffer>;
    },
    tracker,
    map: [{ gpa: 0, offset: 0, length: pages * pageBytes }],
  });
  const kernel = createKernel({
    machineType: "ram-machine-1",
    clock: virtualClock(() => 0n),
    machine: {
      pause: () => {
        machine.isRunning = false;
      },
      resume: () => {
        machine.isRunning = true;
      },
      reset: () => {},
    },
  });
  const offer = kernel.use(ram({ blocks: [block] }));
  const machine: RamMachine = {
    kernel,
    ram: offer,
    isRunning: false,
    ticks: 0,
    memory: () => bytes,
    tick() {
      if (!machine.isRunning) return;
      machine.ticks++;
      for (let i = 0; i < pagesPerTick; i++) {
        const page = (Math.imul(machine.ticks * pagesPerTick + i, 2654435761) >>> 8) % pages;
        const at = page * pageBytes + 4 * (machine.ticks % 1000);
        new DataView(bytes.buffer).setUint32(at, machine.ticks);
        tracker.mark(at, 4);
      }
    },
  };
  kernel.device(counter, {
    after: offer.after,
    save: () => ({ ticks: machine.ticks }),
    load: (state) => {
      machine.ticks = state.ticks;
    },
  });
  return machine;
}

/** Pages of every kind: zero, of one byte, and with content that does not compress. */
export function fillPages(memory: Uint8Array): void {
  for (let page = 0; page * pageBytes < memory.length; page++) {
    const bytes = memory.subarray(page * pageBytes, (page + 1) * pageBytes);
    if (page % 3 === 1) bytes.fill(page);
    if (page % 3 !== 2) continue;
    for (let i = 0; i < bytes.length; i++) bytes[i] = Math.imul(page * 4096 + i, 2654435761) >>> 24;
  }
}

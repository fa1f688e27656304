// A machine on the real kernel: guest memory that is sent in rounds, and a counter device beside it.
import {
  buffer,
  createKernel,
  type IterableInit,
  type Kernel,
  recordDecoder,
  type StagedIterable,
  struct,
  u32,
  u64,
  varray,
  virtualClock,
  vmstate,
} from "@godwit/core";

const pageBytes = 256;
const page = vmstate({ name: "page", version: 0, fields: { index: u32, data: buffer(pageBytes) } });
const pages = vmstate({ name: "pages", version: 0, fields: { count: u32, pages: varray("count", struct(page)) } });
const counter = vmstate({ name: "counter", version: 3, minimumVersion: 2, fields: { value: u64, step: u32 } });

export interface KernelMachine {
  readonly kernel: Kernel;
  readonly memory: Uint8Array;
  isRunning: boolean;
  value: bigint;
  /** The guest's turn: it counts, and writes what it counted all over its memory. */
  tick(): void;
}

export function kernelMachine(memoryBytes: number, hostNow: () => bigint): KernelMachine {
  const dirty = new Set<number>();
  let step = 1;
  const machine: KernelMachine = {
    kernel: createKernel({
      machineType: "counter-machine-1",
      clock: virtualClock(hostNow),
      machine: {
        pause: () => {
          machine.isRunning = false;
        },
        resume: () => {
          machine.isRunning = true;
        },
        reset: () => {},
      },
    }),
    memory: new Uint8Array(memoryBytes),
    isRunning: false,
    value: 0n,
    tick() {
      if (!machine.isRunning) return;
      machine.value += BigInt(step);
      const at = Number((machine.value * 7919n) % BigInt(memoryBytes));
      machine.memory[at] = Number(machine.value & 0xffn);
      dirty.add(Math.floor(at / pageBytes));
    },
  };
  machine.kernel.iterable(memoryHandler(machine, dirty));
  machine.kernel.device(counter, {
    after: ["memory"],
    save: () => ({ value: machine.value, step }),
    load: (state) => {
      machine.value = state.value;
      step = state.step;
    },
  });
  return machine;
}

function memoryHandler({ memory }: KernelMachine, dirty: Set<number>): IterableInit {
  const count = memory.length / pageBytes;
  let toSend = new Set<number>();
  const synchronise = (): void => {
    for (const index of dirty) toSend.add(index);
    dirty.clear();
  };
  const write = (out: Parameters<IterableInit["setup"]>[0], most: number): boolean => {
    const indexes = [...toSend].slice(0, most);
    out.u32(indexes.length);
    for (const index of indexes) {
      toSend.delete(index);
      out.u32(index);
      out.raw(memory.subarray(index * pageBytes, (index + 1) * pageBytes));
    }
    return toSend.size === 0;
  };
  return {
    idstr: "memory",
    version: 1,
    setup(out) {
      toSend = new Set(Array.from({ length: count }, (_, index) => index));
      dirty.clear();
      out.u32(0);
    },
    pending(exact) {
      if (exact) synchronise();
      return { mustPrecopyBytes: 0, canPostcopyBytes: toSend.size * pageBytes };
    },
    iterate: (out, budgetBytes) => write(out, Math.max(1, Math.floor(budgetBytes / pageBytes))),
    complete(out) {
      synchronise();
      return write(out, count);
    },
    cleanup: () => {},
    ramBlocks: () => [{ idstr: "memory", bytes: memory.length }],
    stage: () => stage(memory),
  };
}

function stage(memory: Uint8Array): StagedIterable {
  const staged = new Uint8Array(memory.length);
  const before = memory.slice();
  const taking = (inner: ReturnType<typeof recordDecoder>): ReturnType<typeof recordDecoder> => ({
    resume(cursor) {
      if (!inner.resume(cursor)) return false;
      const arrived = inner.value()["pages"] as unknown as { index: number; data: Uint8Array }[];
      for (const { index, data } of arrived) staged.set(data, index * pageBytes);
      return true;
    },
    value: () => inner.value(),
    path: () => inner.path(),
    fork: () => taking(inner.fork()),
  });
  return {
    decoder: () => taking(recordDecoder(pages, 0)),
    offer: () => staged,
    commit: () => memory.set(staged),
    revert: () => memory.set(before),
    discard: () => {},
  };
}

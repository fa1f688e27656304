// A small machine for kernel tests: a RAM-like iterable, an interrupt controller, and two devices.
import {
  array,
  buffer,
  createKernel,
  type IterableInit,
  type Kernel,
  MigrationError,
  recordDecoder,
  subsection,
  u8,
  u16,
  u32,
  u64,
  varray,
  virtualClock,
  vmstate,
} from "../src/index.ts";

const irqchip = vmstate({
  name: "irqchip",
  version: 2,
  minimumVersion: 1,
  fields: { pending: u32, enable: u32 },
});
export const uart = vmstate({
  name: "uart",
  version: 1,
  fields: { lcr: u8, count: u8, fifo: varray("count", u8), stamps: array(u64, 2) },
  subsections: {
    timeout: subsection({
      name: "uart/timeout",
      version: 1,
      fields: { ticks: u16 },
      needed: (own) => own.ticks !== 0,
      absent: { ticks: 0 },
    }),
  },
});

const block = vmstate({ name: "block", version: 0, fields: { data: buffer(64) } });

interface Store {
  bytes: Uint8Array;
  staged: number;
  committed: number;
  /** The next commit throws half way. */
  failCommit?: boolean;
}

/** An iterable that sends 64 bytes in START, and again in END. */
export function memory(store: Store): IterableInit {
  return {
    idstr: "memory",
    version: 1,
    setup: (out) => out.raw(store.bytes),
    pending: () => ({ mustPrecopyBytes: 64, canPostcopyBytes: 0 }),
    iterate: (out) => {
      out.raw(store.bytes);
      return true;
    },
    complete: (out) => {
      out.raw(store.bytes);
      return true;
    },
    cleanup: () => {},
    stage: () => {
      store.staged++;
      const old = store.bytes;
      let fresh = new Uint8Array(64);
      return {
        decoder: () => {
          const inner = recordDecoder(block, 0);
          const wrap = (decoder: typeof inner): typeof inner => ({
            resume: (cursor) => {
              if (!decoder.resume(cursor)) return false;
              fresh = decoder.value()["data"] as Uint8Array<ArrayBuffer>;
              return true;
            },
            value: () => decoder.value(),
            path: () => decoder.path(),
            fork: () => wrap(decoder.fork()),
          });
          return wrap(inner);
        },
        offer: () => fresh,
        commit: () => {
          store.committed++;
          if (store.failCommit) {
            store.failCommit = false;
            store.bytes = fresh.slice(0, 1);
            throw new Error("planted");
          }
          store.bytes = fresh;
        },
        revert: () => {
          store.bytes = old;
        },
        discard: () => {},
      };
    },
  };
}

export interface SmallMachine {
  readonly kernel: Kernel;
  readonly store: Store;
  readonly log: string[];
  /** A path that the check of the UARTs refuses. */
  refuse: string | undefined;
  /** The device whose next load throws. */
  failLoad: string | undefined;
  irq: { pending: number; enable: number };
  uarts: { lcr: number; count: number; fifo: Uint8Array; stamps: BigUint64Array; timeout: { ticks: number } }[];
}

export function smallMachine(fill = 0): SmallMachine {
  let host = 0n;
  const log: string[] = [];
  const clock = virtualClock(() => {
    host += 1000n;
    return host;
  });
  const kernel = createKernel({
    machineType: "small-1.0",
    clock,
    machine: {
      pause: () => log.push("pause"),
      resume: () => log.push("resume"),
      reset: () => log.push("reset"),
      holdInterrupts: (held) => log.push(held ? "hold" : "release"),
    },
  });
  const machine: SmallMachine = {
    kernel,
    log,
    failLoad: undefined,
    refuse: undefined,
    store: { bytes: new Uint8Array(64).fill(fill), staged: 0, committed: 0 },
    irq: { pending: fill, enable: 0xff },
    uarts: [0, 1].map((i) => ({
      lcr: i + fill,
      count: 3,
      fifo: Uint8Array.of(1, 2, fill),
      stamps: BigUint64Array.of(1n, BigInt(fill)),
      timeout: { ticks: i * fill },
    })),
  };
  kernel.iterable(memory(machine.store));
  machine.uarts.forEach((_, i) => {
    kernel.device(uart, {
      instance: i,
      after: ["irqchip"],
      save: () => machine.uarts[i] as SmallMachine["uarts"][0],
      check: (state, view) => {
        log.push(`check uart${i} ${view.offer<{ pending: number }>("irqchip").pending}`);
        if (machine.refuse !== undefined) {
          throw new MigrationError("DEVICE_CHECK", "planted", { path: machine.refuse });
        }
        return state.lcr === 99 ? { amended: { ...state, lcr: 1 }, note: "lcr was 99" } : undefined;
      },
      resumed: () => log.push(`resumed uart${i}`),
      load: (state) => {
        log.push(`load uart${i}`);
        if (machine.failLoad === `uart${i}`) {
          machine.failLoad = undefined;
          throw new Error("planted");
        }
        // In place on purpose: what the kernel kept for the way back must not be this very memory.
        const own = machine.uarts[i] as SmallMachine["uarts"][0];
        own.fifo.set(state.fifo);
        Object.assign(own, { ...state, fifo: own.fifo });
      },
    });
  });
  kernel.device(irqchip, {
    save: () => machine.irq,
    offer: (state) => ({ pending: state.pending }),
    load: (state) => {
      log.push("load irqchip");
      machine.irq = state;
    },
  });
  return machine;
}

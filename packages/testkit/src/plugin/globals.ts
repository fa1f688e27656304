// The clocks and the chance that every JavaScript has, replaced for a while: what depends on them shows.
import { randomOf } from "./random.ts";

export interface HostGlobals {
  /** What `Date` and its like show. Milliseconds since 1970-01-01 UTC; they stand. */
  readonly timeMs: number;
  /** Of `Math.random` and `crypto`. */
  readonly seed: number;
}

type Names = Record<string, unknown>;

/** Runs `work` with them, and puts everything back. Of two at a time the later one would put back the earlier's. */
export async function withGlobals<T>(globals: HostGlobals, work: () => Promise<T>): Promise<T> {
  const undo = replaceAll(globals);
  try {
    return await work();
  } finally {
    for (const one of undo.toReversed()) one();
  }
}

function replaceAll({ timeMs, seed }: HostGlobals): (() => void)[] {
  const undo: (() => void)[] = [];
  const replace = (owner: object | undefined, name: string, value: unknown): void => {
    if (owner === undefined || !(name in owner)) return;
    const own = Object.getOwnPropertyDescriptor(owner, name);
    // What a runtime does not let go of stays, and so do its own instances.
    if (own?.configurable === false) return;
    Object.defineProperty(owner, name, {
      value,
      configurable: true,
      writable: true,
      enumerable: own?.enumerable ?? false,
    });
    undo.push(() => {
      if (own === undefined) delete (owner as Names)[name];
      else Object.defineProperty(owner, name, own);
    });
  };
  const world = globalThis as unknown as Names;
  const random = randomOf(seed);
  replace(globalThis, "Date", dateAt(timeMs));
  replace(Math, "random", () => random.int(2 ** 32) / 2 ** 32);
  // Since the process began: as long as the host has been up, so that a shift of the one is one of the other.
  replace(world["performance"] as object | undefined, "now", () => timeMs - bootMs);
  const process = world["process"] as { hrtime?: object } | undefined;
  const ns = BigInt(timeMs - bootMs) * 1_000_000n;
  const hrtime = () => [Number(ns / 1_000_000_000n), Number(ns % 1_000_000_000n)];
  replace(process, "hrtime", Object.assign(hrtime, { bigint: () => ns }));
  const crypto = world["crypto"] as object | undefined;
  replace(crypto, "getRandomValues", <A extends ArrayBufferView>(into: A): A => {
    new Uint8Array(into.buffer, into.byteOffset, into.byteLength).set(random.bytes(into.byteLength));
    return into;
  });
  replace(crypto, "randomUUID", () => uuidOf(random.bytes(16)));
  return undo;
}

const bootMs = 1_000_000_000_000;

/** `Date` as it is, but for what it says when it is asked for the present. */
function dateAt(timeMs: number): DateConstructor {
  return new Proxy(Date, {
    construct: (target, args, made) => Reflect.construct(target, args.length === 0 ? [timeMs] : args, made) as object,
    apply: (target) => new target(timeMs).toString(),
    get: (target, name) => (name === "now" ? () => timeMs : (Reflect.get(target, name) as unknown)),
  });
}

function uuidOf(bytes: Uint8Array): string {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`;
}

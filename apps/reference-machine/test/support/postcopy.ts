// A machine that runs while its pages are still elsewhere: moved by the kernel's own post-copy, and fed page by page in
// an order that a seed decides.
import type { IncomingAttempt, OutgoingAttempt } from "@godwit/core";
import type { ReferenceMachine } from "../../src/machine/machine.ts";

const idstr = "reference.ram";
const pageBytes = 4096;
const command = { listen: 4, run: 5 } as const;

/** What decides which page comes next, and when. */
export interface Feeding {
  /** 0 to 1. */
  random(): number;
  /** Of the turns of the event loop, so many bring a page that is waited for, and one that is not. */
  readonly asked: number;
  readonly unasked: number;
}

export interface Moved {
  /** Pages that were asked for; a device may ask for one that is not waited for any more. */
  readonly requests: () => number;
  readonly missingPages: () => number;
  /** Pages that were there at the guest's first instruction. */
  readonly presentAtStart: number;
  /** Brings all that is left, and ends the stream. */
  finish(): Promise<void>;
  /** No page comes any more. */
  stop(): void;
}

/** Of a source that stands. The target runs when this resolves. */
export async function moveByPostcopy(
  source: ReferenceMachine,
  target: ReferenceMachine,
  feeding: Feeding,
): Promise<Moved> {
  const out = source.kernel.outgoing();
  const into: IncomingAttempt = target.kernel.incoming({
    onCommand({ command: number }) {
      if (number !== command.listen) return;
      for (const { idstr: name, ranges } of discards) destination.discard(name, ranges);
      destination.listen((_, start) => wanted.push(start));
    },
  });
  const destination = target.memory.postcopyDestination;
  const wanted: number[] = [];
  const discards: { readonly idstr: string; readonly ranges: readonly { start: number; length: number }[] }[] = [];
  let requests = 0;
  const push = (chunks: Iterable<Uint8Array>): void => {
    for (const chunk of chunks) into.push(chunk);
  };
  push(out.setup());
  push(out.switchOver());
  discards.push(...source.memory.postcopySource.discards());
  into.push(out.package([{ command: command.listen, payload: new Uint8Array(0) }], [run]));

  const pages = source.ram().byteLength / pageBytes;
  let stopped = false;
  const turn = (): void => {
    if (stopped) return;
    if (wanted.length > 0 && feeding.random() < feeding.asked) {
      const [start = 0] = wanted.splice(Math.floor(feeding.random() * wanted.length), 1);
      requests++;
      push(page(out, source, start));
    }
    if (feeding.random() < feeding.unasked) push(page(out, source, Math.floor(feeding.random() * pages) * pageBytes));
    setImmediate(turn);
  };
  setImmediate(turn);
  await into.prepare();
  await into.commit();
  const presentAtStart = pages - destination.missingPages;
  target.kernel.resume();
  return {
    requests: () => requests,
    missingPages: () => destination.missingPages,
    presentAtStart,
    async finish() {
      stopped = true;
      while (destination.missingPages > 0) {
        push(out.iterate(64 * 1024));
        await new Promise((resolve) => setImmediate(resolve));
      }
      push(out.finish());
      into.end();
      out.end(true);
    },
    stop() {
      stopped = true;
    },
  };
}

const run = { command: command.run, payload: new Uint8Array(0) };

/** One page, by the way of those that are asked for. */
function page(out: OutgoingAttempt, source: ReferenceMachine, start: number): Iterable<Uint8Array> {
  source.memory.postcopySource.request(idstr, start, pageBytes);
  return out.iterate(1);
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b_79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

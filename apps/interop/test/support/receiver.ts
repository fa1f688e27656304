// A machine of ours that takes RAM: the plugin's handler with the blocks of a list, fed by connections as they come.
import { type IterableInit, type KernelForPlugins, virtualClock } from "@godwit/core";
import { StreamReader } from "@godwit/core/stream";
import {
  barrierTracker,
  type MultifdReceiverInit,
  multifdMagic,
  type RamPhase,
  type RamStatistics,
  ram,
  ramBlock,
  type StagedRam,
} from "@godwit/ram-dirty-tracker";
import type { Taker } from "./sockets.ts";

export interface Receiver {
  open(first: Uint8Array): Taker;
  /** Every connection has ended, each at a place where it may. */
  readonly done: Promise<void>;
  /** Commits; the memory by name. */
  memory(): ReadonlyMap<string, Uint8Array>;
  statistics(): RamStatistics;
}

export function receiver(
  blocks: readonly { readonly idstr: string; readonly bytes: number }[],
  receive?: MultifdReceiverInit,
): Receiver {
  const memory = new Map<string, Uint8Array>(blocks.map(({ idstr, bytes }) => [idstr, new Uint8Array(bytes)]));
  let handler: IterableInit | undefined;
  const kernel = {
    clock: virtualClock(() => 0n),
    iterable(init: IterableInit) {
      handler = init;
      return { idstr: init.idstr, instance: 0, sectionId: 0, remove() {} };
    },
  } as unknown as KernelForPlugins;
  const offer = ram({
    blocks: blocks.map(({ idstr, bytes }) =>
      ramBlock({
        idstr,
        bytes: () => memory.get(idstr) as Uint8Array,
        adopt: (incoming) => void memory.set(idstr, incoming),
        tracker: barrierTracker(bytes),
      }),
    ),
    ...(receive && { multifd: { receive } }),
  }).setup(kernel);
  const staged = (handler as unknown as IterableInit).stage() as StagedRam;
  const main = new StreamReader({
    open: ({ idstr, version }, phase, previous) =>
      idstr === "ram" ? staged.decoder(phase as RamPhase, version, previous) : undefined,
  });
  let left = 1 + (receive?.channels ?? 0);
  let finish: () => void = () => {};
  const done = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const ended = (): void => {
    if (--left > 0) return;
    // Not before: the main stream may be whole, and wait for channels that are not.
    main.end();
    finish();
  };
  return {
    done,
    memory() {
      staged.commit();
      return memory;
    },
    statistics: () => offer.statistics(),
    open(first) {
      const channels = offer.multifd();
      const isChannel = new DataView(first.buffer, first.byteOffset).getUint32(0) === multifdMagic;
      if (!isChannel || channels === undefined) return { push: (bytes) => void main.push(bytes), end: ended };
      const input = channels.accept();
      return {
        push(bytes) {
          input.push(bytes);
          if (channels.isSynced) main.push(new Uint8Array(0));
        },
        end() {
          input.end();
          ended();
        },
      };
    },
  };
}

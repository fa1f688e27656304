// RAM written anew, by the plugin that a machine of ours has.
import { type IterableInit, type KernelForPlugins, virtualClock, type Writer } from "@godwit/core";
import type { StreamWriter } from "@godwit/core/stream";
import { barrierTracker, ram, ramBlock } from "@godwit/ram-dirty-tracker";
import type { RamImage } from "./open.ts";

export interface RamEncoder {
  start(): void;
  /** One PART of at most so many bytes; false when nothing is left. */
  part(budgetBytes: number): boolean;
  end(): void;
}

/** The START, PART and END sections of `image`, written by the handler that the plugin registers. */
export function ramEncoder(out: StreamWriter, { head, pageBytes, blocks }: RamImage): RamEncoder {
  const handler = handlerOf(image(blocks, pageBytes), pageBytes);
  const continued = (phase: "part" | "end", write: (to: Writer) => void): void => {
    out.continue(phase, head.sectionId);
    write(out.out);
    out.footer(head.sectionId);
  };
  return {
    start() {
      out.start(head);
      handler.setup(out.out, out.out.pos);
      out.footer(head.sectionId);
    },
    part(budgetBytes) {
      let more = false;
      continued("part", (to) => {
        more = !handler.iterate(to, budgetBytes);
      });
      return more;
    },
    end: () =>
      continued("end", (to) => {
        if (!handler.complete(to, Number.MAX_SAFE_INTEGER)) throw new Error("RAM did not complete");
      }),
  };
}

function image(blocks: RamImage["blocks"], pageBytes: number) {
  let gpa = 0;
  return [...blocks].map(([idstr, bytes]) => {
    const block = ramBlock({
      idstr,
      bytes: () => bytes,
      tracker: barrierTracker(bytes.length, pageBytes),
      // Where a block stands does not travel.
      map: [{ gpa, offset: 0, length: bytes.length }],
    });
    gpa += bytes.length;
    return block;
  });
}

function handlerOf(blocks: ReturnType<typeof image>, pageBytes: number): IterableInit {
  let handler: IterableInit | undefined;
  const notHere = (): never => {
    throw new Error("RAM registers one handler");
  };
  const kernel: KernelForPlugins = {
    clock: virtualClock(() => 0n),
    iterable(init) {
      handler = init as IterableInit;
      return { idstr: init.idstr, instance: 0, sectionId: 0, remove() {} };
    },
    device: notHere,
    kind: notHere,
    retired: notHere,
    split: notHere,
    merged: notHere,
  };
  ram({ blocks, pageBytes }).setup(kernel);
  if (handler === undefined) throw new Error("RAM registered no handler");
  return handler;
}

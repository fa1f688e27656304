// Small machines' RAM for tests: blocks over plain arrays, the handler without a kernel, and hand-made section data.
import { type IterableInit, type KernelForPlugins, type Plugin, Writer } from "@godwit/core";
import {
  barrierTracker,
  type DirtyTracker,
  type GuestRange,
  type RamBlock,
  type RamInit,
  type RamOffer,
  ram,
  ramBlock,
  type StagedRam,
} from "@godwit/ram-dirty-tracker";

export const page = 4096;

export interface TestBlock {
  readonly block: RamBlock;
  readonly tracker: DirtyTracker;
  /** The memory as it is now. */
  memory(): Uint8Array;
  /** Stores bytes, and tells the tracker. */
  write(offset: number, bytes: ArrayLike<number>): void;
}

export function testBlock(
  idstr: string,
  bytes: Uint8Array | number,
  {
    tracker,
    map,
    shared,
  }: { tracker?: (length: number) => DirtyTracker; map?: readonly GuestRange[]; shared?: boolean } = {},
): TestBlock {
  let memory = typeof bytes === "number" ? new Uint8Array(bytes) : bytes;
  const own = (tracker ?? barrierTracker)(memory.length);
  return {
    tracker: own,
    block: ramBlock({
      idstr,
      bytes: () => memory,
      adopt: (fresh) => {
        memory = fresh;
      },
      tracker: own,
      ...(map && { map }),
      ...(shared && { shared }),
    }),
    memory: () => memory,
    write(offset, stored) {
      memory.set(stored, offset);
      own.mark(offset, stored.length);
    },
  };
}

export interface RamRig {
  readonly handler: Omit<IterableInit, "setup"> & { setup(out: Writer, offset?: number): void };
  readonly offer: RamOffer;
  stage(): StagedRam;
}

/** The plugin's handler, taken as a kernel takes it. */
export function rig(blocks: readonly RamBlock[], more: Omit<RamInit, "blocks"> = {}): RamRig {
  let handler: IterableInit | undefined;
  const kernel = {
    iterable(init: IterableInit) {
      handler = init;
      return { idstr: init.idstr, instance: init.instance ?? 0, sectionId: 0, remove() {} };
    },
  } as unknown as KernelForPlugins;
  const plugin: Plugin<RamOffer> = ram({ blocks, ...more });
  const offer = plugin.setup(kernel);
  if (handler === undefined) throw new Error("the plugin registered nothing");
  const registered = handler;
  const setup = (out: Writer, offset = 0) => registered.setup(out, offset);
  return { handler: { ...registered, setup }, offer, stage: () => registered.stage() as StagedRam };
}

/** What `write` puts out, as one array of its own. */
export function bytesOf(write: (out: Writer) => void): Uint8Array {
  const out = new Writer();
  write(out);
  return out.flush();
}

/** Record data by hand: `word(0x1000, 0x8)`, `name("pc.ram")`. */
export const word = (address: number, flags: number): number[] => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(address) | BigInt(flags));
  return [...bytes];
};
export const name = (idstr: string): number[] => {
  const bytes = [...new TextEncoder().encode(idstr)];
  return [bytes.length, ...bytes];
};
export const eos: readonly number[] = word(0, 0x10);

/** The data of a START section that lists these blocks. */
export function listOf(blocks: readonly (readonly [idstr: string, length: number])[], total?: number): number[] {
  const sum = blocks.reduce((bytes, [, length]) => bytes + length, 0);
  return [
    ...word(total ?? sum, 0x04),
    ...blocks.flatMap(([idstr, length]) => [...name(idstr), ...word(length, 0)]),
    ...eos,
  ];
}

/** Page content that differs from page to page, and is nowhere zero. */
export function pattern(seed: number): Uint8Array {
  return Uint8Array.from({ length: page }, (_, i) => 1 + ((seed * 37 + i * 11 + (i >>> 8)) % 255));
}

/** Whether two lists of arrays hold the same bytes; far faster than comparing element by element. */
export function sameBytes(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  return a.length === b.length && a.every((bytes, index) => Buffer.compare(bytes, b[index] as Uint8Array) === 0);
}

// RAM in a vault: the plugin's handler over memory that is made from the stream's own list of blocks.
import {
  type BodyDecoder,
  Cursor,
  type IterableInit,
  type KernelForPlugins,
  MigrationError,
  virtualClock,
} from "@godwit/core";
import {
  barrierTracker,
  type ListedBlock,
  type RamOffer,
  type RamSection,
  ram,
  ramBlock,
  ramWalker,
} from "@godwit/ram-dirty-tracker";

/** How RAM leaves. */
export type SendModes = Parameters<RamOffer["sendBy"]>[0];

/** How RAM comes. */
export type ReceiveModes = Parameters<RamOffer["receiveBy"]>[0];

/** A handler of the plugin, and what it offers. */
export interface RamHandler {
  readonly handler: IterableInit;
  readonly offer: RamOffer;
}

/** The machine's memory, which never changes once it is here: a new handler sends all of it. */
export class VaultRam {
  readonly blocks: readonly ListedBlock[];
  readonly pageBytes: number;
  readonly #memory = new Map<string, Uint8Array>();

  constructor(blocks: readonly ListedBlock[], pageBytes: number) {
    this.blocks = blocks;
    this.pageBytes = pageBytes;
  }

  /** What arrived, by name; a block of which nothing did is not there. */
  get memory(): ReadonlyMap<string, Uint8Array> {
    return this.#memory;
  }

  get bytes(): number {
    return this.blocks.reduce((sum, { length }) => sum + length, 0);
  }

  /** Takes what arrives: at its commit the memory is here. */
  receiver(modes: ReceiveModes): RamHandler {
    const made = this.#handler();
    made.offer.receiveBy(modes);
    return made;
  }

  sender(modes: SendModes): RamHandler {
    const made = this.#handler();
    made.offer.sendBy(modes);
    return made;
  }

  #handler(): RamHandler {
    let gpa = 0;
    const blocks = this.blocks.map(({ idstr, length }) => {
      // Where a block stands does not travel, and nobody here asks.
      const map = [{ gpa, offset: 0, length }];
      gpa += length;
      // Never written to, and so never in memory: what arrives takes its place.
      const before = new Uint8Array(this.#memory.has(idstr) ? 0 : length);
      return ramBlock({
        idstr,
        bytes: () => this.#memory.get(idstr) ?? before,
        adopt: (incoming) => {
          if (incoming === before) this.#memory.delete(idstr);
          else this.#memory.set(idstr, incoming);
        },
        tracker: barrierTracker(length, this.pageBytes),
        map: length === 0 ? [] : map,
      });
    });
    let handler: IterableInit | undefined;
    const kernel: KernelForPlugins = {
      clock: virtualClock(() => 0n),
      iterable(init) {
        handler = init;
        return { idstr: init.idstr, instance: 0, sectionId: 0, remove() {} };
      },
      device: notHere,
      kind: notHere,
      retired: notHere,
      split: notHere,
      merged: notHere,
    };
    const offer = ram({ blocks, pageBytes: this.pageBytes }).setup(kernel);
    if (handler === undefined) throw new Error("RAM registered no handler");
    return { handler, offer };
  }
}

function notHere(): never {
  throw new Error("RAM registers one handler and nothing else");
}

/** More blocks than any machine has; their list is kept until it is whole. */
const mostBlocks = 4096;
const longestListBytes = mostBlocks * 300;

export interface ListedStart {
  /** The list is whole; what takes the section from its first byte on. */
  begin(blocks: readonly ListedBlock[]): BodyDecoder<RamSection>;
  readonly pageBytes: number;
  /** The most memory that a list may ask for. Bytes. */
  readonly ramBytes: number;
}

/** Reads START of RAM of a machine that is not known yet: first its list alone, and then all of it as its own. */
export class ListedStartDecoder implements BodyDecoder<RamSection> {
  readonly #init: ListedStart;
  #decoder: BodyDecoder<RamSection> | undefined;

  constructor(init: ListedStart, decoder?: BodyDecoder<RamSection>) {
    this.#init = init;
    this.#decoder = decoder;
  }

  resume(cursor: Cursor): boolean {
    if (this.#decoder === undefined) {
      const blocks = this.#list(cursor);
      if (blocks === undefined) return false;
      this.#decoder = this.#init.begin(blocks);
    }
    return this.#decoder.resume(cursor);
  }

  value(): RamSection {
    return (this.#decoder as BodyDecoder<RamSection>).value();
  }

  path(): string | undefined {
    return this.#decoder === undefined ? "blocks" : this.#decoder.path();
  }

  takenBytes(): number {
    return this.#decoder?.takenBytes?.() ?? 0;
  }

  fork(): ListedStartDecoder {
    return new ListedStartDecoder(this.#init, this.#decoder?.fork());
  }

  /** The list, on a copy of what has come; undefined while it is not whole. A list is short, so that this costs little. */
  #list(cursor: Cursor): ListedBlock[] | undefined {
    const { pageBytes, ramBytes } = this.#init;
    const blocks: ListedBlock[] = [];
    let total = 0;
    const walker = ramWalker({
      pageBytes,
      onBlock({ idstr, length }) {
        blocks.push({ idstr, length });
        total += length;
        if (total > ramBytes || blocks.length > mostBlocks) {
          throw new MigrationError("LENGTH_BOUND", "the machine has more RAM than this vault takes", {
            section: "ram/0",
            path: `blocks[${blocks.length - 1}].used_length`,
            expected: `at most ${ramBytes} bytes in ${mostBlocks} blocks`,
            found: `${total} bytes`,
          });
        }
      },
    });
    const { bytes, pos, end, offset } = cursor;
    if (end - pos > longestListBytes)
      return this.#walked(
        walker.decoder("start"),
        new Cursor(bytes.subarray(pos, pos + longestListBytes), offset),
        blocks,
      );
    return this.#walked(walker.decoder("start"), new Cursor(bytes.subarray(pos, end), offset), blocks);
  }

  #walked(decoder: BodyDecoder<RamSection>, cursor: Cursor, blocks: ListedBlock[]): ListedBlock[] | undefined {
    return decoder.resume(cursor) ? blocks : undefined;
  }
}

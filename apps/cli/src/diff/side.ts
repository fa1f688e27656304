// One of the two streams, read once: its sections are held, its RAM lies in a file.
import { closeSync, ftruncateSync, openSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { isMigrationError, MigrationError } from "@godwit/core";
import type { Configuration } from "@godwit/core/stream";
import { openInput } from "../io/input.ts";
import type { Terminal } from "../io/terminal.ts";
import {
  type Command,
  type ReadOptions,
  readStream,
  type Section,
  type StreamRead,
  type StreamVisitor,
} from "../model/read-stream.ts";
import { type RamPlaces, ramPlaces } from "../ram/ram-places.ts";
import { readStreamWithRam } from "../ram/read-with-ram.ts";
import { onFile } from "../ram/run-writer.ts";

export interface SideInit {
  readonly path: string;
  readonly options: ReadOptions;
  readonly channels: readonly string[];
  /** Undefined: RAM is not compared, and goes by. */
  readonly ram: { wants(idstr: string): boolean; readonly folder: string } | undefined;
  readonly terminal: Terminal;
}

export interface Side {
  readonly name: string;
  readonly read: StreamRead;
  readonly configuration: Configuration | undefined;
  /** What has a body, by key, in the order of the wire; the parts of an iterable as one. */
  readonly sections: ReadonlyMap<string, Section>;
  /** Names, with what they carry. */
  readonly commands: readonly string[];
  readonly ram: RamPlaces | undefined;
  close(): void;
}

/** A fault of the stream is thrown with the stream's name in its sentence. */
export async function readSide(init: SideInit): Promise<Side> {
  const { path, options, channels, ram: wanted, terminal } = init;
  const input = await openInput(path, terminal);
  const file = new RamFile();
  const holding = new Holding(options.holdBytes);
  try {
    const progress = terminal.progress(`reading ${input.name}`, input.sizeBytes);
    const reading = { ...options, progress };
    const read =
      wanted === undefined
        ? { ...(await readStream(input, reading, holding.visitor)), ram: undefined }
        : await readStreamWithRam({
            input,
            options: reading,
            visitor: holding.visitor,
            channels,
            scratch: () => wanted.folder,
            terminal,
            open: (hooks) => ramPlaces({ ...hooks, place: (block) => file.place(block, wanted) }),
          });
    const { sections, commands } = holding;
    return {
      name: input.name,
      read,
      configuration: read.configuration,
      sections,
      commands,
      ram: read.ram,
      close: () => file.close(),
    };
  } catch (error) {
    file.close();
    throw isMigrationError(error) ? inStream(error, input.name) : error;
  } finally {
    input.close();
  }
}

function inStream({ code, detail, location, expected, found, cause }: MigrationError, name: string): MigrationError {
  return new MigrationError(code, `${name}: ${detail}`, { ...location, expected, found, cause });
}

/** All blocks one behind the other in one sparse file, which has no name any more: whatever ends us, it goes with us. */
class RamFile {
  #descriptor: number | undefined;
  #bytes = 0;

  place(
    { idstr, length }: { readonly idstr: string; readonly length: number },
    { wants, folder }: NonNullable<SideInit["ram"]>,
  ): { readonly descriptor: number; readonly at: number } | undefined {
    if (!wants(idstr)) return undefined;
    return onFile(() => {
      const descriptor = this.#descriptor ?? this.#create(folder);
      const at = this.#bytes;
      this.#bytes += length;
      ftruncateSync(descriptor, this.#bytes);
      return { descriptor, at };
    });
  }

  #create(folder: string): number {
    const path = join(folder, `ram-${process.hrtime.bigint()}`);
    const descriptor = openSync(path, "wx+");
    this.#descriptor = descriptor;
    unlinkSync(path);
    return descriptor;
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}

/** How long a package is, and which pages come again, follows from what else is compared. */
const travelCommands: ReadonlySet<string> = new Set(["PACKAGED", "POSTCOPY_RAM_DISCARD", "RECV_BITMAP"]);

/** Keeps sections, as many bytes of them as may be held. */
class Holding {
  readonly sections = new Map<string, Section>();
  readonly commands: string[] = [];
  readonly #boundBytes: number;
  #heldBytes = 0;

  constructor(boundBytes: number) {
    this.#boundBytes = boundBytes;
  }

  readonly visitor: StreamVisitor = {
    section: (section) => this.#section(section),
    command: (command) => this.#command(command),
  };

  /** With what they carry; how pages travelled is no difference, and many commands may tell of it. */
  #command({ name, payload }: Command): void {
    const isTravel = travelCommands.has(name);
    if (isTravel && this.commands.at(-1) === name) return;
    const carried = isTravel || payload.length === 0 ? "" : ` 0x${Buffer.from(payload).toString("hex")}`;
    this.commands.push(`${name}${carried}`);
  }

  #section(section: Section): void {
    const { key, body } = section;
    if (body === undefined) return;
    this.#heldBytes += body.length;
    if (this.#heldBytes > this.#boundBytes) {
      throw new MigrationError("HOLD_BOUND", "more would have to be held in memory than --hold allows", {
        section: key,
        expected: `at most ${this.#boundBytes} bytes`,
        found: `${this.#heldBytes} bytes`,
      });
    }
    const before = this.sections.get(key);
    this.sections.set(key, before === undefined ? section : { ...before, body: joined(before.body, body) });
  }
}

function joined(a: Uint8Array | undefined, b: Uint8Array): Uint8Array {
  return new Uint8Array(Buffer.concat(a === undefined ? [b] : [a, b]));
}

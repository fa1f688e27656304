// One pass over a stream whose RAM is wanted: its pages go to their places, those of its channels and of post-copy too.
import { isMigrationError, MigrationError } from "@godwit/core";
import type { Configuration } from "@godwit/core/stream";
import { CliFault } from "../faults.ts";
import type { Input } from "../io/input.ts";
import type { Terminal } from "../io/terminal.ts";
import {
  type Command,
  type ReadOptions,
  readStream,
  type StreamRead,
  type StreamVisitor,
} from "../model/read-stream.ts";
import { type Channels, joinChannels, openChannels } from "./channels.ts";
import type { RamPlaces, RamPlacesInit } from "./ram-places.ts";

/** What the one who knows the places is given: when pages are to be taken, and how large they are. */
export type RamHooks = Required<Pick<RamPlacesInit, "pageBytes" | "onControl">>;

export interface WithRamInit<R extends RamPlaces> {
  readonly input: Input;
  readonly options: ReadOptions;
  readonly visitor: StreamVisitor;
  /** Files with the channels of multifd; none for a stream that has none. */
  readonly channels?: readonly string[];
  /** A folder for what must be put aside; asked for only if it is needed. */
  scratch(): string;
  readonly terminal: Terminal;
  /** Makes the places: `ramFiles`, or `ramPlaces` in a file of the caller's. */
  open(hooks: RamHooks): R;
}

export interface WithRam<R extends RamPlaces> extends StreamRead {
  readonly ram: R;
}

const defaultPageBytes = 4096;
const discardCommand = 6;

/**
 * Throws the stream's fault as a `MigrationError`, the file system's as a `CliFault`. Pages that have not come are counted
 * (`ram.missingPages()`), and no error.
 */
export async function readStreamWithRam<R extends RamPlaces>(init: WithRamInit<R>): Promise<WithRam<R>> {
  const { input, options, visitor, channels: paths = [], scratch, terminal } = init;
  const files = await openChannels(paths, scratch, terminal);
  try {
    const told = new Told(options);
    let joined: Channels | undefined;
    const ram = init.open({
      pageBytes: () => told.pageBytes,
      onControl(kind) {
        if (kind !== "memsize") joined?.meet(kind);
      },
    });
    if (files.length > 0) {
      joined = joinChannels(
        files,
        ram.target,
        () => told.pageBytes,
        () => told.uuid,
      );
    }
    const read = await readStream(input, { ...options, ram: ram.ram }, watching(visitor, told, ram));
    joined?.end();
    ram.finish();
    return { ...read, ram };
  } catch (error) {
    throw ownFault(error);
  } finally {
    for (const file of files) file.close();
  }
}

/** What the stream has told of itself so far. `readStream` does not say it before the end. */
class Told {
  /** The machine's. */
  uuid: Uint8Array | undefined;
  #pageBits = 0;
  #listedBytes: number | undefined;

  constructor({ givenVmdesc }: ReadOptions) {
    this.#listedBytes = givenVmdesc?.page_size;
  }

  /** The page size that `readStream` reads RAM with. */
  get pageBytes(): number {
    return this.#pageBits > 0 ? 2 ** this.#pageBits : (this.#listedBytes ?? defaultPageBytes);
  }

  ahead(pageBytes: number): void {
    this.#listedBytes = pageBytes;
  }

  configured({ pageBits, uuid }: Configuration): void {
    this.#pageBits = pageBits;
    this.uuid = uuid;
  }
}

function watching(visitor: StreamVisitor, told: Told, ram: RamPlaces): StreamVisitor {
  return {
    opening: (head, phase, bodyOffset) => visitor.opening?.(head, phase, bodyOffset),
    vmdescAhead(vmdesc) {
      told.ahead(vmdesc.page_size);
      visitor.vmdescAhead?.(vmdesc);
    },
    configuration(configuration, place) {
      told.configured(configuration);
      visitor.configuration?.(configuration, place);
    },
    section: (section) => visitor.section?.(section),
    command(command) {
      if (command.command === discardCommand) discard(command, ram);
      visitor.command?.(command);
    },
    eof: (offset) => visitor.eof?.(offset),
    vmdesc: (vmdesc, place) => visitor.vmdesc?.(vmdesc, place),
  };
}

/** u8 version 0, str8 name, u8 0, then ranges of be64 start and be64 length. Source: wire reference 9.1. */
function discard({ payload, offset }: Command, ram: RamPlaces): void {
  const nameBytes = payload[1] ?? 0;
  const rangesAt = 2 + nameBytes + 1;
  if (payload[0] !== 0 || rangesAt > payload.length || (payload.length - rangesAt) % 16 !== 0) {
    throw new MigrationError("COMMAND_LENGTH", "the command POSTCOPY_RAM_DISCARD holds no whole ranges", {
      section: "command",
      path: "command.payload",
      offset: offset + 5,
    });
  }
  const idstr = Buffer.from(payload.subarray(2, 2 + nameBytes)).toString();
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  for (let at = rangesAt; at < payload.length; at += 16) {
    ram.discard(idstr, Number(view.getBigUint64(at)), Number(view.getBigUint64(at + 8)));
  }
}

/** A reader takes what its decoders throw for a stream's fault; ours says it itself. */
function ownFault(error: unknown): unknown {
  return isMigrationError(error) && error.cause instanceof CliFault ? error.cause : error;
}

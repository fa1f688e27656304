// A stream without its RAM, as editing needs it: every device's bytes, and where everything stands.
import { MigrationError } from "@godwit/core";
import type { Configuration, Vmdesc } from "@godwit/core/stream";
import type { Input } from "../io/input.ts";
import { type Command, type ReadOptions, readStream, type Section } from "../model/read-stream.ts";

/** Bytes, from the stream's first one. */
export interface Place {
  readonly offset: number;
  readonly bytes: number;
}

/** Where mapped-ram has the first block's bitmap and pages. File offsets in bytes. */
export interface MappedPlace {
  readonly blockBytes: number;
  readonly pageBytes: number;
  readonly bitmapOffset: number;
  readonly pagesOffset: number;
}

export interface DevicePart {
  readonly configuration: Configuration | undefined;
  readonly configurationPlace: Place | undefined;
  readonly commands: readonly Command[];
  /** In the order of the wire. Bodies are there of FULL sections only. */
  readonly sections: readonly Section[];
  readonly mapped: MappedPlace | undefined;
  readonly vmdesc: Vmdesc | undefined;
  readonly vmdescPlace: Place | undefined;
  /** Of the whole stream. */
  readonly bytes: number;
}

/** All devices' bodies are held, up to `holdBytes` of them: `HOLD_BOUND`. */
export async function readDevicePart(input: Input, options: ReadOptions): Promise<DevicePart> {
  const sections: Section[] = [];
  const commands: Command[] = [];
  let configurationPlace: Place | undefined;
  let vmdescPlace: Place | undefined;
  let mapped: MappedPlace | undefined;
  let heldBytes = 0;
  const { configuration, vmdesc, bytes } = await readStream(
    input,
    {
      ...options,
      ram: {
        onBlock({ length, mapped: header }) {
          if (header === undefined || header.pagesOffset === 0) return;
          const { pageBytes, bitmapOffset, pagesOffset } = header;
          mapped ??= { blockBytes: length, pageBytes, bitmapOffset, pagesOffset };
        },
      },
    },
    {
      configuration: (_, place) => {
        configurationPlace = { offset: place.offset, bytes: place.bytes };
      },
      command: (command) => void commands.push(command),
      section(section) {
        const isFull = section.phase === "full";
        heldBytes += isFull ? section.bodyBytes : 0;
        if (heldBytes > options.holdBytes) throw tooMuch(section, options.holdBytes);
        sections.push(isFull ? section : { ...section, body: undefined });
      },
      vmdesc: (_, { offset, bytes }) => {
        vmdescPlace = { offset, bytes };
      },
    },
  );
  return { configuration, configurationPlace, commands, sections, mapped, vmdesc, vmdescPlace, bytes };
}

function tooMuch({ key, offset }: Section, holdBytes: number): MigrationError {
  return new MigrationError("HOLD_BOUND", "the devices' sections are more than --hold allows to hold in memory", {
    section: key,
    path: "body",
    offset,
    expected: `at most ${holdBytes} bytes`,
  });
}

// From one form into another: RAM to where it is wanted, everything else as it was.
import { closeSync, fsyncSync, openSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Configuration } from "@godwit/core/stream";
import { recordStream } from "../checkpoint/index.ts";
import { atFile } from "../checkpoint/peers.ts";
import { CliFault } from "../faults.ts";
import { type Input, openInput } from "../io/input.ts";
import { createOutputFile } from "../io/output-file.ts";
import type { Terminal } from "../io/terminal.ts";
import type { ReadOptions, StreamRead, StreamVisitor } from "../model/read-stream.ts";
import { type PartialFolder, partialFolder, refuseTakenFile, temporaryFolder } from "../ram/partial-folder.ts";
import { ramFiles } from "../ram/ram-files.ts";
import { type RamBlockState, type RamPlaces, ramPlaces } from "../ram/ram-places.ts";
import { type RamHooks, readStreamWithRam } from "../ram/read-with-ram.ts";
import { onFile, writeWhole } from "../ram/run-writer.ts";
import { beginning, Elements, endOfStream } from "./elements.ts";
import type { Format } from "./formats.ts";
import { MappedLayout } from "./mapped-layout.ts";
import { listData, noPages, pageData } from "./plain-ram.ts";
import { VmdescText } from "./vmdesc-text.ts";

export interface ConvertInit {
  readonly input: string;
  /** "-": standard output. */
  readonly output: string;
  readonly to: Format;
  readonly channels: readonly string[];
  /** Which recording of a checkpoint file is read. */
  readonly recording: string | undefined;
  /** What a recording is called that is written. */
  readonly name: string | undefined;
  readonly overwrite: boolean;
  readonly boundBytes: number;
  readonly options: ReadOptions;
  readonly terminal: Terminal;
}

export interface Converted {
  readonly from: Format;
  readonly machineType: string | undefined;
  /** Of the output: of the stream in it, for a checkpoint. */
  readonly bytes: number;
  readonly pageBytes: number;
  readonly blocks: readonly { readonly name: string; readonly bytes: number; readonly writtenPages: number }[];
  /** Commands of a live source, which the output does not have. */
  readonly droppedCommands: readonly string[];
}

/** A stream that has been read, and what is made of it. */
interface TakenApart {
  readonly elements: Elements;
  readonly text: VmdescText;
  readonly read: StreamRead & { readonly ram: RamPlaces };
  /** As the output has it. */
  readonly configuration: Configuration | undefined;
}

const mappedRam = "mapped-ram";
const ignoreShared = "x-ignore-shared";

/** Errors: those of reading; `RAM_MISSING`, `CONVERT_*`; exit 2 for an output that is there already. */
export async function convert(init: ConvertInit): Promise<Converted> {
  const { output, to, terminal } = init;
  refuseTaken(init);
  const scratch = output === "-" ? temporaryFolder() : partialFolder(output, terminal.folder);
  try {
    const { input, from } = await openSource(init);
    try {
      const text = new VmdescText(input, scratch.path);
      const elements = new Elements(scratch.path);
      try {
        const write = to === mappedRam ? toMapped : to === "stream" ? toStream : toCheckpoint;
        return await write({ init, input: text.input(), from, text, elements, scratch });
      } finally {
        text.close();
        elements.close();
      }
    } finally {
      input.close();
    }
  } finally {
    scratch.discard();
  }
}

/** Asked before the stream is read, and again, perhaps much later, before something is put there. */
function refuseTaken({ output, to, terminal, overwrite }: ConvertInit): void {
  if (output !== "-" && to !== "checkpoint") refuseTakenFile(output, terminal.folder, overwrite);
}

interface Work {
  readonly init: ConvertInit;
  readonly input: Input;
  readonly from: Format | undefined;
  readonly text: VmdescText;
  readonly elements: Elements;
  readonly scratch: PartialFolder;
}

/** `from` is undefined where the stream itself says it. */
async function openSource({
  input: path,
  recording,
  terminal,
}: ConvertInit): Promise<{ input: Input; from: Format | undefined }> {
  const input = await openInput(path, terminal, recording);
  return { input, from: input.checkpoint === undefined ? undefined : "checkpoint" };
}

/** Reads everything; `open` says where RAM goes. */
async function takeApart<R extends RamPlaces>(
  { init, input, text, elements, scratch }: Work,
  changed: (configuration: Configuration) => Configuration,
  open: (hooks: RamHooks) => R,
): Promise<TakenApart & { readonly read: StreamRead & { readonly ram: R } }> {
  const { channels, options, terminal } = init;
  const visitor: StreamVisitor = {
    opening: (head, phase) => text.opening(head, phase),
    configuration: (configuration) => elements.configuration(configuration),
    section: (section) => elements.section(section),
    command: (command) => elements.command(command),
    vmdesc: (vmdesc, place) => text.vmdesc(vmdesc, place),
  };
  const progress = terminal.progress(`reading ${input.name}`, input.sizeBytes);
  const read = await readStreamWithRam({
    input,
    options: { ...options, progress },
    visitor,
    channels,
    scratch: () => scratch.path,
    terminal,
    open,
  });
  refuseMissing(read.ram, channels, isShared(read.configuration));
  return { elements, text, read, configuration: read.configuration && changed(read.configuration) };
}

/** Whether a block is left to the destination, which has the same memory. */
function isShared(configuration: Configuration | undefined): (block: RamBlockState) => boolean {
  const shares = configuration?.capabilities.includes(ignoreShared) === true;
  return ({ came }) => shares && came.count === 0;
}

function refuseMissing(ram: RamPlaces, channels: readonly string[], shared: (block: RamBlockState) => boolean): void {
  let missing = 0;
  for (const block of ram.blocks.values()) if (!shared(block)) missing += block.came.pages - block.came.count;
  if (missing === 0) return;
  throw new CliFault("RAM_MISSING", `${missing} pages of RAM are not in the stream`, {
    exit: 1,
    place: { section: "ram/0" },
    hint:
      channels.length === 0
        ? "with multifd they travel by channels: give the file of each with --channel"
        : "is the file of each channel given?",
  });
}

const without = (configuration: Configuration): Configuration => ({
  ...configuration,
  capabilities: configuration.capabilities.filter((one) => one !== mappedRam),
});

async function asPlain<T>(work: Work, use: (taken: TakenApart) => Promise<T>): Promise<T> {
  const { scratch, init } = work;
  let open: { close(): void } | undefined;
  try {
    return await use(
      await takeApart(work, without, (hooks) => {
        const files = ramFiles({ folder: scratch.path, ...hooks, boundBytes: init.boundBytes, unnamed: true });
        open = files;
        return files;
      }),
    );
  } finally {
    open?.close();
  }
}

const pieceBytes = 1 << 20;

/** The whole stream. Chunks may be written over when the next one is asked for. */
async function* plainStream({ elements, text, read, configuration }: TakenApart): AsyncGenerator<Uint8Array> {
  const { ram, vmdesc } = read;
  const piece = new Uint8Array(pieceBytes);
  yield beginning(configuration);
  for (const element of elements.inOrder()) {
    if (element.kind === "framed") {
      for (let from = 0; from < element.bytes; from += piece.length) yield elements.read(element, from, piece);
      continue;
    }
    const { phase, head, footer } = element;
    yield head;
    if (phase === "start") yield listData(ram.blocks.values());
    else if (phase === "part" || !elements.hasPart) yield* pageData(ram, isShared(read.configuration));
    else yield noPages();
    yield footer;
  }
  yield endOfStream;
  const record = text.record(configuration, vmdesc);
  if (record !== undefined) yield record;
}

function toStream(work: Work): Promise<Converted> {
  const { output, terminal } = work.init;
  return asPlain(work, async (taken) => {
    let bytes = 0;
    if (output === "-") {
      for await (const chunk of plainStream(taken)) {
        await terminal.write(chunk);
        bytes += chunk.length;
      }
      return report(work, taken, bytes);
    }
    const file = createOutputFile(output, terminal.folder);
    try {
      for await (const chunk of plainStream(taken)) file.write(chunk);
      refuseTaken(work.init);
      file.commit();
      return report(work, taken, file.bytes);
    } finally {
      file.discard();
    }
  });
}

function toCheckpoint(work: Work): Promise<Converted> {
  const { output, terminal, name } = work.init;
  return asPlain(work, async (taken) => {
    const { pageBytes } = taken.read;
    const { recording } = await atFile(
      output,
      recordStream(plainStream(taken), resolve(terminal.folder, output), { name, pageBytes }),
    );
    return report(work, taken, recording.streamBytes);
  });
}

const fileName = "mapped";

async function toMapped(work: Work): Promise<Converted> {
  const { elements, scratch, init } = work;
  const descriptor = onFile(() => openSync(join(scratch.path, fileName), "wx+"));
  try {
    let layout: MappedLayout | undefined;
    const taken = await takeApart(work, withMapped, ({ pageBytes, onControl }) => {
      const made = new MappedLayout(descriptor, pageBytes);
      layout = made;
      return ramPlaces({
        pageBytes,
        boundBytes: init.boundBytes,
        place: (block) => made.place(block),
        onControl(kind, value) {
          if (kind === "memsize") made.begin(beginning(outputOf(elements)).length + elements.bytes, value);
          onControl(kind, value);
        },
      });
    });
    const bytes = writeAround(taken, layout as MappedLayout, descriptor);
    onFile(() => fsyncSync(descriptor));
    refuseTaken(init);
    scratch.commitFile(fileName);
    return report(work, taken, bytes);
  } finally {
    closeSync(descriptor);
  }
}

/** What the capability is told with. */
function outputOf({ configurationRead }: Elements): Configuration {
  if (configurationRead !== undefined) return withMapped(configurationRead);
  throw new CliFault("CONVERT_CONFIGURATION", "the machine sends no configuration, where mapped-ram would be told", {
    exit: 1,
    hint: "machine types before pc-*-2.4 do not; convert it to a stream",
  });
}

function withMapped(configuration: Configuration): Configuration {
  const { capabilities } = configuration;
  if (capabilities.includes(ignoreShared)) {
    throw new CliFault(
      "CONVERT_SHARED",
      "blocks that do not travel (x-ignore-shared) are not put into a mapped-ram file",
      {
        exit: 1,
      },
    );
  }
  return capabilities.includes(mappedRam)
    ? configuration
    : { ...configuration, capabilities: [...capabilities, mappedRam] };
}

/** All that is not pages, in its order. Gives where the file ends. */
function writeAround(taken: TakenApart, layout: MappedLayout, descriptor: number): number {
  const { elements, text, read, configuration } = taken;
  const piece = new Uint8Array(pieceBytes);
  let at = 0;
  const put = (bytes: Uint8Array): void => {
    writeWhole(descriptor, at, bytes);
    at += bytes.length;
  };
  put(beginning(configuration));
  for (const element of elements.inOrder()) {
    if (element.kind === "framed") {
      for (let from = 0; from < element.bytes; from += piece.length) put(elements.read(element, from, piece));
    } else if (element.phase === "start") at = layout.finish(read.ram, element.head, element.footer);
    else for (const bytes of [element.head, noPages(), element.footer]) put(bytes);
  }
  put(endOfStream);
  const record = text.record(configuration, read.vmdesc);
  if (record !== undefined) put(record);
  return at;
}

function report({ from }: Work, { elements, read }: TakenApart, bytes: number): Converted {
  const { configuration, ram } = read;
  const isMapped = configuration?.capabilities.includes(mappedRam) === true;
  return {
    from: from ?? (isMapped ? "mapped-ram" : "stream"),
    machineType: configuration?.machineType,
    bytes,
    pageBytes: read.pageBytes,
    blocks: [...ram.blocks.values()].map(({ idstr, length, written }) => ({
      name: idstr,
      bytes: length,
      writtenPages: written.count,
    })),
    droppedCommands: elements.dropped,
  };
}

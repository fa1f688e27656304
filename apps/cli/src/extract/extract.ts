// One pass over a stream for all that was asked for. What is written stands at its place when the pass is over, or not at all.
import { writeFileSync } from "node:fs";
import { isAbsolute, join, relative, resolve } from "node:path";
import type { Vmdesc } from "@godwit/core/stream";
import { CliFault } from "../faults.ts";
import { type Input, openInput } from "../io/input.ts";
import { createOutputFile, type OutputFile } from "../io/output-file.ts";
import { jsonValue, type Terminal } from "../io/terminal.ts";
import { globMatcher } from "../model/glob.ts";
import { type ReadOptions, readStream, type StreamRead, type StreamVisitor } from "../model/read-stream.ts";
import { type PartialFolder, partialFolder, refuseTakenFile, refuseTakenFolder } from "../ram/partial-folder.ts";
import { type RamFiles, ramFiles } from "../ram/ram-files.ts";
import { readStreamWithRam } from "../ram/read-with-ram.ts";
import { onFile } from "../ram/run-writer.ts";
import type { Asked, AskedDocument, AskedRam } from "./asked.ts";
import { isRamFolder, type RamIndex, ramIndex, ramIndexName } from "./ram-index.ts";
import { deviceDocument, rawBytes, SectionFinder } from "./section-documents.ts";

export interface Extracted {
  readonly ram: RamIndex | undefined;
  /** JSON, or bytes. */
  readonly document: object | Uint8Array | undefined;
}

/** Errors: those of reading; exit 2 for what is there already, or is not in the stream. */
export async function extract(
  path: string,
  asked: Asked,
  options: ReadOptions,
  terminal: Terminal,
): Promise<Extracted> {
  const { ram, document, overwrite } = asked;
  const refuseTaken = (): void => {
    if (ram !== undefined) refuseTakenFolder(ram.folder, terminal.folder, overwrite, isRamFolder);
    if (document?.file !== undefined) refuseTakenFile(document.file, terminal.folder, overwrite);
  };
  refuseTaken();
  if (ram !== undefined && document?.file !== undefined) refuseWithin(ram.folder, document.file, terminal.folder);
  const input = await openInput(path, terminal);
  let output: OutputFile | undefined;
  try {
    // Opened before the stream is read: that may take long, and be for nothing.
    if (document?.file !== undefined) output = createOutputFile(document.file, terminal.folder);
    const progress = terminal.progress(`reading ${input.name}`, input.sizeBytes);
    const finder = new SectionFinder(document?.section ?? "");
    const visitor: StreamVisitor = document === undefined ? {} : { section: (section) => finder.section(section) };
    const reading = { ...options, progress };
    if (ram === undefined) {
      const made = document && documentOf(document, finder, await readStream(input, reading, visitor), path);
      return finish(undefined, made, undefined, output, refuseTaken);
    }
    const folder = partialFolder(ram.folder, terminal.folder);
    try {
      const read = await withRam(input, ram, folder, reading, visitor, terminal);
      const made = document && documentOf(document, finder, read, path);
      return finish(wholeIndex(ram, read), made, folder, output, refuseTaken);
    } finally {
      folder.discard();
    }
  } finally {
    output?.discard();
    input.close();
  }
}

/** The folder is replaced as a whole, and what is in it with it. */
function refuseWithin(ram: string, file: string, folder: string): void {
  const way = relative(resolve(folder, ram), resolve(folder, file));
  if (way.startsWith("..") || isAbsolute(way)) return;
  throw new CliFault("EXTRACT_OUTPUT", `${file} is in the folder for RAM, which has nothing else in it`, {
    exit: 2,
    hint: "give -o another place",
  });
}

/** Everything is there: it goes to its place, at once as far as that can be. */
function finish(
  ram: RamIndex | undefined,
  document: object | Uint8Array | undefined,
  folder: PartialFolder | undefined,
  output: OutputFile | undefined,
  refuseTaken: () => void,
): Extracted {
  // Long after the first time: what has come since is not ours to replace.
  refuseTaken();
  output?.write(document instanceof Uint8Array ? document : utf8.encode(`${jsonText(document)}\n`));
  if (folder !== undefined) {
    onFile(() => writeFileSync(join(folder.path, ramIndexName), `${jsonText(ram)}\n`));
    folder.commit();
  }
  output?.commit();
  return { ram, document };
}

const utf8 = new TextEncoder();

export const jsonText = (document: object | undefined): string => JSON.stringify(document, jsonValue, 2);

async function withRam(
  input: Input,
  { channels, wants, boundBytes }: AskedRam,
  folder: PartialFolder,
  options: ReadOptions,
  visitor: StreamVisitor,
  terminal: Terminal,
): Promise<StreamRead & { readonly ram: RamFiles }> {
  let open: RamFiles | undefined;
  try {
    return await readStreamWithRam({
      input,
      options,
      visitor,
      channels,
      scratch: () => folder.path,
      terminal,
      open(hooks) {
        open = ramFiles({ folder: folder.path, ...hooks, boundBytes, wants: ({ idstr }) => wants(idstr) });
        return open;
      },
    });
  } finally {
    open?.close();
  }
}

/** Refuses RAM that is not whole. */
function wholeIndex({ globs, allowMissing, channels }: AskedRam, read: StreamRead & { ram: RamFiles }): RamIndex {
  const index = ramIndex(read.ram, read.configuration?.machineType);
  const names = [...read.ram.blocks.keys()];
  if (names.length === 0) throw new CliFault("RAM_ABSENT", "the stream has no RAM", { exit: 1 });
  const unmet = (globs ?? []).filter((glob) => !names.some(globMatcher(glob)));
  if (unmet.length > 0) {
    throw new CliFault("EXTRACT_BLOCK", `no RAM block is named ${unmet.join(" or ")}`, {
      exit: 2,
      hint: `the stream has ${names.join(", ")}`,
    });
  }
  const missing = read.ram.missingPages();
  if (missing === 0 || allowMissing) return index;
  const first = index.blocks.find(({ missingPages }) => missingPages > 0);
  const where = `${first?.name}+0x${(first?.missing[0]?.from ?? 0).toString(16)}`;
  throw new CliFault("RAM_MISSING", `${missing} pages of RAM are not in the stream, the first at ${where}`, {
    exit: 1,
    place: { section: "ram/0" },
    hint: `${whyMissing(read, channels)}; --allow-missing takes what there is`,
  });
}

function whyMissing({ configuration }: StreamRead, channels: readonly string[]): string {
  if (configuration?.capabilities.includes("x-ignore-shared"))
    return "shared blocks do not travel with x-ignore-shared";
  if (channels.length > 0) return "is the file of each channel given?";
  return "with multifd they travel by channels: give the file of each with --channel";
}

function documentOf(
  { kind }: AskedDocument,
  finder: SectionFinder,
  { vmdesc }: StreamRead,
  path: string,
): object | Uint8Array {
  if (kind === "vmdesc") return wholeVmdesc(vmdesc, path);
  return kind === "device" ? deviceDocument(finder.found()) : rawBytes(finder.found());
}

function wholeVmdesc(vmdesc: Vmdesc | undefined, path: string): Vmdesc {
  if (vmdesc !== undefined) return vmdesc;
  throw new CliFault("VMDESC_ABSENT", `${path} carries no description of itself`, {
    exit: 1,
    hint: "QEMU leaves it out after post-copy, and with suppress-vmdesc",
  });
}

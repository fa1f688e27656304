// What the options of `extract` ask for.
import { CliFault } from "../faults.ts";
import { sizeOf } from "../io/size.ts";
import { globMatcher } from "../model/glob.ts";
import { defaultRamBoundBytes } from "../ram/ram-places.ts";
import type { VerbOptions } from "../verb.ts";

export interface AskedRam {
  readonly folder: string;
  /** Undefined: all blocks. */
  readonly globs: readonly string[] | undefined;
  wants(idstr: string): boolean;
  readonly channels: readonly string[];
  /** Pages that have not come are no fault. */
  readonly allowMissing: boolean;
  readonly boundBytes: number;
}

/** One document, for the file or for standard output. */
export interface AskedDocument {
  readonly kind: "device" | "vmdesc" | "raw";
  /** The section, as the user named it; empty for the vmdesc. */
  readonly section: string;
  /** Undefined: standard output. */
  readonly file: string | undefined;
}

export interface Asked {
  readonly ram: AskedRam | undefined;
  readonly document: AskedDocument | undefined;
  readonly overwrite: boolean;
}

/** Exit 2 where nothing is asked for, or what does not go together. */
export function asked(options: VerbOptions): Asked {
  const ram = askedRam(options);
  const document = askedDocument(options);
  if (ram === undefined && document === undefined) {
    throw misuse("EXTRACT_NOTHING", "nothing is to be extracted", "give --ram, --device, --vmdesc-json or --raw");
  }
  return { ram, document, overwrite: options["overwrite"] === true };
}

function askedRam(options: VerbOptions): AskedRam | undefined {
  const folder = options["ram"] as string | undefined;
  const globs = options["block"] as readonly string[] | undefined;
  const channels = (options["channel"] as readonly string[] | undefined) ?? [];
  const allowMissing = options["allowMissing"] === true;
  if (folder === undefined) {
    if (globs !== undefined || channels.length > 0 || allowMissing) {
      throw misuse("EXTRACT_RAM", "--block, --channel and --allow-missing are about RAM", "give --ram with a folder");
    }
    return undefined;
  }
  if (folder === "") throw misuse("EXTRACT_RAM", "--ram names no folder", "give --ram with a folder");
  const matchers = globs?.map(globMatcher);
  const bound = options["ramBound"] as string | undefined;
  return {
    folder,
    globs,
    wants: (idstr) => matchers?.some((matches) => matches(idstr)) ?? true,
    channels,
    allowMissing,
    boundBytes: bound === undefined ? defaultRamBoundBytes : sizeOf(bound, "--ram-bound"),
  };
}

function askedDocument(options: VerbOptions): AskedDocument | undefined {
  const file = options["output"] as string | undefined;
  const kinds = (["device", "vmdescJson", "raw"] as const).filter((name) => options[name] !== undefined);
  const [kind, ...others] = kinds;
  if (kind === undefined) {
    if (file === undefined) return undefined;
    throw misuse("EXTRACT_OUTPUT", "-o is for one document", "give --device, --vmdesc-json or --raw as well");
  }
  if (others.length > 0) {
    throw misuse("EXTRACT_SEVERAL", "one document can be extracted at a time", "of --device, --vmdesc-json and --raw");
  }
  return {
    kind: kind === "vmdescJson" ? "vmdesc" : kind,
    section: kind === "vmdescJson" ? "" : String(options[kind]),
    file: file === "-" ? undefined : file,
  };
}

const misuse = (code: string, sentence: string, hint: string): CliFault =>
  new CliFault(code, sentence, { exit: 2, hint });

// The files of a comparison: dumps, and what a stream or a vmdesc adds to each.
import { TextDecoder } from "node:util";
import { dumpSide, type Side } from "@godwit/core/compatibility";
import type { Vmdesc } from "@godwit/core/stream";
import { CliFault } from "../faults.ts";
import { openInput } from "../io/input.ts";
import { startsLikeStream } from "../io/kinds.ts";
import type { Terminal } from "../io/terminal.ts";
import { likelyCauses } from "../likely-cause.ts";
import { vmdescOf } from "../model/open-stream.ts";
import { nameOf, sideWithVmdesc } from "./vmdesc.ts";

/** QEMU's largest dump, of aarch64, has 2 MB. */
const mostDumpBytes = 1 << 27;

const noDump = (sentence: string): CliFault =>
  new CliFault("DUMP_INVALID", sentence, { exit: 1, hint: likelyCauses["DUMP_INVALID"] });

/** `vmdesc`: of a machine of this QEMU. */
export async function readSide(path: string, vmdesc: Vmdesc | undefined, terminal: Terminal): Promise<Side> {
  const side = dumpSide(await readText(path, terminal), path);
  return vmdesc === undefined ? side : sideWithVmdesc(side, vmdesc);
}

async function readText(path: string, terminal: Terminal): Promise<string> {
  const input = await openInput(path, terminal);
  try {
    const decoder = new TextDecoder();
    let text = "";
    let bytes = 0;
    if (input.isEmpty === true) throw noDump(`${input.name} is empty`);
    if (input.kind !== undefined && !textKinds.has(input.kind.kind)) {
      throw noDump(`${input.name} is ${input.kind.name}, and no dump`);
    }
    for await (const chunk of input.chunks()) {
      if (bytes === 0 && startsLikeStream(chunk)) throw noDump(`${input.name} is a migration stream, and no dump`);
      bytes += chunk.length;
      if (bytes > mostDumpBytes) {
        throw new CliFault("DUMP_TOO_LARGE", `${path} is larger than any dump: more than ${mostDumpBytes >> 20} MiB`, {
          exit: 1,
        });
      }
      text += decoder.decode(chunk, { stream: true });
    }
    return text + decoder.decode();
  } finally {
    input.close();
  }
}

/** Kinds of file that may hold a dump, or fail to in a way that is told better where it is parsed. */
const textKinds: ReadonlySet<string> = new Set(["dump-vmstate", "vmdesc", "json", "text"]);

export async function readVmdesc(path: string | undefined, terminal: Terminal): Promise<Vmdesc | undefined> {
  return path === undefined ? undefined : await vmdescOf(path, terminal);
}

/** The descriptions' names of the machine's sections; undefined where no vmdesc tells. */
export function sectionsOf(vmdescs: readonly (Vmdesc | undefined)[]): ReadonlySet<string> | undefined {
  const known = vmdescs.filter((one) => one !== undefined);
  return known.length === 0 ? undefined : new Set(known.flatMap(({ devices }) => devices.map(nameOf)));
}

// A stream as a verb's options name it: its input, and how it is to be read.
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { isMigrationError } from "@godwit/core";
import { findVmdesc, parseVmdesc, type Vmdesc } from "@godwit/core/stream";
import { CliFault } from "../faults.ts";
import { type Input, openInput } from "../io/input.ts";
import { sizeOf } from "../io/size.ts";
import type { Terminal } from "../io/terminal.ts";
import type { VerbOptions } from "../verb.ts";
import { bringFamilies } from "./brought.ts";
import type { Catalogue } from "./catalogue.ts";
import { lazyCatalogue } from "./lazy-catalogue.ts";
import { type ReadOptions, readStream, type StreamRead, type StreamVisitor } from "./read-stream.ts";

/** What `streamOptions` of verb.ts gave, as `readStream` takes it. */
export async function readOptions(options: VerbOptions, terminal: Terminal): Promise<ReadOptions> {
  const given = options["vmdesc"] as string | undefined;
  return {
    catalogue: await catalogueOf(options, terminal),
    givenVmdesc: given === undefined ? undefined : await vmdescOf(given, terminal),
    footerScan: options["footerScan"] === true,
    holdBytes: sizeOf(String(options["hold"]), "--hold"),
  };
}

/** Opens, reads and closes. `path`: a file, or "-". `through`: what is read instead of the input itself. */
export async function visitStream(
  path: string,
  options: ReadOptions,
  visitor: StreamVisitor,
  terminal: Terminal,
  through: (input: Input) => Input = (input) => input,
): Promise<StreamRead & { readonly input: Input }> {
  const input = await openInput(path, terminal);
  try {
    const progress = terminal.progress(`reading ${input.name}`, input.sizeBytes);
    return { ...(await readStream(through(input), { ...options, progress }, visitor)), input };
  } catch (error) {
    if (input.wrapper !== undefined && isMigrationError(error)) {
      terminal.note(
        `godwit: offsets count from the stream's first byte, ${input.wrapper.headerBytes} bytes into ${input.name}`,
      );
    }
    throw error;
  } finally {
    input.close();
  }
}

async function catalogueOf(options: VerbOptions, { folder, environment }: Terminal): Promise<Catalogue> {
  const config = (options["config"] as string | undefined) ?? (environment["GODWIT_CONFIG"] || undefined);
  const brought = [];
  for (const name of (options["plugin"] as readonly string[] | undefined) ?? []) {
    brought.push(...(await bringFamilies(name, folder)));
  }
  if (config !== undefined) {
    const path = resolve(folder, config);
    for (const name of pluginsIn(path)) brought.push(...(await bringFamilies(name, dirname(path))));
  }
  return lazyCatalogue(brought);
}

function pluginsIn(path: string): readonly string[] {
  const wrong = (cause?: unknown): CliFault =>
    new CliFault("CONFIG_INVALID", `${path} is no configuration`, {
      exit: 2,
      hint: 'it is JSON such as {"plugins": ["./machine.js", "@acme/godwit-devices"]}',
      cause,
    });
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw wrong(cause);
  }
  const plugins = (json as { plugins?: unknown } | null)?.plugins ?? [];
  if (!Array.isArray(plugins) || plugins.some((one) => typeof one !== "string")) throw wrong();
  return plugins as string[];
}

/** Of a stream's end, or of a file that holds the JSON alone. */
export async function vmdescOf(path: string, terminal: Terminal): Promise<Vmdesc> {
  const input = await openInput(path, terminal);
  try {
    // The description stands at the end, and no more than its bound is kept.
    let last = input.tail(1 << 26);
    if (last === undefined) {
      const kept: Uint8Array[] = [];
      let keptBytes = 0;
      for await (const chunk of input.chunks()) {
        kept.push(chunk.slice());
        keptBytes += chunk.length;
        while (kept.length > 1 && keptBytes - (kept[0]?.length ?? 0) > 1 << 26) keptBytes -= kept.shift()?.length ?? 0;
      }
      last = new Uint8Array(Buffer.concat(kept));
    }
    const found = findVmdesc(last)?.vmdesc;
    if (found !== undefined) return found;
    if (last[0] === 0x7b) return parseVmdesc(last);
  } finally {
    input.close();
  }
  throw new CliFault("VMDESC_ABSENT", `${path} holds no vmdesc`, {
    exit: 2,
    hint: "give a stream that ends with one, or the JSON that `godwit extract --vmdesc-json` writes",
  });
}

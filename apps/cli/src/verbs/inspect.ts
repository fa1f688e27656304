// `godwit inspect`: what is in a stream.
import type { Command } from "commander";
import { faultLines } from "../faults.ts";
import { collect, type Selection } from "../inspect/collect.ts";
import type { Inspection } from "../inspect/inspection.ts";
import { headLines, overviewLines } from "../inspect/overview-text.ts";
import { outLines, type Terminal } from "../io/terminal.ts";
import { readOptions } from "../model/open-stream.ts";
import { collect as several, streamOptions, type Verb } from "../verb.ts";

/**
 * Text: the overview, or with `--section` or `--path` the values of what they match. PART sections are folded into a line,
 * and so are elements of an array that are alike, without `--all`. The overview names the plugin that is meant for a section;
 * with `--all`, and for sections whose values are shown, its description is tried on the section's bytes, and told which
 * release's form fits.
 *
 * `--json`: one document, the `Inspection` of inspect/inspection.ts, complete whatever `--all` says:
 * `stream` {name, compression, bytes, wrapper, checkpoint}, `machineType`, `producer` {kind: godwit | qemu | unknown, from, before,
 * because}, `capabilities`, `uuid`, `configuration` {offset, bytes}, `ram` {bytes, pageBytes, blocks: [{idstr, bytes, pages,
 * records: {zero, page, xbzrle, compress, mapped}, pagesElsewhere}], records}, `sections` [{idstr, instance, version,
 * sectionId, phase, offset, bytes, bodyBytes, delimitedBy, describedBy, fault, fields}], `commands` [{offset, command, name,
 * detail, payloadBytes}], `eof`, `vmdesc`, `notes`. A field is {path, type, offset, value, bytes, redacted, names: [{path,
 * value, names}]}: `bytes` marks a buffer, whose value is base64; 64-bit integers are decimal strings; `names` tells the bits of the field (empty path) or of
 * registers inside a buffer. Where the stream is faulty, `error` stands beside all that came before the fault; where nothing
 * came, the document holds `error` alone. Exit 1 for both.
 */
export const inspect: Verb = {
  name: "inspect",
  summary: "show what is in a stream",
  examples: [
    ["godwit inspect vm.stream", "the machine, its RAM and every section"],
    ["zstd -dc vm.stream.zst | godwit inspect - --json", "from a pipe, as one JSON document"],
    [
      "godwit inspect vm.stream --section '*/virtio-net'",
      "the values of a section, with the names of features and bits",
    ],
    ["godwit inspect vm.stream --path '*last_avail_idx'", "one field of all sections"],
    ["godwit inspect vm.stream --section '*' --redact", "for a bug report: no memory, no buffers, no addresses"],
  ],
  define(command: Command) {
    command
      .argument("<stream>", "a file, or - for standard input; FILE#NAME is a recording of a checkpoint file")
      .option(
        "--section <glob>",
        "show the values of these sections (idstr or idstr/instance); may be given several times",
        several,
      )
      .option("--path <glob>", "show these fields (a path, or SECTION#path); may be given several times", several)
      .option(
        "--redact",
        "leave out buffers, addresses, and what only the guest knows, so that the output can be published",
      )
      .option("--all", "every PART and array element on a line of its own; try every description on its section");
    streamOptions(command);
  },
  async run({ args: [path = ""], options, terminal }) {
    const selection: Selection = {
      sections: (options["section"] as readonly string[] | undefined) ?? [],
      paths: (options["path"] as readonly string[] | undefined) ?? [],
      redact: options["redact"] === true,
      all: options["all"] === true,
    };
    const { inspection, fault } = await collect(path, await readOptions(options, terminal), selection, terminal);
    const { error } = inspection;
    if (options["json"] === true) terminal.json(inspection);
    else {
      for (const line of await linesOf(inspection, selection, terminal)) terminal.out(line);
      for (const note of inspection.notes) terminal.note(`note: ${note}`);
    }
    if (error === undefined) return 0;
    for (const line of faultLines(error)) terminal.note(line);
    if (options["debug"] === true && fault instanceof Error) {
      const trace = fault.stack ?? "";
      // It begins with the message, which tells what was found.
      outLines(terminal.note, selection.redact ? (trace.match(/^ +at .*$/gm) ?? []).join("\n") : trace);
    }
    return 1;
  },
};

async function linesOf(inspection: Inspection, selection: Selection, terminal: Terminal): Promise<string[]> {
  const { sections, paths, all } = selection;
  if (sections.length === 0 && paths.length === 0) return overviewLines(inspection, all, terminal);
  const { valueLines } = await import("../inspect/values-text.ts");
  const chosen = inspection.sections.filter(({ fields }) => fields !== undefined);
  return [...headLines(inspection, false), "", ...chosen.flatMap((section) => valueLines(section, all, terminal))];
}

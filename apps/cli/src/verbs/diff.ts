// `godwit diff`: what is different about two streams.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { compare } from "../diff/compare.ts";
import { ignoring } from "../diff/ignore.ts";
import { readSide, type Side, type SideInit } from "../diff/side.ts";
import { differenceLines } from "../diff/text.ts";
import { CliFault } from "../faults.ts";
import { readOptions } from "../model/open-stream.ts";
import { onFile } from "../ram/run-writer.ts";
import { collect, streamOptions, type Verb, type VerbOptions } from "../verb.ts";

/**
 * By section and field, not by byte: how RAM travelled (rounds, encodings, channels), section ids and the vmdesc are no
 * difference. Exit 0 where nothing differs but what is ignored, 1 where something does.
 *
 * `--json`: one document, the `Difference` of diff/difference.ts: `equal`, `a` and `b` {name, bytes, machineType}, `stream`
 * [{what, a, b}], `sections` {onlyInA, onlyInB: [{section, version, bodyBytes}], moved: [{section, placeA, placeB}], changed:
 * [{section, by, version: {a, b}, subsectionsOnlyInA, subsectionsOnlyInB, fields: [{path, a, b, bytes: {a, b}, ranges:
 * [{offset, bytes, a, b}], moreRanges, names: [{path, a, b, set, cleared}]}]}]}, `ram` {pageBytes, onlyInA, onlyInB: [{idstr,
 * bytes}], changed: [{idstr, bytes: {a, b}, memoryPageBytes: {a, b}, address: {a, b}, pages: {changed, cleared, filled,
 * onlyInA, onlyInB}, ranges: [{kind, firstPage, lastPage, pages, offset}], moreRanges}], pagesInNeither} or null, `ignored`,
 * `notes`. 64-bit integers are decimal strings, bytes of ranges hexadecimal, buffers that only one side has base64.
 */
export const diff: Verb = {
  name: "diff",
  summary: "compare two streams by section and field, and their RAM by page",
  examples: [
    ["godwit diff before.stream after.stream", "everything that differs"],
    [
      "godwit diff a.stream b.stream --no-ram --ignore 'timer' --ignore '*#*.last_avail_idx'",
      "devices only, without what always moves",
    ],
    ["godwit diff a.stream b.main --channel-b b.ch0 --channel-b b.ch1", "with the channels of a migration by multifd"],
  ],
  define(command: Command) {
    command
      .argument("<a>", "a file, or - for standard input")
      .argument("<b>", "a file, or - for standard input")
      .option(
        "--ignore <glob>",
        "leave out a section, SECTION#path, ram, ram#BLOCK, order, commands or machineType; may be given several times",
        collect,
      )
      .option("--no-ram", "do not compare RAM")
      .option("--channel-a <file>", "a multifd channel of A; may be given several times", collect)
      .option("--channel-b <file>", "a multifd channel of B; may be given several times", collect)
      .option("--ranges <count>", "how many ranges of pages are listed for a RAM block", "100")
      .option("--scratch <folder>", "where RAM is put while it is compared (default: the system's temporary folder)");
    streamOptions(command);
  },
  async run({ args: [pathA = "", pathB = ""], options, terminal }) {
    if (pathA === "-" && pathB === "-") {
      throw new CliFault("STDIN_TWICE", "standard input cannot be both streams", {
        exit: 2,
        hint: "give a file for one",
      });
    }
    const ignore = (options["ignore"] as readonly string[] | undefined) ?? [];
    const mostRanges = rangesOf(options);
    const reading = await readOptions(options, terminal);
    const parent = (options["scratch"] as string | undefined) ?? tmpdir();
    const folder = onFile(() => mkdtempSync(join(resolve(terminal.folder, parent), "godwit-diff-")));
    const sides: Side[] = [];
    try {
      const ignored = ignoring(ignore);
      const isWanted = options["ram"] !== false && !ignored.section("ram");
      const ram: SideInit["ram"] = isWanted ? { folder, wants: (idstr) => !ignored.field("ram", idstr) } : undefined;
      const side = async (path: string, channels: unknown): Promise<Side> => {
        const read = await readSide({
          path,
          options: reading,
          channels: (channels as readonly string[] | undefined) ?? [],
          ram,
          terminal,
        });
        sides.push(read);
        return read;
      };
      const a = await side(pathA, options["channelA"]);
      const b = await side(pathB, options["channelB"]);
      const difference = compare(a, b, { ignore, mostRanges, terminal });
      if (options["json"] === true) terminal.json(difference);
      else for (const line of differenceLines(difference, terminal)) terminal.out(line);
      for (const note of difference.notes) terminal.note(`note: ${note}`);
      return difference.equal ? 0 : 1;
    } finally {
      for (const one of sides) one.close();
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

function rangesOf(options: VerbOptions): number {
  const text = String(options["ranges"]);
  const count = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(count)) return count;
  throw new CliFault("OPTION_COUNT", `--ranges: "${text}" is no count`, { exit: 2 });
}

// `godwit check`: whether streams of one QEMU load in another, as far as their dumps tell.

import { checkCodes } from "@godwit/core/compatibility";
import { check as compare } from "../check/check.ts";
import { anyOf, mustChoose } from "../check/choice.ts";
import { checkPage } from "../check/page.ts";
import { readSide, readVmdesc, sectionsOf } from "../check/read.ts";
import { printResult } from "../check/report.ts";
import { CliFault } from "../faults.ts";
import { outLines } from "../io/terminal.ts";
import { collect, type Verb, type VerbContext } from "../verb.ts";

/**
 * With `--json`:
 *
 * ```
 * {"machines": {"old": string, "new": string},
 *  "findings": [{"severity": "breaks" | "may break" | "unknown" | "harmless", "code", "direction": "forward" | "backward",
 *                "description", "subject", "old", "new", "conditions": ["device" | "subsection" | "test" | "state"],
 *                "places": [{"section", "path"}], "says", "remedy"}],
 *  "notCompared": [string]}
 * ```
 *
 * forward: the old QEMU saves and the new one loads. A place is a device class of the dump, or `idstr/instance` of what only
 * a stream shows, and the structs and subsections on the way to the field. Codes: `checkCodes` in src/check/codes.ts.
 *
 * With `--codes`: `{"codes": [{"code", "severity", "says", "remedy"}]}`, the severity where nothing softens it.
 * With `--plugins`: `{"compared": [{"plugin", "from", "to", "findings": [...]}], "written": [file]}`.
 */
export const check: Verb = {
  name: "check",
  summary: "compare two dumps of QEMU's -dump-vmstate: does a stream of one load in the other?",
  examples: [
    ["godwit check pc-q35-7.2.json pc-q35-10.0.json", "what may break, old to new and new to old"],
    ["godwit check old.json new.json --all", "every finding, harmless ones too, with places and remedy"],
    [
      "godwit check old.json new.json --vmdesc old.stream --vmdesc-new new.stream",
      "with the types and sections of both",
    ],
    ["godwit check old.json new.json --only-of vm.stream", "only the sections that this machine has"],
    ["godwit check old.json new.json --devices 'virtio-*'", "only these devices"],
    ["godwit check --plugins docs/dumps", "our own plugins against their published descriptions"],
  ],
  define(command) {
    command
      .argument("[old]", "the dump of the QEMU that streams come from; may be compressed, - is standard input")
      .argument("[new]", "the dump of the other")
      .option("--vmdesc <file>", "a stream or vmdesc JSON saved by the old QEMU: types, and what a machine really has")
      .option("--vmdesc-new <file>", "the same of the new QEMU")
      .option("--only-of <file>", "only the sections of this stream or vmdesc JSON")
      .option("--devices <glob>", "only these device classes or sections; may be given several times", collect)
      .option("--all", "every finding with its places and remedy")
      .option("--strict", "exit 1 also for what may break")
      .option(
        "--plugins <folder>",
        "compare godwit's plugins with the dumps of their published versions in this folder",
      )
      .option("--codes", "print the page about what is found, with the table of codes")
      .option("--write", "with --plugins: write the dumps of versions that the folder does not have yet");
  },
  async run(context) {
    const { options, terminal } = context;
    mustFit(context);
    if (options["codes"] === true) {
      if (options["json"] === true) terminal.json({ codes: codeList() });
      else outLines(terminal.out, checkPage());
      return 0;
    }
    if (options["plugins"] === undefined) return await checkDumps(context);
    const { checkPlugins } = await import("../check/plugins.ts");
    return await checkPlugins(context);
  },
};

const ofDumps = { vmdesc: "--vmdesc", vmdescNew: "--vmdesc-new", onlyOf: "--only-of", devices: "--devices" } as const;

/** What is given and not used would be taken for used. */
function mustFit({ args, options }: VerbContext): void {
  const alone = options["codes"] === true ? "--codes" : options["plugins"] === undefined ? undefined : "--plugins";
  const given = Object.entries(ofDumps).flatMap(([key, name]) => (options[key] === undefined ? [] : [name]));
  if (alone !== undefined && (given.length > 0 || args.some((one) => one !== undefined))) {
    throw wrong(`${alone} compares no dumps`, `leave out ${given.length > 0 ? given.join(", ") : "the dumps"}`);
  }
  if (options["write"] === true && alone !== "--plugins") throw wrong("--write is for --plugins");
  const files = [...args, options["vmdesc"], options["vmdescNew"], options["onlyOf"]];
  if (files.filter((one) => one === "-").length > 1) throw wrong("only one of the files can be standard input");
}

const wrong = (sentence: string, hint?: string): CliFault =>
  new CliFault("CHECK_ARGUMENTS", sentence, { exit: 2, hint });

const codeList = () =>
  Object.entries(checkCodes).map(([code, { severity, says, remedy }]) => ({ code, severity, says, remedy }));

async function checkDumps({ args, options, terminal }: VerbContext): Promise<0 | 1> {
  const [old, newer] = args;
  if (old === undefined || newer === undefined) {
    throw wrong("two dumps are to be given, the old one first", "or a folder of published dumps with --plugins");
  }
  const given = (name: string) => readVmdesc(options[name] as string | undefined, terminal);
  const [ofOld, ofNew, only] = [await given("vmdesc"), await given("vmdescNew"), await given("onlyOf")];
  const globs = options["devices"] as readonly string[] | undefined;
  const sides = [await readSide(old, ofOld, terminal), await readSide(newer, ofNew, terminal)] as const;
  const choice = {
    devices: globs && anyOf(globs),
    sections: sectionsOf(only === undefined ? [ofOld, ofNew] : [only]),
  };
  mustChoose(globs ?? [], choice, sides);
  const result = compare(...sides, choice);
  if (options["json"] === true) terminal.json(result);
  else printResult(result, { old, new: newer }, options["all"] === true, terminal);
  const bad = options["strict"] === true ? ["breaks", "may break"] : ["breaks"];
  return result.findings.some(({ severity }) => bad.includes(severity)) ? 1 : 0;
}

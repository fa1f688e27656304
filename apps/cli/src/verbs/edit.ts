// `godwit edit`: a stream with some of its values, sections or names changed.
//
// `--json`: {"stream", "output" (null with --dry-run), "bytes" (of the result), "edits": [{"kind", "section", "path", "before",
// "after", "offset" (of the first byte concerned in the stream that was read), "by"}], "notes"}; with `--retarget` also
// "retarget": {"machine", "losses", "options", "refusals", "notes"}; where it is refused, "output" is null and "edits" is empty.
// Before and after are in the JSON form of values: 64-bit integers as decimal strings, bytes as base64.
import { readSide } from "../check/read.ts";
import { type EditReport, editedChunks, prepareEdits, writeVerified } from "../edit/apply.ts";
import { type DevicePart, readDevicePart } from "../edit/device-part.ts";
import { editsOf } from "../edit/edit-text.ts";
import type { EditPlan } from "../edit/plan.ts";
import { reportLines } from "../edit/report.ts";
import { openSource, type Source } from "../edit/source.ts";
import { CliFault } from "../faults.ts";
import { openInput } from "../io/input.ts";
import { onStop } from "../io/on-stop.ts";
import { createOutputFile } from "../io/output-file.ts";
import type { Terminal } from "../io/terminal.ts";
import { readOptions } from "../model/open-stream.ts";
import type { ReadOptions } from "../model/read-stream.ts";
import { planRetarget } from "../retarget/plan.ts";
import { isAllowed, planLines } from "../retarget/report.ts";
import type { RetargetPlan, RetargetTarget } from "../retarget/types.ts";
import { collect, streamOptions, type Verb, type VerbContext, type VerbOptions } from "../verb.ts";

export const edit: Verb = {
  name: "edit",
  summary: "change values, sections and names of a stream, and its vmdesc to match",
  examples: [
    ["godwit edit vm.stream -o new.stream --rename-machine pc-q35-7.2", "another machine type; all else as it was"],
    ["godwit edit vm.stream -o new.stream --set 'timer/0#cpu_ticks_offset=0x10'", "one field, all else as it was"],
    ["godwit edit vm.stream -o new.stream --drop 'hpet/0#hpet/offset'", "a section without one of its subsections"],
    ["godwit edit vm.stream -o new.stream --retarget old.json", "for the QEMU whose -dump-vmstate is old.json"],
    ["godwit edit vm.stream --dry-run --retarget old.json", "what that would do, lose and ask of the destination"],
  ],
  define(command) {
    command
      .argument("<stream>", "a file, or - for standard input")
      .option("-o, --output <file>", "where the edited stream goes, replacing what is there, or - for standard output")
      .option("--set <section#path=value>", "set a field; may be given several times", collect)
      .option("--drop <section[#subsection]>", "leave out a section, or one subsection of it", collect)
      .option("--drop-command <command>", "leave out a command, by name or number", collect)
      .option(
        "--add-subsection <section#name=json>",
        "add a subsection to a section that is described (by a plugin), its values as JSON or @file",
        collect,
      )
      .option("--rename-machine <type>", "the machine type that the stream names")
      .option("--retarget <dump>", "make it fit the QEMU whose -dump-vmstate this is")
      .option("--target <stream>", "with --retarget: a stream that the destination itself has saved")
      .option("--force", "with --retarget: although values are lost that the destination takes otherwise")
      .option("--dry-run", "tell what would be done, and write nothing");
    streamOptions(command);
  },
  async run(context) {
    const { args, options, terminal } = context;
    const output = outputOf(context);
    const own = editsOf(options, terminal.folder);
    if (own.length === 0 && options["retarget"] === undefined) {
      throw new CliFault("EDIT_NOTHING", "nothing is to be edited", { exit: 2, hint: "see godwit edit --help" });
    }
    const read = await readOptions(options, terminal);
    const source = await openSource(args[0] ?? "", output === "-" ? undefined : output, terminal);
    try {
      const progress = terminal.progress(`reading ${source.name}`, source.first.sizeBytes);
      const part = await readDevicePart(source.first, { ...read, progress });
      const retarget = await retargetOf(part, read, options, terminal);
      if (retarget !== undefined && !isAllowed(retarget, options["force"] === true)) return refuse(retarget, context);
      const plan = await prepareEdits(source, part, [...(retarget?.edits ?? []), ...own], read.catalogue);
      const report = await write(source, part, plan, read, output, terminal);
      if (source.first.wrapper !== undefined)
        terminal.note("godwit: the result is the plain stream, without libvirt's header");
      tell(report, retarget, output, context);
      return 0;
    } finally {
      source.close();
    }
  },
};

/** Undefined: nothing is written. */
function outputOf({ options, terminal }: VerbContext): string | undefined {
  const output = options["output"] as string | undefined;
  if (options["dryRun"] === true) return undefined;
  if (output === undefined)
    throw new CliFault("OUTPUT_MISSING", "it is not said where the edited stream goes", {
      exit: 2,
      hint: "-o FILE, or --dry-run",
    });
  if (output !== "-") return output;
  if (options["json"] === true)
    throw new CliFault("OUTPUT_JSON", "stream and report cannot both go to standard output", {
      exit: 2,
      hint: "-o FILE",
    });
  if (terminal.stdoutIsTerminal)
    throw new CliFault("OUTPUT_TERMINAL", "standard output is a terminal", { exit: 2, hint: "-o FILE" });
  return output;
}

async function retargetOf(
  part: DevicePart,
  read: ReadOptions,
  options: VerbOptions,
  terminal: Terminal,
): Promise<RetargetPlan | undefined> {
  const dump = options["retarget"] as string | undefined;
  const saved = options["target"] as string | undefined;
  if (dump === undefined) {
    if (saved === undefined && options["force"] === undefined) return undefined;
    throw new CliFault("OPTION_ALONE", "--target and --force go with --retarget", { exit: 2 });
  }
  const side = await readSide(dump, undefined, terminal);
  return planRetarget(part, side, saved === undefined ? undefined : await targetOf(saved, read, terminal));
}

async function targetOf(path: string, read: ReadOptions, terminal: Terminal): Promise<RetargetTarget> {
  const input = await openInput(path, terminal);
  try {
    return await readDevicePart(input, read);
  } finally {
    input.close();
  }
}

/** A file is there whole and verified or not at all; on standard output nothing begins before all of it is certain. */
async function write(
  source: Source,
  part: DevicePart,
  plan: EditPlan,
  read: ReadOptions,
  output: string | undefined,
  terminal: Terminal,
): Promise<EditReport> {
  if (output === undefined || output === "-") {
    const report = await writeVerified(source, part, plan, read);
    if (output === "-") for await (const chunk of editedChunks(source, plan)) await terminal.write(chunk);
    return report;
  }
  const file = createOutputFile(output, terminal.folder);
  const stopped = onStop(() => file.discard());
  try {
    const progress = terminal.progress(`writing ${output}`, part.bytes);
    const report = await writeVerified(source, part, plan, { ...read, progress }, (chunk) => file.write(chunk));
    file.commit();
    return report;
  } finally {
    stopped();
    file.discard();
  }
}

function refuse(plan: RetargetPlan, { args, options, terminal }: VerbContext): 1 {
  if (options["json"] === true)
    terminal.json({ stream: args[0], output: null, edits: [], notes: [], retarget: shown(plan) });
  else for (const line of planLines(plan)) terminal.note(line);
  const unsafe = plan.losses.filter(({ safe }) => !safe).length;
  terminal.note(
    plan.refusals.length > 0
      ? "godwit: refused; nothing was written (EDIT_REFUSED)"
      : `godwit: ${unsafe} values would be lost; --force accepts that; nothing was written (EDIT_REFUSED)`,
  );
  return 1;
}

/** With the stream on standard output, all else goes to standard error. */
function tell(
  report: EditReport,
  retarget: RetargetPlan | undefined,
  output: string | undefined,
  { args, options, terminal }: VerbContext,
): void {
  if (options["json"] === true) {
    const { done, notes, bytes } = report;
    terminal.json({
      stream: args[0],
      output: output ?? null,
      bytes,
      edits: done,
      notes,
      ...(retarget && { retarget: shown(retarget) }),
    });
    return;
  }
  const say = output === "-" ? terminal.note : terminal.out;
  if (retarget !== undefined) for (const line of planLines(retarget)) say(line);
  for (const line of reportLines(report, output ?? "", output !== undefined)) say(line);
}

const shown = ({ machine, losses, options, refusals, notes }: RetargetPlan): object => ({
  machine,
  losses,
  options,
  refusals,
  notes,
});

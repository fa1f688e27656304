// `godwit verify`: decodes everything, encodes it again, compares bytes; and would a destination take it?

import { readSide } from "../check/read.ts";
import { CliFault } from "../faults.ts";
import type { Terminal } from "../io/terminal.ts";
import { readOptions, visitStream, vmdescOf } from "../model/open-stream.ts";
import type { StreamRead } from "../model/read-stream.ts";
import { streamOptions, type Verb, type VerbOptions } from "../verb.ts";
import { AgainstFacts, against, type Target } from "../verify/against.ts";
import { printAgainst } from "../verify/against-text.ts";
import { bothVisitors } from "../verify/both.ts";
import { printVerify, verifyReport } from "../verify/report.ts";
import { Verifier } from "../verify/verifier.ts";

/** JSON: `VerifyReport` of ../verify/report.ts; with `--against`, its `against` is an `AgainstReport` of ../verify/against.ts. */
export const verify: Verb = {
  name: "verify",
  summary: "decode a whole stream, encode it again and compare; ask whether a destination would take it",
  examples: [
    ["godwit verify vm.stream", "every element is written again and compared with what is there"],
    ["zstd -dc vm.stream.zst | godwit verify -", "the same of a pipe"],
    [
      "godwit verify vm.stream --against dump.json",
      "would the QEMU take it that wrote dump.json (-dump-vmstate), with that machine type?",
    ],
    [
      "godwit verify vm.stream --against dump.json --target other.stream --target-qemu 7.2",
      "the same, knowing the destination's devices from a stream that it saved, and its release",
    ],
  ],
  define(command) {
    command.argument("<stream>", "a file, or - for standard input");
    streamOptions(command);
    command
      .option("--against <dump>", "the JSON of the destination's -dump-vmstate: would it take the stream?")
      .option(
        "--target <file>",
        "with --against: a stream that the destination saved, or its vmdesc as JSON; --vmdesc, too, for a stream that has its own",
      )
      .option("--target-qemu <release>", "with --against: the destination's release, such as 7.2");
  },
  async run({ args: [path = ""], options, terminal }) {
    let fileOffset = 0;
    const target = await targetOf(options, terminal);
    const verifier = new Verifier(() => fileOffset);
    const facts = new AgainstFacts();
    const reading = { ...(await readOptions(options, terminal)), ram: verifier.ram.walker };
    const read = await visitStream(path, reading, bothVisitors(verifier, facts), terminal, (input) => {
      fileOffset = input.wrapper?.headerBytes ?? 0;
      return { ...input, chunks: () => verifier.watch(input.chunks()) };
    });
    const report = verifyReport(verifier, read);
    const answer = target && against(facts, await completed(target, read, options, terminal));
    if (options["json"] === true) terminal.json({ ...report, ...(answer && { against: answer }) });
    else {
      printVerify(report, terminal);
      if (answer !== undefined) printAgainst(answer, String(options["against"]), terminal);
    }
    return report.differences > 0 || answer?.answer === "refused" ? 1 : 0;
  },
};

async function targetOf(options: VerbOptions, terminal: Terminal): Promise<Target | undefined> {
  const { against: dump, target: saved, targetQemu } = options as Record<string, string | undefined>;
  if (dump === undefined) {
    if (saved === undefined && targetQemu === undefined) return undefined;
    throw new CliFault("OPTION_ALONE", "--target and --target-qemu tell more of what --against names", {
      exit: 2,
      hint: "give --against with the destination's -dump-vmstate, too",
    });
  }
  return {
    dump: await readSide(dump, undefined, terminal),
    vmdesc: saved === undefined ? undefined : await vmdescOf(saved, terminal),
    release: targetQemu === undefined ? undefined : releaseOf(targetQemu),
  };
}

/** A stream that tells its sections apart by itself needs no `--vmdesc` for that: with `--against` it is the destination's. */
async function completed(
  target: Target,
  { vmdesc }: StreamRead,
  { vmdesc: given }: VerbOptions,
  terminal: Terminal,
): Promise<Target> {
  if (target.vmdesc !== undefined || given === undefined || vmdesc === undefined) return target;
  return { ...target, vmdesc: await vmdescOf(String(given), terminal) };
}

function releaseOf(text: string): readonly [number, number] {
  const [, major, minor] = /^(\d+)\.(\d+)(\.\d+)*$/.exec(text) ?? [];
  if (major !== undefined && minor !== undefined) return [Number(major), Number(minor)];
  throw new CliFault("OPTION_RELEASE", `--target-qemu: "${text}" is no release`, {
    exit: 2,
    hint: "such as 7.2 or 10.0",
  });
}

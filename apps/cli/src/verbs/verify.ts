// `godwit verify`: decodes everything, encodes it again, compares bytes; and would a destination take it?

import { readSide } from "../check/read.ts";
import { CliFault } from "../faults.ts";
import type { Terminal } from "../io/terminal.ts";
import { readOptions, visitStream, vmdescOf } from "../model/open-stream.ts";
import type { VerbOptions } from "../verb.ts";
import { streamOptions, type Verb } from "../verb.ts";
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
      "godwit verify vm.stream --against dump.json --target-vmdesc other.stream --target-qemu 7.2",
      "the same, knowing the destination's devices from a stream that it saved, and its release",
    ],
  ],
  define(command) {
    command.argument("<stream>", "a file, or - for standard input");
    streamOptions(command);
    command
      .option("--against <dump>", "the JSON of the destination's -dump-vmstate: would it take the stream?")
      .option("--target-vmdesc <file>", "with --against: a stream that the destination saved, or its vmdesc as JSON")
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
    const answer = target && against(facts, target);
    if (options["json"] === true) terminal.json({ ...report, ...(answer && { against: answer }) });
    else {
      printVerify(report, terminal);
      if (answer !== undefined) printAgainst(answer, String(options["against"]), terminal);
    }
    return report.differences > 0 || answer?.answer === "refused" ? 1 : 0;
  },
};

async function targetOf(options: VerbOptions, terminal: Terminal): Promise<Target | undefined> {
  const { against: dump, targetVmdesc, targetQemu } = options as Record<string, string | undefined>;
  if (dump === undefined) {
    if (targetVmdesc === undefined && targetQemu === undefined) return undefined;
    throw new CliFault("OPTION_ALONE", "--target-vmdesc and --target-qemu tell more of what --against names", {
      exit: 2,
      hint: "give --against with the destination's -dump-vmstate, too",
    });
  }
  return {
    dump: await readSide(dump, undefined, terminal),
    vmdesc: targetVmdesc === undefined ? undefined : await vmdescOf(targetVmdesc, terminal),
    release: targetQemu === undefined ? undefined : releaseOf(targetQemu),
  };
}

function releaseOf(text: string): readonly [number, number] {
  const [, major, minor] = /^(\d+)\.(\d+)(\.\d+)*$/.exec(text) ?? [];
  if (major !== undefined && minor !== undefined) return [Number(major), Number(minor)];
  throw new CliFault("OPTION_RELEASE", `--target-qemu: "${text}" is no release`, {
    exit: 2,
    hint: "such as 7.2 or 10.0",
  });
}

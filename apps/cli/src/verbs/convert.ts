// `godwit convert`: a plain stream, a mapped-ram file, a checkpoint: each to each.
//
// What comes out has each page once, whole or zero, whatever came in: deltas, compressed pages, channels of multifd, post-copy.
// Everything else keeps its bytes, but for the capability `mapped-ram` in the configuration (and in the vmdesc's listing of it),
// the commands of a live source to a destination that answers, and the place of devices that post-copy sends before RAM.
//
// `--json`: {"input", "output", "from", "to", "machineType" or null, "bytes" (of the output; of the stream in a checkpoint),
// "pageBytes", "blocks": [{"name", "bytes", "writtenPages" (not zero)}], "droppedCommands"}.
import { convert as convertTo } from "../convert/convert.ts";
import { formatFor } from "../convert/formats.ts";
import { CliFault } from "../faults.ts";
import { sizeOf, sizeText } from "../io/size.ts";
import { readOptions } from "../model/open-stream.ts";
import { collect, streamOptions, type Verb } from "../verb.ts";

export const convert: Verb = {
  name: "convert",
  summary: "make a plain stream, a mapped-ram file or a checkpoint of one another",
  examples: [
    [
      "godwit convert vm.stream vm.mapped",
      "each page at its place in the file, as QEMU 9.0 and later load it in parallel",
    ],
    ["godwit convert vm.mapped vm.stream", "for a QEMU that does not know mapped-ram"],
    [
      "godwit convert main.stream whole.stream --channel ch0 --channel ch1",
      "one stream of main and channels of multifd",
    ],
    ["godwit convert vm.stream vm.checkpoint", "one more recording of a checkpoint file, or the first"],
    ["godwit convert vm.checkpoint - | zstd > vm.stream.zst", "the last recording as a stream, compressed"],
  ],
  define(command) {
    command
      .argument("<input>", "a stream, a mapped-ram file or a checkpoint, or - for standard input")
      .argument("<output>", "what is to be made, or - for standard output")
      .option("--to <form>", "stream, mapped-ram or checkpoint (default: by the output's extension)")
      .option("--channel <file>", "what came by a channel of multifd of the same migration; once for each", collect)
      .option("--recording <name>", "which recording of a checkpoint is read (default: the last)")
      .option("--name <name>", "what the recording of a checkpoint is called that is made (default: its number)")
      .option("--ram-bound <size>", "how much memory the stream may list", "1T")
      .option("--overwrite", "replace the file that is there; a checkpoint file gets one more recording instead");
    streamOptions(command);
  },
  async run({ args: [input = "", output = ""], options, terminal }) {
    const to = formatFor(output, options["to"] as string | undefined);
    const isJson = options["json"] === true;
    if (isJson && output === "-") {
      throw new CliFault("CONVERT_PIPE", "standard output holds the stream, and no JSON beside it", { exit: 2 });
    }
    if (output === "-" && terminal.stdoutIsTerminal) {
      throw new CliFault("OUTPUT_TERMINAL", "a stream is nothing for a terminal", {
        exit: 2,
        hint: "give a file, or a pipe",
      });
    }
    if (to === "checkpoint" && options["overwrite"] === true) {
      throw new CliFault("CONVERT_OVERWRITE", "a checkpoint file gets one more recording, and is not replaced", {
        exit: 2,
        hint: "leave --overwrite out, or remove the file first",
      });
    }
    const name = options["name"] as string | undefined;
    if (name !== undefined && to !== "checkpoint") {
      throw new CliFault("CONVERT_NAME", "--name is of a checkpoint's recording", { exit: 2 });
    }
    const made = await convertTo({
      input,
      output,
      to,
      channels: (options["channel"] as readonly string[] | undefined) ?? [],
      recording: options["recording"] as string | undefined,
      name,
      overwrite: options["overwrite"] === true,
      boundBytes: sizeOf(String(options["ramBound"]), "--ram-bound"),
      options: await readOptions(options, terminal),
      terminal,
    });
    const { machineType = null, from, bytes, blocks, pageBytes, droppedCommands } = made;
    if (isJson) {
      terminal.json({ input, output, from, to, machineType, bytes, pageBytes, blocks, droppedCommands });
      return 0;
    }
    const content = blocks.reduce((sum, { writtenPages }) => sum + writtenPages * pageBytes, 0);
    terminal.note(
      `${output === "-" ? "standard output" : output}: ${to}, ${sizeText(bytes)}, of it ${sizeText(content)} of RAM that is not zero`,
    );
    if (droppedCommands.length > 0) terminal.note(`left out, for nobody answers: ${droppedCommands.join(", ")}`);
    return 0;
  },
};

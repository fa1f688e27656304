// `godwit inspect`: what is in a stream.
import { readOptions, visitStream } from "../model/open-stream.ts";
import type { Section } from "../model/read-stream.ts";
import { streamOptions, type Verb } from "../verb.ts";

export const inspect: Verb = {
  name: "inspect",
  summary: "show what is in a stream",
  examples: [["godwit inspect vm.stream", "the machine, its RAM and every section"]],
  define(command) {
    command.argument("<stream>", "a file, or - for standard input");
    streamOptions(command);
  },
  async run({ args: [path = ""], options, terminal }) {
    const sections: Section[] = [];
    const read = await visitStream(
      path,
      await readOptions(options, terminal),
      { section: (section) => void sections.push(section) },
      terminal,
    );
    for (const { offset, bytes, key, head, phase, delimitedBy } of sections) {
      terminal.out(`${offset} ${bytes} ${key} v${head.version} ${phase} ${delimitedBy}`);
    }
    if (options["json"] === true) terminal.json({ machineType: read.configuration?.machineType });
    return 0;
  },
};

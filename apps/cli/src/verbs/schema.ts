// `godwit schema`: what a module's descriptions, or a stream's sections, look like.
import { CliFault } from "../faults.ts";
import { outLines } from "../io/terminal.ts";
import { dumpText, pages, schemas } from "../schema/forms.ts";
import { isStream, mustHold, subjectOfModule, subjectOfStream } from "../schema/subject.ts";
import { collect, streamOptions, type Verb } from "../verb.ts";

const forms = ["dump", "json-schema", "markdown"];

/**
 * `--as dump`: the JSON of QEMU's `-dump-vmstate` (`Dump` of `@godwit/core/tools`), with what it lacks behind the keys
 * `godwit`. `--as json-schema`: a JSON Schema (draft 2020-12) of the state's JSON form, where one description is meant; else
 * `{[section or name]: schema}`. Both are JSON with `--json` and without; with it, `--as markdown` is `{"markdown": string}`.
 * What has no schema is told on standard error. Exit 2, `SCHEMA_EMPTY`, where nothing has one.
 */
export const schema: Verb = {
  name: "schema",
  summary: "print what a plugin or a stream describes: as a dump, a JSON Schema or a page",
  examples: [
    ["godwit schema @godwit/iommu-vtd", "its descriptions as QEMU's -dump-vmstate prints its own"],
    ["godwit schema ./machine.js --as markdown > STATE.md", "a reference page of one's own devices"],
    ["godwit schema @godwit/virtio-net/pci --like vm.stream", "with the parameters that the stream's devices have"],
    ["godwit schema vm.stream --section '*/virtio-net' --as json-schema", "of the JSON that extract writes for it"],
  ],
  define(command) {
    command
      .argument("<subject>", "a module (a package's name, or a path), or a stream (a file, or - for standard input)")
      .option("--as <form>", "dump, json-schema or markdown", "dump")
      .option(
        "--section <glob>",
        "only sections (of a module, descriptions) of this name; may be given several times",
        collect,
      )
      .option("--like <stream>", "of a module: take the parameters of its descriptions from this stream's sections")
      .option("--machine <name>", "the machine type in a dump (default: the stream's, else none)");
    streamOptions(command);
  },
  async run({ args: [name = ""], options, terminal }) {
    const form = String(options["as"]);
    if (!forms.includes(form)) {
      throw new CliFault("FORM_UNKNOWN", `there is no form "${form}"`, { exit: 2, hint: forms.join(", ") });
    }
    const isOfStream = isStream(name, terminal.folder);
    if (isOfStream && options["like"] !== undefined) {
      throw new CliFault(
        "SCHEMA_ARGUMENTS",
        `${name} is a stream: its own parameters are taken, and not those of another`,
        {
          exit: 2,
          hint: "--like is for modules",
        },
      );
    }
    const subject = isOfStream
      ? await subjectOfStream(name, options, terminal)
      : await subjectOfModule(name, options, terminal);
    const all = form === "json-schema" ? withoutListed(subject) : subject;
    for (const { key, why } of all.leftOut) terminal.note(`godwit: ${key} is left out: ${why}`);
    mustHold(all, name, options["section"] as readonly string[] | undefined);
    if (form === "markdown") {
      const markdown = pages(all);
      if (options["json"] === true) terminal.json({ markdown });
      else outLines(terminal.out, markdown.trimEnd());
    } else {
      const machine = (options["machine"] as string | undefined) ?? subject.machine ?? "none";
      terminal.json(form === "dump" ? dumpText(all, machine) : schemas(all));
    }
    return 0;
  },
};

/** A vmdesc tells what came, and not what a state is. */
function withoutListed(subject: Awaited<ReturnType<typeof subjectOfStream>>) {
  const why = "only the stream's vmdesc tells of it, which is no description of its states";
  return { ...subject, listed: [], leftOut: [...subject.leftOut, ...subject.listed.map(({ key }) => ({ key, why }))] };
}

// `godwit extract`: RAM blocks as sparse raw images, one device as JSON, the vmdesc as JSON, a section as bytes.
//
// `--ram DIR` makes DIR with one image a block and the index `ram.json` (RamIndex in extract/ram-index.ts). The image of
// `pc.ram` is `pc.ram.raw`; bytes that are no letters, digits, `_`, `-` or dots (and a dot at the beginning) are `%` and two
// hexadecimal digits: `/rom@etc/acpi/tables` is `%2From%40etc%2Facpi%2Ftables.raw`.
//
// `--device`: {"section", "idstr", "instance", "version", "sectionId", "offset" and "bodyOffset" (in the stream), "bodyBytes",
// "delimitedBy", "by" ("description", "vmdesc" or "bytes"), "plugin", "fault" ({code, message, path}: why a description that is
// meant for it was not used), "record" (by a description: the values as a tree, as `recordToJson` gives it), "fields" (else:
// [{"path", "type", "offset" in the body, "value"}])}. 64-bit integers are decimal strings, bytes base64.
//
// `--json`: {"stream", "ram": {"folder", ...ram.json} or null, "document": {"kind", "section", "file", "value"} or null}; `value`
// is null where it went to `file`, and base64 for `--raw`.
import { join } from "node:path";
import { type AskedDocument, asked } from "../extract/asked.ts";
import { type Extracted, extract as extractFrom, jsonText } from "../extract/extract.ts";
import { CliFault } from "../faults.ts";
import { sizeText } from "../io/size.ts";
import { outLines, type Terminal } from "../io/terminal.ts";
import { readOptions } from "../model/open-stream.ts";
import { collect, streamOptions, type Verb } from "../verb.ts";

export const extract: Verb = {
  name: "extract",
  summary: "take RAM, a device's values, a section's bytes or the vmdesc out of a stream",
  examples: [
    ["godwit extract vm.stream --ram images", "each RAM block as a sparse raw image, and images/ram.json"],
    ["godwit extract vm.stream --ram images --block pc.ram", "one block alone"],
    ["godwit extract main.stream --ram images --channel ch0 --channel ch1", "RAM that came by multifd's channels"],
    ["godwit extract vm.stream --device 0000:00:02.0/virtio-net", "one device's values as JSON"],
    ["godwit extract vm.stream --vmdesc-json -o vm.vmdesc.json", "the stream's description of itself"],
    ["godwit extract vm.stream --raw serial/0 -o serial.bin", "the bytes of a section's body"],
  ],
  define(command) {
    command
      .argument("<stream>", "a file, or - for standard input; FILE#NAME is a recording of a checkpoint file")
      .option("--ram <folder>", "RAM blocks as sparse raw images in a new folder")
      .option("--block <glob>", "with --ram: these blocks alone; may be given several times", collect)
      .option(
        "--channel <file>",
        "with --ram: what came by a channel of multifd of the same migration; once for each",
        collect,
      )
      .option("--allow-missing", "with --ram: although pages have not come; they are zero, and told in ram.json")
      .option("--ram-bound <size>", "with --ram: how much memory the stream may list", "1T")
      .option("--device <section>", "a device's values as JSON")
      .option("--vmdesc-json", "the stream's own description as JSON")
      .option("--raw <section>", "the bytes of a section's body")
      .option("-o, --output <file>", "where that document goes; standard output, if not given")
      .option("--overwrite", "replace what is there: a file, or a folder that holds images and ram.json alone");
    streamOptions(command);
  },
  async run({ args: [path = ""], options, terminal }) {
    const wanted = asked(options);
    const { document } = wanted;
    const isJson = options["json"] === true;
    if (document?.kind === "raw" && document.file === undefined && terminal.stdoutIsTerminal && !isJson) {
      throw new CliFault("OUTPUT_TERMINAL", "bytes are nothing for a terminal", {
        exit: 2,
        hint: "give -o, or a pipe",
      });
    }
    const made = await extractFrom(path, wanted, await readOptions(options, terminal), terminal);
    if (isJson) terminal.json(report(path, made, wanted.ram?.folder, document));
    else await show(made, wanted.ram?.folder, document, terminal);
    return 0;
  },
};

async function show(
  { ram, document }: Extracted,
  folder: string | undefined,
  asked: AskedDocument | undefined,
  terminal: Terminal,
): Promise<void> {
  for (const { name, file, bytes, writtenPages, missingPages } of ram?.blocks ?? []) {
    const content = sizeText(writtenPages * (ram?.pageBytes ?? 0));
    const missing = missingPages === 0 ? "" : `, ${missingPages} pages missing`;
    terminal.note(`${join(folder ?? "", file)}: ${name}, ${sizeText(bytes)}, of it ${content} not zero${missing}`);
  }
  if (document === undefined) return;
  if (asked?.file !== undefined) terminal.note(`${asked.file}: written`);
  else if (document instanceof Uint8Array) await terminal.write(document);
  else outLines(terminal.out, jsonText(document));
}

function report(
  stream: string,
  { ram, document }: Extracted,
  folder: string | undefined,
  asked: AskedDocument | undefined,
): object {
  return {
    stream,
    ram: ram === undefined ? null : { folder, ...ram },
    document:
      asked === undefined
        ? null
        : {
            kind: asked.kind,
            section: asked.section === "" ? null : asked.section,
            file: asked.file ?? null,
            value: asked.file === undefined ? document : null,
          },
  };
}

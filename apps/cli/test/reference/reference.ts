// The reference page, made of what the verbs themselves say in their help.
import type { Command } from "commander";
import { processTerminal } from "../../src/io/terminal.ts";
import { everyVerb } from "../../src/program.ts";
import type { VerbCommand } from "../../src/verb.ts";

export async function referenceText(): Promise<string> {
  const verbs = await everyVerb(processTerminal(false));
  return [
    "# The `godwit` command",
    "",
    "Written by `bun run reference`, from the verbs' own help; a test compares it. What each does with which kind of stream:",
    "[the table](cli-table.md).",
    "",
    ...table(
      ["verb", ""],
      verbs.map(({ verb: { name, summary } }) => [`[\`${name}\`](#godwit-${name})`, summary]),
    ),
    "",
    "Exit codes: 0 fine, 1 the stream or the comparison is bad, 2 wrong use, 3 a bug of godwit. With `--json` standard",
    'output holds one JSON document, `{"error": ...}` where it failed; 64-bit integers are decimal strings, buffers base64.',
    "",
    ...verbs.flatMap(verbText),
  ].join("\n");
}

function verbText({ verb, command }: VerbCommand): string[] {
  const described = command.registeredArguments.filter(({ description }) => description !== "");
  return [
    `## godwit ${verb.name}`,
    "",
    sentence(verb.summary),
    "",
    "```sh",
    `godwit ${verb.name} ${command.usage()}`,
    "```",
    "",
    ...(described.length === 0
      ? []
      : [
          ...table(
            ["argument", ""],
            described.map((one) => [`\`${one.name()}\``, escaped(one.description)]),
          ),
          "",
        ]),
    ...table(["option", ""], command.options.map(optionRow)),
    "",
    ...verb.examples.flatMap(([line, says]) => ["```sh", line, "```", "", sentence(says), ""]),
  ];
}

function optionRow({ flags, description, defaultValue }: Command["options"][number]): string[] {
  const told = defaultValue === undefined || typeof defaultValue === "boolean" ? "" : ` (default: \`${defaultValue}\`)`;
  return [`\`${flags.replaceAll("|", "\\|")}\``, `${escaped(description)}${told}`];
}

const sentence = (text: string): string =>
  `${text.slice(0, 1).toUpperCase()}${text.slice(1)}${/[.?]$/.test(text) ? "" : "."}`;
const escaped = (text: string): string => text.replaceAll("|", "\\|").replaceAll("<", "&lt;");

/** As the formatter lays tables out: a column as wide as its widest cell. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((_, i) => Math.max(3, ...[head, ...rows].map((row) => (row[i] ?? "").length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" | ")} |`;
  return [line(head), `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...rows.map(line)];
}

// The page about `godwit check`: its codes, from the one table, and what no dump shows.
import { checkCodes } from "@godwit/core/compatibility";

const beginning = `# What \`godwit check\` finds

Written by \`godwit check --codes\`; a test compares it.

\`-dump-vmstate\` lists device classes, with the fields and subsections of each. \`godwit check\` plays both parts: what the
writer puts on the wire by its versions and fields, and what the reader takes. It does that from old to new and back.

A class in a dump is a device that could be there. So what breaks is \`may break\` with the condition \`device\`, until
something says what the machine has: \`--only-of\`, \`--devices\`, \`--vmdesc\` or \`--vmdesc-new\`. The other conditions:
\`subsection\` (it matters when the subsection is needed), \`test\` (when a field's test says yes) and \`state\` (seen in
streams alone, where the guest's state decides what is sent).

## What no dump shows

- **Sections of no device class.** Timers, the global state, RAM, CPUs and many parts of machines register their sections
  themselves. The dumps of pseries have no \`icp/server\` and no \`cpu\`, in QEMU 7.2 and in 10.0; those of aarch64's \`virt\`
  have no \`cpu\`. In practice pseries fails from 7.2 to 10.0 with \`Unknown savevm section or instance 'icp/server' 0\`, and
  virt with an error in \`cpu\`: nothing in the dumps shows either. With a stream of each side (\`--vmdesc\`,
  \`--vmdesc-new\`) a section that the other has not is \`SECTION_UNKNOWN\`, and what streams describe of \`cpu\` is compared;
  both may break, and not for certain: a stream has what was needed that once. With one stream they are
  \`SECTION_IN_NO_DUMP\`.
- **Types.** A dump has sizes. A vmdesc has types.
- **Sizes of structs, lists and timers.** Those in a dump are sizes in memory. They are not compared.
- **Array counts**, before QEMU 10.0. A vmdesc has them.
- **Tests of fields, \`needed\` of subsections and sections, priorities.** What a machine type's compatibility settings
  switch off looks the same as what is on. A stream shows what was sent that once.
- **Which struct goes by a version of its own**, and which by one that the description around it names. A vmdesc tells.
- **Which description cannot migrate.** It looks the same as an empty one.
- **Modules.** A dump has the classes of what is installed: without its module, \`qxl\` is gone.

## Codes

"Writer" is the QEMU that saves, "reader" the one that loads.
`;

export function checkPage(): string {
  const rows = Object.entries(checkCodes).map(([code, { severity, says, remedy }]) => [
    `\`${code}\``,
    severity,
    says,
    remedy,
  ]);
  const table = [["code", "severity", "what is so", "what helps"], ...rows];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...table.map((row) => (row[column] ?? "").length)));
  const line = (cells: readonly string[], fill = " ") =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0, fill)).join(" | ")} |`;
  const [head = [], ...body] = table;
  const ruler = line(["", "", "", ""], "-");
  return `${beginning}\n${[line(head), ruler, ...body.map((row) => line(row))].join("\n")}\n`;
}

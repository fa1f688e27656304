// The page `docs/versions.md`: which version of a plugin writes and reads which versions of its descriptions.
import type { Dump, DumpDescription, DumpSection } from "@godwit/core/tools";
import { compareVersions } from "../changes/bump.ts";
import type { PublishedDump } from "../changes/dumps.ts";

interface Row {
  readonly description: string;
  readonly writes: string;
  readonly reads: string;
  readonly subsections: string;
}

/** Versions in succession whose rows are the same. */
interface Span {
  readonly oldest: string;
  readonly newest: string;
  readonly rows: readonly Row[];
}

const head = `# Which version of a plugin writes and reads what

Written by \`bun scripts/versions/write.ts\` from the descriptions that each version published ([docs/dumps](dumps)); a test
compares it. A section's version stands in the stream. Of a later version than it reads a plugin says \`SECTION_VERSION\`, of a
subsection that it does not know \`SUBSECTION_UNKNOWN\`; both before anything is changed.

A description stands more than once where its versions or its subsections depend on the machine, by its dialect for one. The
parts that virtio devices share are under virtio-core, virtio-pci and virtio-ccw. A number behind a subsection is its
version; subsections inside of structs and of subsections are among them. Plugins without a section of their own, and
\`ram\`, version 4 in each version of ram-dirty-tracker, are not here.
`;

export function versionsPage(dumps: readonly PublishedDump[]): string {
  const plugins = [...new Set(dumps.map(({ plugin }) => plugin))].sort();
  const parts = plugins.map((plugin) => sectionOf(plugin, dumps));
  return [head, ...parts].join("\n");
}

function sectionOf(plugin: string, dumps: readonly PublishedDump[]): string {
  const own = dumps.filter((one) => one.plugin === plugin).sort((a, b) => compareVersions(b.version, a.version));
  const spans: Span[] = [];
  for (const { version, dump } of own) {
    const rows = rowsOf(dump);
    const last = spans.at(-1);
    const isSame = last !== undefined && JSON.stringify(last.rows) === JSON.stringify(rows);
    if (isSame) spans[spans.length - 1] = { ...last, oldest: version };
    else spans.push({ oldest: version, newest: version, rows });
  }
  const names = ["version", "description", "writes", "reads", "subsections"];
  const cells = spans.flatMap(({ oldest, newest, rows }) => {
    const versions = oldest === newest ? newest : `${oldest} to ${newest}`;
    return rows.map((row) => [versions, row.description, row.writes, row.reads, row.subsections]);
  });
  return `## ${plugin}\n\n${tableOf(names, cells)}`;
}

function rowsOf(dump: Dump): Row[] {
  const rows = Object.entries(dump)
    .filter(([key]) => key !== "vmschkmachine")
    .map(([, section]) => {
      const { Description, version_id: to, minimum_version_id: from } = section as DumpSection;
      return {
        description: `\`${Description.name}\``,
        writes: String(to),
        reads: from === to ? String(to) : `${from} to ${to}`,
        subsections: subsectionsOf(Description)
          .map(([name, version]) => `\`${name}\` ${version}`)
          .join(", "),
      };
    });
  return [...new Map(rows.map((row) => [JSON.stringify(row), row])).values()];
}

function subsectionsOf(description: DumpDescription): [name: string, version: string][] {
  const { Fields = [], Subsections = [] } = description;
  const all = [
    ...Fields.flatMap((field) => (field.Description === undefined ? [] : subsectionsOf(field.Description))),
    ...Subsections.flatMap((one): [string, string][] => [[one.name, versionsOf(one)], ...subsectionsOf(one)]),
  ];
  return [...new Map(all.map((one) => [one.join(" "), one])).values()];
}

const versionsOf = ({ version_id: to, minimum_version_id: from }: DumpDescription) =>
  from === to ? String(to) : `${to} (reads ${from} to ${to})`;

/** As the formatter has a table: columns padded to their widest cell. */
function tableOf(names: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = names.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const lineOf = (cells: readonly string[]) => `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" | ")} |`;
  return `${[lineOf(names), lineOf(widths.map((width) => "-".repeat(width))), ...rows.map(lineOf)].join("\n")}\n`;
}

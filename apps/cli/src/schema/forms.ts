// The forms that a schema is printed in.
import type { Description } from "@godwit/core";
import { type Dump, dumpOf, dumpSectionOfVmdesc, type JsonSchema, jsonSchemaOf, markdownOf } from "@godwit/core/tools";
import type { DescribedSubject, ListedSubject, Subject } from "./subject.ts";

/** All of them in QEMU's form; what a vmdesc alone tells of stands behind the described, under its idstr. */
export function dumpText({ described, listed }: Subject, machine: string): Dump {
  const dump = dumpOf(
    described.map(({ description }) => description),
    machine,
  );
  const sections = new Map(Object.entries(dump));
  const said = new Set<string>();
  for (const { device, key } of listed) {
    const section = dumpSectionOfVmdesc(device);
    const text = JSON.stringify(section);
    if (said.has(text)) continue;
    said.add(text);
    sections.set(sections.has(device.name) ? key : device.name, section);
  }
  return Object.fromEntries(sections);
}

/** The schema where there is one description, else an object of them by section or name. */
export function schemas({ described }: Subject): JsonSchema {
  const each = distinct(described);
  const [first] = each;
  if (each.length === 1 && first !== undefined) return jsonSchemaOf(first.description);
  return Object.fromEntries(each.map(({ key, description }) => [key, jsonSchemaOf(description)]));
}

export function pages({ described, listed }: Subject): string {
  const own = distinct(described).map(({ description }) => markdownOf(description));
  return [...own, ...listed.map(listedPage)].join("\n");
}

/** Descriptions that say the same stand once, by the first section that has them. */
function distinct(described: readonly DescribedSubject[]): readonly DescribedSubject[] {
  const seen = new Map<string, DescribedSubject>();
  for (const one of described) {
    const text = JSON.stringify(dumpOf([one.description as Description], ""));
    if (!seen.has(text)) seen.set(text, one);
  }
  return [...seen.values()];
}

function listedPage({ key, device, leaves }: ListedSubject): string {
  const { vmsd_name, version } = device;
  const by = vmsd_name === undefined ? "Not described; its size is all that the stream's vmdesc tells." : "";
  const rows = leaves.map(({ path, type, offset, bytes, count }) => {
    const cells = [offset, code(path), count === undefined ? code(type) : `${code(type)} × ${count}`, bytes];
    return `| ${cells.map((cell) => String(cell).replaceAll("|", "\\|")).join(" | ")} |`;
  });
  return [
    `# ${code(key)}`,
    "",
    by || `Version ${version} of ${code(vmsd_name as string)}, as it stands in this stream: its vmdesc says so.`,
    "",
    "| offset | field | type | bytes |",
    "| --: | --- | --- | --: |",
    ...rows,
    "",
  ].join("\n");
}

const code = (text: string): string => `\`${text.replaceAll("`", "'")}\``;

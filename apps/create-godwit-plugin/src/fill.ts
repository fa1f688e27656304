// From the template to a project's files: placeholders become names, ranges and bytes.
import { renameInGolden } from "./golden.ts";
import type { Names } from "./names.ts";
import { ranges } from "./ranges.ts";
import type { ProjectFiles } from "./template.ts";

/** Placeholders are identifiers, so that the template is code that compiles. */
export function fillTemplate(template: ProjectFiles, names: Names): ProjectFiles {
  return new Map([...template].map(([path, text]) => [path, fillFile(path, text, names)]));
}

function fillFile(path: string, text: string, names: Names): string {
  if (path === "package.json") return fillNames(fillRanges(text), names);
  if (path.startsWith("goldens/")) return fillNames(renameInGolden(text, "__idstr__", names.device), names);
  return fillNames(text, names);
}

function fillNames(text: string, { packageName, device, camel, pascal }: Names): string {
  return text
    .replaceAll("__package__", packageName)
    .replaceAll("__idstr__", device)
    .replaceAll("__device__", camel)
    .replaceAll("__Device__", pascal);
}

/** Every `"name": "__range__"` gets the range that this release was tested with. */
function fillRanges(manifest: string): string {
  return manifest.replaceAll(/"([^"]+)": "__range__"/g, (_, name: string) => {
    const range = ranges[name];
    if (range === undefined) throw new Error(`the template asks for ${name}, and no range of it is known`);
    return `"${name}": "${range}"`;
  });
}

// `UPGRADING.md` has a heading for each minor of a package: `## 0.2`.
import { minorOf } from "./bump.ts";

const released = /^## (\d+\.\d+\.\d+)\s*$/gm;
const heading = /^## (\d+\.\d+)\s*$/gm;

/** The minors of a changelog and of further versions that it has no heading for, or none with text under it. */
export function missingHeadings(upgrading: string, changelog: string, versions: readonly string[]): string[] {
  const all = [...[...changelog.matchAll(released)].map(([, version = ""]) => version), ...versions].map(minorOf);
  const told = new Set(headingsOf(upgrading));
  return [...new Set(all)].filter((minor) => !told.has(minor));
}

function headingsOf(text: string): string[] {
  return [...text.matchAll(heading)].flatMap((match) => {
    const after = text.slice(match.index + match[0].length);
    const end = after.search(/^## /m);
    return (end < 0 ? after : after.slice(0, end)).trim() === "" ? [] : [match[1] as string];
  });
}

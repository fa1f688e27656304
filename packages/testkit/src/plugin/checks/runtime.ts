// No runtime's API: the published sources are scanned for names that plain ES2023 does not have.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { CheckFunction } from "../check.ts";
import { filesIn, pathOf } from "../folder.ts";
import { messageOf } from "../lab.ts";
import { runtimeNames } from "../scan.ts";

const isModule = (file: string): boolean => /\.[cm]?[jt]s$/.test(file) && !/\.d\.[cm]?ts$/.test(file);

export const runtimeCheck: CheckFunction = async (lab, findings) => {
  const folder = pathOf(lab.test.sources);
  const files = filesIn(folder).filter(isModule);
  if (files.length === 0) findings.add("SOURCES_EMPTY", { text: "nothing that ends in .ts, .mts, .js or .mjs" });
  for (const file of files) {
    try {
      for (const { name, line } of runtimeNames(file, readFileSync(join(folder, file), "utf8"))) {
        findings.add("RUNTIME_API_USED", { path: `${file}:${line}`, text: `${name}, in line ${line} of ${file}` });
      }
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      findings.add("SOURCES_EMPTY", { path: file, text: messageOf(error) });
    }
  }
  return undefined;
};

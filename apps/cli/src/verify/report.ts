// What verify says: a line a section, what it was verified by, and where the first difference is.
import { sizeText } from "../io/size.ts";
import type { Terminal } from "../io/terminal.ts";
import type { StreamRead } from "../model/read-stream.ts";
import type { Finding } from "./findings.ts";
import type { SectionVerified, Verifier } from "./verifier.ts";

/** The JSON form. Sums are of bytes; together they are the whole stream. */
export interface VerifyReport {
  readonly machineType: string | undefined;
  readonly streamBytes: number;
  readonly comparedBytes: {
    /** Headers, footers, configuration, commands, the end and the vmdesc. */
    readonly framing: number;
    readonly byDescription: number;
    /** By the names, types and sizes that the stream's own vmdesc, or the given one, lists. */
    readonly byVmdesc: number;
    /** RAM's records. A page can hold anything: what is verified of it is its place. */
    readonly ramRecords: number;
  };
  /** Carried along: what nothing describes, and of mapped-ram bitmaps, gaps and holes. */
  readonly notComparedBytes: number;
  readonly sections: readonly SectionVerified[];
  readonly vmdesc: "same" | "differs" | "absent";
  readonly differences: number;
  /** The first of them, at most 100, by offset. */
  readonly findings: readonly Finding[];
}

export function verifyReport(verifier: Verifier, { configuration, bytes }: StreamRead): VerifyReport {
  const sections = [...verifier.sections.values()];
  const by = (...kinds: SectionVerified["by"][]): number =>
    sections.reduce((sum, row) => sum + (kinds.includes(row.by) ? row.comparedBytes : 0), 0);
  const comparedBytes = {
    framing: verifier.framingBytes,
    byDescription: by("description"),
    byVmdesc: by("vmdesc"),
    ramRecords: by("records"),
  };
  const compared = Object.values(comparedBytes).reduce((sum, one) => sum + one, 0);
  return {
    machineType: configuration?.machineType,
    streamBytes: bytes,
    comparedBytes,
    notComparedBytes: bytes - compared,
    sections,
    vmdesc: verifier.vmdescText ?? "absent",
    differences: verifier.findings.count,
    findings: verifier.findings.kept,
  };
}

const shownFindings = 10;

export function printVerify(report: VerifyReport, terminal: Terminal): void {
  const { machineType, streamBytes, sections, comparedBytes, notComparedBytes, vmdesc, differences } = report;
  terminal.out(`${machineType ?? "a machine without a name"}, ${streamBytes} bytes`);
  const width = Math.max(0, ...sections.map(({ section }) => section.length));
  for (const row of sections) {
    terminal.out(`  ${row.section.padEnd(width)}  ${String(row.bodyBytes).padStart(11)}  ${howVerified(row)}`);
  }
  const { framing, byDescription, byVmdesc, ramRecords } = comparedBytes;
  terminal.out(
    `written again and compared: ${sizeText(byDescription)} by descriptions, ${sizeText(byVmdesc)} by the vmdesc,`,
  );
  terminal.out(
    `  ${sizeText(ramRecords)} of RAM records, ${sizeText(framing)} of framing; not compared: ${notComparedBytes} bytes`,
  );
  terminal.out(`vmdesc: ${vmdesc === "same" ? "written again it is the same" : vmdesc}`);
  if (differences === 0) {
    terminal.out(terminal.style("green", `no difference in what was compared`));
    return;
  }
  terminal.out(terminal.style("red", `${differences} difference${differences > 1 ? "s" : ""}`));
  for (const finding of report.findings.slice(0, shownFindings)) {
    terminal.out(`  ${findingText(finding)}`);
  }
}

function howVerified({ by, plugin, bodyBytes, comparedBytes, records, stateToo }: SectionVerified): string {
  const rest = bodyBytes - comparedBytes;
  const butFor = rest > 0 && by !== "nothing" && by !== "walker" ? `, but for ${rest} bytes` : "";
  switch (by) {
    case "description":
      return `by ${plugin}${stateToo ? "" : ", as a record only"}${butFor}`;
    case "vmdesc":
      return `by the vmdesc only${butFor}`;
    case "records":
      return `${records} records${butFor}`;
    case "walker":
      return "not compared: only its framing is known";
    case "nothing":
      return "not compared: nothing describes it";
  }
}

function findingText({ code, message, section, path, offset, expected, found }: Finding): string {
  const values = [expected !== undefined && `expected ${expected}`, found !== undefined && `found ${found}`]
    .filter((one) => one !== false)
    .join(", ");
  return `section ${section}, field ${path}, byte ${offset}: ${message}${values && `: ${values}`} (${code})`;
}

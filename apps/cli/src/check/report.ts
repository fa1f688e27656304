// What `godwit check` prints: short by default, every finding with its remedy with `--all`.
import type { Style, Terminal } from "../io/terminal.ts";
import type { CheckResult } from "./check.ts";
import { type CheckCode, type Condition, checkCodes, type Severity, severities } from "./codes.ts";
import type { Direction, Finding } from "./finding.ts";

const colours: Readonly<Record<Severity, Style>> = {
  breaks: "red",
  "may break": "yellow",
  unknown: "cyan",
  harmless: "dim",
};

const arrows = { forward: "old -> new", backward: "new -> old", both: "both ways " } as const;

/** Places and subjects of a line before "and N more". */
const mostNamed = 5;

export function printResult(
  result: CheckResult,
  names: { old: string; new: string },
  all: boolean,
  terminal: Terminal,
) {
  const { machines, findings, notCompared } = result;
  const same = machines.old === machines.new ? `${machines.old}: ` : "";
  terminal.out(terminal.style("bold", `${same}${names.old} -> ${names.new}`));
  terminal.out(summary(findings));
  if (all) printAll(findings, terminal);
  else printShort(findings, terminal);
  if (notCompared.length > 0) {
    terminal.out();
    terminal.out("not compared:");
    for (const one of notCompared) terminal.out(`  ${one}`);
  }
}

function summary(findings: readonly Finding[]): string {
  const count = (severity: Severity) => findings.filter((one) => one.severity === severity).length;
  const [breaks = 0, mayBreak = 0, unknown = 0, harmless = 0] = severities.map(count);
  const worst = breaks === 0 ? "no certain break found" : `${breaks} break${breaks === 1 ? "s" : ""}`;
  return `${worst}; ${mayBreak} may break, ${unknown} unknown, ${harmless} harmless`;
}

/** What is certain or may happen, a line for each kind; the rest in a line for each severity. */
function printShort(findings: readonly Finding[], terminal: Terminal): void {
  for (const severity of ["breaks", "may break"] as const) {
    const lines = linesOf(bothWays(findings.filter((one) => one.severity === severity)));
    if (lines.length === 0) continue;
    terminal.out();
    terminal.out(terminal.style(colours[severity], severity));
    for (const line of lines) terminal.out(`  ${line}`);
  }
  if (findings.some(({ severity, conditions }) => severity === "may break" && conditions.includes("device"))) {
    terminal.out("  (a class in a dump is a device that could be there: --only-of STREAM looks at those of a machine)");
  }
  const rest = (["unknown", "harmless"] as const).flatMap((severity) => {
    const own = findings.filter((one) => one.severity === severity);
    return own.length === 0 ? [] : [`${severity}: ${[...new Set(own.map(({ code }) => code))].join(", ")}`];
  });
  if (rest.length === 0) return;
  terminal.out();
  for (const line of rest) terminal.out(line);
  terminal.out("(--all shows each with its places and remedy)");
}

interface Shown {
  readonly finding: Finding;
  readonly way: Direction | "both";
}

const mirrors: Readonly<Partial<Record<CheckCode, CheckCode>>> = {
  FIELD_REMOVED: "FIELD_ADDED",
  FIELD_REMOVED_CONDITIONAL: "FIELD_ADDED_CONDITIONAL",
  FIELD_ADDED: "FIELD_REMOVED",
  FIELD_ADDED_CONDITIONAL: "FIELD_REMOVED_CONDITIONAL",
};

/** The same change seen from the other side is not told twice. */
function bothWays(findings: readonly Finding[]): Shown[] {
  const backward = new Map(findings.filter((one) => one.direction === "backward").map((one) => [keyOf(one), one]));
  const told = new Set<Finding>();
  const shown: Shown[] = [];
  for (const finding of findings.filter((one) => one.direction === "forward")) {
    const other = backward.get(keyOf({ ...finding, code: mirrors[finding.code] ?? finding.code }));
    if (other !== undefined) told.add(other);
    shown.push({ finding, way: other === undefined ? "forward" : "both" });
  }
  for (const finding of backward.values()) if (!told.has(finding)) shown.push({ finding, way: "backward" });
  return shown;
}

const keyOf = ({ code, description, subject, old, new: newer }: Finding) =>
  JSON.stringify([code, description, subject, old, newer]);

/** One for each code and way. */
function linesOf(shown: readonly Shown[]): string[] {
  const groups = new Map<string, Shown[]>();
  for (const one of shown) {
    const key = `${one.finding.code} ${one.way}`;
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  return [...groups.values()].map((group) => {
    const [{ finding, way }] = group as [Shown];
    const whom = named(group.map((one) => one.finding));
    return `${arrows[way]}  ${finding.code}: ${whom}${conditionText(group.flatMap((one) => one.finding.conditions))}`;
  });
}

function named(findings: readonly Finding[]): string {
  const names = findings.flatMap((one) => (one.description === "" ? one.places.map(placeText) : [subjectText(one)]));
  const more = names.length - mostNamed;
  return `${names.slice(0, mostNamed).join("; ")}${more > 0 ? `; and ${more} more` : ""}`;
}

/** A subject with the classes that have it. */
function subjectText({ description, subject, places }: Finding): string {
  const classes = [...new Set(places.map(({ section }) => section))];
  const more = classes.length - mostNamed;
  const listed = `${classes.slice(0, mostNamed).join(", ")}${more > 0 ? `, and ${more} more` : ""}`;
  return `${nameOf({ description, subject })}${listed === description ? "" : ` (${listed})`}`;
}

/** A subsection's name begins with the description's. */
function nameOf({ description, subject }: Pick<Finding, "description" | "subject">): string {
  if (subject === "" || description === "") return description;
  return subject.startsWith(description) ? subject : `${description}#${subject}`;
}

const placeText = ({ section, path }: Finding["places"][number]) => (path === "" ? section : `${section}#${path}`);

const conditionTexts: Readonly<Record<Condition, string>> = {
  device: "the machine has the device",
  subsection: "the subsection is needed",
  test: "a field's test says yes",
  state: "it is not the state alone that differs",
};

function conditionText(conditions: readonly Condition[]): string {
  const distinct = [...new Set(conditions)];
  return distinct.length === 0 ? "" : `, if ${distinct.map((one) => conditionTexts[one]).join(" and ")}`;
}

function printAll(findings: readonly Finding[], terminal: Terminal): void {
  for (const finding of findings) {
    const { severity, code, direction, description, subject, old, new: newer, conditions, places } = finding;
    terminal.out();
    const of = nameOf({ description, subject });
    const head = `${severity}  ${arrows[direction].trim()}  ${code}${of === "" ? "" : `  ${of}`}`;
    terminal.out(terminal.style(colours[severity], head));
    terminal.out(`  ${checkCodes[code].says}${conditionText(conditions)}`);
    if (old !== "" || newer !== "") {
      terminal.out(`  old: ${old === "" ? "nothing" : old}`);
      terminal.out(`  new: ${newer === "" ? "nothing" : newer}`);
    }
    terminal.out(`  in: ${places.map(placeText).join(", ")}`);
    terminal.out(`  remedy: ${checkCodes[code].remedy}`);
  }
}

// What `godwit check` prints: short by default, every finding with its remedy with `--all`.

import {
  type CheckCode,
  type Condition,
  checkCodes,
  type Direction,
  type Finding,
  type Severity,
  severities,
} from "@godwit/core/compatibility";
import type { Style, Terminal } from "../io/terminal.ts";
import type { CheckResult } from "./check.ts";
import { linesOf } from "./lines.ts";

const colours: Readonly<Record<Severity, Style>> = {
  breaks: "red",
  "may break": "yellow",
  unknown: "cyan",
  harmless: "dim",
};

const arrows = { forward: "old -> new", backward: "new -> old" } as const;

/** Places and subjects that are named before "and N more". */
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
    for (const one of notCompared) print(one, "  ", terminal);
  }
}

function print(text: string, indent: string, terminal: Terminal): void {
  for (const line of linesOf(text, indent)) terminal.out(line);
}

function summary(findings: readonly Finding[]): string {
  const count = (severity: Severity) => findings.filter((one) => one.severity === severity).length;
  const [breaks = 0, mayBreak = 0, unknown = 0, harmless = 0] = severities.map(count);
  const worst = breaks === 0 ? "no certain break found" : `${breaks} break${breaks === 1 ? "s" : ""}`;
  return `${worst}; ${mayBreak} may break, ${unknown} unknown, ${harmless} harmless`;
}

/** What is certain or may happen, a paragraph for each kind; of the rest the codes. */
function printShort(findings: readonly Finding[], terminal: Terminal): void {
  for (const severity of ["breaks", "may break"] as const) {
    const groups = groupsOf(bothWays(findings.filter((one) => one.severity === severity)));
    if (groups.length === 0) continue;
    terminal.out();
    terminal.out(terminal.style(colours[severity], severity));
    for (const group of groups) printGroup(group, terminal);
  }
  if (findings.some(({ severity, conditions }) => severity === "may break" && conditions.includes("device"))) {
    terminal.out("  (each only if the machine has the device; --only-of STREAM looks at the devices of one machine)");
  }
  const rest = (["unknown", "harmless"] as const).flatMap((severity) => {
    const own = findings.filter((one) => one.severity === severity);
    return own.length === 0 ? [] : [`${severity}: ${[...new Set(own.map(({ code }) => code))].join(", ")}`];
  });
  if (rest.length === 0) return;
  terminal.out();
  for (const line of rest) print(line, "", terminal);
  terminal.out("(--all shows each with its places and remedy)");
}

interface Shown {
  readonly finding: Finding;
  /** The same change seen by the other direction. */
  readonly mirror: Finding | undefined;
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
    const mirror = backward.get(keyOf({ ...finding, code: mirrors[finding.code] ?? finding.code }));
    if (mirror !== undefined) told.add(mirror);
    shown.push({ finding, mirror });
  }
  for (const finding of backward.values()) if (!told.has(finding)) shown.push({ finding, mirror: undefined });
  return shown;
}

const keyOf = ({ code, description, subject, old, new: newer, conditions }: Finding) =>
  JSON.stringify([code, description, subject, old, newer, conditions]);

/** Together what has one code, one way and one condition. */
function groupsOf(shown: readonly Shown[]): Shown[][] {
  const groups = new Map<string, Shown[]>();
  for (const one of shown) {
    const { code, direction, conditions } = one.finding;
    const key = JSON.stringify([code, direction, one.mirror?.code, conditions]);
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  return [...groups.values()];
}

function printGroup(group: readonly Shown[], terminal: Terminal): void {
  const [{ finding, mirror }] = group as [Shown];
  const { code, direction, conditions, says } = finding;
  // That the machine must have the device is told once for all of them.
  const own = conditions.filter((one) => one !== "device");
  print(`${wayText(code, direction, mirror)}: ${says}${conditionText(own)}`, "  ", terminal);
  print(named(group.map((one) => one.finding)), "    ", terminal);
}

function wayText(code: CheckCode, direction: Direction, mirror: Finding | undefined): string {
  if (mirror === undefined) return `${arrows[direction]}  ${code}`;
  return mirror.code === code ? `both ways  ${code}` : `both ways  ${code} (new -> old: ${mirror.code})`;
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
  return conditions.length === 0 ? "" : `, if ${conditions.map((one) => conditionTexts[one]).join(" and ")}`;
}

function printAll(findings: readonly Finding[], terminal: Terminal): void {
  for (const finding of findings) {
    const { severity, code, direction, description, subject, old, new: newer, conditions, places } = finding;
    terminal.out();
    const of = nameOf({ description, subject });
    const head = `${severity}  ${arrows[direction]}  ${code}${of === "" ? "" : `  ${of}`}`;
    terminal.out(terminal.style(colours[severity], head));
    print(`${checkCodes[code].says}${conditionText(conditions)}`, "  ", terminal);
    if (old !== "" || newer !== "") {
      print(`old: ${old === "" ? "nothing" : old}`, "  ", terminal);
      print(`new: ${newer === "" ? "nothing" : newer}`, "  ", terminal);
    }
    print(`in: ${places.map(placeText).join(", ")}`, "  ", terminal);
    print(`remedy: ${checkCodes[code].remedy}`, "  ", terminal);
  }
}

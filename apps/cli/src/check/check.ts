// The comparison of two sides in both directions: a pure function over what was read.

import { type ClassChoice, compareClasses } from "./classes.ts";
import { type Severity, severities } from "./codes.ts";
import { type Direction, type Finding, grouped, type Remark } from "./finding.ts";
import type { CheckedClass, Side } from "./model.ts";
import { compareSeen } from "./seen.ts";

export interface CheckInit {
  /** Classes to look at, by their name or their description's; they are taken to be in the machine. */
  readonly devices?: ((name: string) => boolean) | undefined;
  /** Names of the descriptions of a machine's sections: only these are looked at. */
  readonly sections?: ReadonlySet<string> | undefined;
}

export interface CheckResult {
  readonly machines: { readonly old: string; readonly new: string };
  /** The worst first. */
  readonly findings: readonly Finding[];
  /** What could not be compared, as sentences. */
  readonly notCompared: readonly string[];
}

export function check(old: Side, newer: Side, init: CheckInit = {}): CheckResult {
  const choice = choiceOf(init);
  const remarks = [
    ...compareDirection(old, newer, "forward", choice),
    ...compareDirection(newer, old, "backward", choice),
  ];
  return {
    machines: { old: old.machine, new: newer.machine },
    findings: findingsOf(remarks),
    notCompared: notCompared(old, newer),
  };
}

/** The worst first, like remarks together. */
export function findingsOf(remarks: readonly Remark[]): Finding[] {
  return sorted(grouped(remarks));
}

function choiceOf({ devices, sections }: CheckInit): ClassChoice {
  const named = ({ name, description }: CheckedClass) =>
    devices === undefined || devices(name) || devices(description.name);
  const had = ({ description }: CheckedClass) => sections === undefined || sections.has(description.name);
  return { chosen: (one) => named(one) && had(one), present: devices !== undefined || sections !== undefined };
}

function compareDirection(writer: Side, reader: Side, direction: Direction, choice: ClassChoice): Remark[] {
  const remarks = compareClasses(writer, reader, direction, choice);
  // QEMU compares as many letters as the stream has: a received prefix passes.
  if (!reader.machine.startsWith(writer.machine)) {
    remarks.push({
      ...{ code: "MACHINE_NAME", direction, section: "configuration", path: "", description: "configuration" },
      ...{ subject: "", writer: writer.machine, reader: reader.machine, conditions: [] },
    });
  }
  remarks.push(...compareSeen(writer, reader, direction));
  return remarks;
}

function sorted(findings: readonly Finding[]): Finding[] {
  const rank = new Map<Severity, number>(severities.map((severity, i) => [severity, i]));
  const at = ({ severity, direction }: Finding) => (rank.get(severity) ?? 0) * 2 + (direction === "forward" ? 0 : 1);
  return [...findings].sort((a, b) => at(a) - at(b));
}

function notCompared(old: Side, newer: Side): string[] {
  const bare = [
    { side: old, name: "the old" },
    { side: newer, name: "the new" },
  ].filter(({ side }) => !side.counts && side.seen === undefined);
  return [
    ...(old.types && newer.types ? [] : ["types: no dump of QEMU holds them; --vmdesc and --vmdesc-new do"]),
    "priorities and what `needed` and existence tests say: they are in no dump",
    ...(bare.length > 0
      ? [
          `array counts: ${bare.length === 2 ? "neither" : bare[0]?.name} dump holds ${bare.length === 2 ? "any" : "none"} (QEMU before 10.0)`,
        ]
      : []),
    ...(old.seen !== undefined && newer.seen !== undefined
      ? []
      : [
          "sections of no device class, which no dump holds (cpu, cpu_common, timer, icp/server and others): " +
            "--vmdesc and --vmdesc-new show them",
        ]),
  ];
}

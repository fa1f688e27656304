// The comparison of two sides in both directions: a pure function over what was read.

import {
  compareClasses,
  type Direction,
  type Finding,
  findingsOf,
  type Remark,
  type Side,
} from "@godwit/core/compatibility";
import { type Choice, type ChoiceInit, choiceOf } from "./choice.ts";
import { compareSeen } from "./seen.ts";

export interface CheckResult {
  readonly machines: { readonly old: string; readonly new: string };
  /** The worst first. */
  readonly findings: readonly Finding[];
  /** What could not be compared, as sentences. */
  readonly notCompared: readonly string[];
}

export function check(old: Side, newer: Side, init: ChoiceInit = {}): CheckResult {
  const choice = choiceOf(init);
  const remarks = [
    ...compareDirection(old, newer, "forward", choice),
    ...compareDirection(newer, old, "backward", choice),
  ];
  return {
    machines: { old: old.machine, new: newer.machine },
    findings: findingsOf(remarks),
    notCompared: [...notCompared(old, newer), ...inNoDump(old, newer, init.sections)],
  };
}

function compareDirection(writer: Side, reader: Side, direction: Direction, choice: Choice): Remark[] {
  const remarks = compareClasses(writer, reader, direction, choice);
  // QEMU compares as many letters as the stream has: a received prefix passes.
  if (!reader.machine.startsWith(writer.machine)) {
    remarks.push({
      ...{ code: "MACHINE_NAME", direction, section: "configuration", path: "", description: "configuration" },
      ...{ subject: "", writer: writer.machine, reader: reader.machine, conditions: [] },
    });
  }
  remarks.push(...compareSeen(writer, reader, direction, choice.isSeenChosen));
  return remarks;
}

function notCompared(old: Side, newer: Side): string[] {
  const seen = old.seen !== undefined && newer.seen !== undefined;
  return [
    ...(old.types && newer.types ? [] : ["types: no dump of QEMU holds them; --vmdesc and --vmdesc-new do"]),
    ...(old.priorities && newer.priorities
      ? ["what `needed` and existence tests say: functions are in no dump"]
      : ["priorities and what `needed` and existence tests say: they are in no dump"]),
    ...withoutCounts(old, newer),
    ...(seen
      ? []
      : [
          "sections of no device class (cpu, timer, icp/server and others): no dump holds them; " +
            "--vmdesc and --vmdesc-new do",
        ]),
  ];
}

function withoutCounts(old: Side, newer: Side): string[] {
  const bare = [
    { side: old, name: "the old" },
    { side: newer, name: "the new" },
  ].filter(({ side }) => !side.counts && side.seen === undefined);
  const [first] = bare;
  if (first === undefined) return [];
  const which = bare.length === 2 ? "neither dump holds any" : `${first.name} dump holds none`;
  return [`array counts: ${which} (QEMU before 10.0)`];
}

/** Of a machine that is known by its sections alone; where a side has them, they are findings. */
function inNoDump(old: Side, newer: Side, sections: ReadonlySet<string> | undefined): string[] {
  if (sections === undefined || old.seen !== undefined || newer.seen !== undefined) return [];
  const held = new Set([old, newer].flatMap(({ classes }) => classes.map(({ description }) => description.name)));
  const others = [...sections].filter((name) => !held.has(name));
  return others.length === 0 ? [] : [`that machine's sections that neither dump holds: ${others.join(", ")}`];
}

// How a stream of one machine type is made one of another: what is edited, what is lost with that, how the destination must
// be started, and why it would be refused all the same.

import type { Side } from "@godwit/core/compatibility";
import { commands as knownCommands } from "@godwit/core/stream";
import type { Edit } from "../edit/edit.ts";
import { type DecodedSection, decoded, decodedTarget } from "./decoded.ts";
import { layoutRefusal } from "./layout.ts";
import { compareReleases, type MachineType, machineType, type Release, readsConfiguration } from "./machine.ts";
import { fieldRefusals } from "./machine-fields.ts";
import { planSections } from "./sections.ts";
import { targetNotes } from "./target-notes.ts";
import type { DestinationOption, Refusal, RetargetPlan, RetargetSource, RetargetTarget } from "./types.ts";
import { virtioOption } from "./virtio-options.ts";
import { vtdIdstr, vtdOption } from "./vtd-options.ts";

/** Tells a destination that the last bytes come; nothing in a stream of one channel depends on it (wire reference 9.1). */
const switchoverStart = 11;
/** Machine types from this one on send it. */
const switchoverSince: Release = [10, 0, 0];

/** A stream with it has its pages elsewhere in the file, and QEMU before 9.0 has no such capability. */
const mappedRam = "mapped-ram";

/**
 * `dump`: the destination's `-dump-vmstate`. `target`: what it has saved itself, which is better: a dump holds no
 * registers, no values, and not which devices there are.
 *
 * The stream can be edited where there are no refusals; without force only where all losses are safe, too.
 */
export function planRetarget(source: RetargetSource, dump: Side, target?: RetargetTarget): RetargetPlan {
  const from = machineType(source.configuration?.machineType ?? "");
  const to = machineType(dump.machine);
  const own = target && decodedTarget(target);
  const full = source.sections.filter(({ phase }) => phase === "full").map(decoded);
  const sections = planSections(full, dump, own);
  const { options, notes: unread } = optionsOf(full, to);
  const refusals = [
    ...machineRefusals(source, from, to),
    ...sections.refusals,
    ...full.flatMap((section) => fieldRefusals(section, to)),
    ...full.flatMap((section) => layoutRefusal(section, to, own) ?? []),
  ];
  const other = target?.configuration?.machineType;
  const notes = [
    ...(other === undefined || other === to.name
      ? []
      : [`the destination's own stream is of ${other}, its dump of ${to.name}`]),
    ...sections.notes,
    ...unread,
    ...targetNotes(full, own),
  ];
  if (refusals.length === 0 && sections.losses.every(({ safe }) => safe)) {
    notes.push(`no reason found in what was given why ${to.name} would refuse it${missing(target)}`);
  }
  return {
    machine: { source: from.name, destination: to.name },
    edits: [...machineEdits(from, to), ...commandEdits(source, to), ...sections.edits],
    losses: sections.losses,
    options,
    refusals,
    notes,
  };
}

function missing(target: RetargetTarget | undefined): string {
  if (target?.sections !== undefined) return "";
  return "; a dump does not tell which devices it has, nor their registers and features: a stream that it saves itself tells more (--target)";
}

function machineEdits(from: MachineType, to: MachineType): Edit[] {
  return from.name === to.name ? [] : [{ kind: "machine", name: to.name }];
}

function commandEdits({ commands }: RetargetSource, { release }: MachineType): Edit[] {
  const isKnown = release !== undefined && compareReleases(release, switchoverSince) >= 0;
  const isThere = commands.some(({ command }) => command === switchoverStart);
  return isThere && !isKnown ? [{ kind: "drop-command", command: switchoverStart }] : [];
}

function machineRefusals(
  { configuration, commands }: RetargetSource,
  from: MachineType,
  to: MachineType,
): readonly Refusal[] {
  const own = { section: undefined, register: undefined } as const;
  const machine = { ...own, kind: "machine", found: from.name || "none", destination: to.name } as const;
  const refusals: Refusal[] = [];
  if (configuration === undefined || !readsConfiguration(to)) {
    const why =
      "machine types up to 2.3 have streams without configuration and footers: no edit makes one of the other";
    if ((configuration === undefined) === readsConfiguration(to)) refusals.push({ ...machine, why });
  } else if (from.family !== to.family) {
    refusals.push({ ...machine, why: "these are two kinds of machine, not two releases of one" });
  }
  if (configuration?.capabilities.includes(mappedRam) === true) {
    const why = "`godwit convert` makes a plain stream of it, which can be edited";
    refusals.push({ ...own, kind: "capability", found: mappedRam, destination: "a plain stream", why });
  }
  for (const { command } of commands) {
    if (knownCommands[command] !== undefined) continue;
    const found = `command 0x${command.toString(16)}`;
    const why = "what it asks of the destination is not known, nor what dropping it would do";
    refusals.push({ ...own, kind: "capability", found, destination: "not known", why });
  }
  return refusals;
}

function optionsOf(
  full: readonly DecodedSection[],
  to: MachineType,
): { options: DestinationOption[]; notes: string[] } {
  const options: DestinationOption[] = [];
  const notes: string[] = [];
  for (const section of full) {
    if (section.head.idstr === vtdIdstr) {
      const { option, note } = vtdOption(section, to);
      if (option !== undefined) options.push(option);
      if (note !== undefined) notes.push(note);
    } else {
      const option = virtioOption(section, to);
      if (option !== undefined) options.push(option);
    }
  }
  return { options, notes };
}

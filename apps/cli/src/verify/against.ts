// Would a destination take the stream? What its dump tells, and what a stream that it saved tells beyond that. An answer is
// given where it is known, and what could not be looked at is said.

import type { CheckedDescription, Side } from "@godwit/core/compatibility";
import type { Vmdesc, VmdescDevice, VmdescField, VmdescMembers } from "@godwit/core/stream";
import type { Command, Section, StreamVisitor } from "../model/read-stream.ts";

export type AgainstCode =
  | "MACHINE_MISMATCH"
  | "COMMAND_UNKNOWN"
  | "SECTION_UNKNOWN"
  | "SECTION_VERSION"
  | "SUBSECTION_UNKNOWN"
  | "SUBSECTION_VERSION"
  | "FIELD_SIZE"
  | "FIELDS_DIFFER";

export interface Reason {
  readonly code: AgainstCode;
  readonly message: string;
  readonly section: string;
  readonly path: string;
  readonly expected: string;
  readonly found: string;
  readonly remedy: string;
}

/** The JSON form. */
export interface AgainstReport {
  readonly answer: "refused" | "no reason found";
  /** Each is enough for a refusal. */
  readonly reasons: readonly Reason[];
  /** What may be one: what was given does not decide it. */
  readonly doubts: readonly Reason[];
  readonly notChecked: readonly string[];
}

export interface Target {
  readonly dump: Side;
  /** Of a stream that the target saved with the machine's devices. */
  readonly vmdesc: Vmdesc | undefined;
  /** Its release, such as [7, 2]. */
  readonly release: readonly [major: number, minor: number] | undefined;
}

interface SectionSeen {
  readonly key: string;
  readonly idstr: string;
  readonly version: number;
  readonly listed: VmdescDevice | undefined;
  readonly isFull: boolean;
}

/** Collects what is asked about, while a stream is read. */
export class AgainstFacts implements StreamVisitor {
  machineType: string | undefined;
  readonly commands = new Map<number, string>();
  readonly sections = new Map<string, SectionSeen>();

  configuration({ machineType }: { readonly machineType: string }): void {
    this.machineType = machineType;
  }
  command({ command, name }: Command): void {
    this.commands.set(command, name);
  }
  section({ key, head, listed, phase }: Section): void {
    if (this.sections.has(key) && phase !== "full") return;
    const { idstr, version } = head;
    this.sections.set(key, { key, idstr, version, listed, isFull: phase === "full" });
  }
}

/** The commands that came after the first ones, and the release that first knew them. */
const commandSince: Readonly<Record<number, readonly [number, number]>> = { 11: [10, 0] };

const edit = "`godwit edit --retarget DUMP.json` makes the stream fit where no state is lost";

export function against(facts: AgainstFacts, target: Target): AgainstReport {
  const reasons: Reason[] = [];
  const doubts: Reason[] = [];
  machine(facts, target, reasons);
  commands(facts, target, reasons, doubts);
  const silent: string[] = [];
  for (const section of facts.sections.values()) {
    const known = descriptionsOf(section, target.dump);
    if (known.length === 0) silent.push(section.key);
    presence(section, known.length > 0, target, reasons, doubts);
    reasons.push(...fewest(known.map((description) => versions(section, description))));
    const described = fewest(known.map((description) => members(section, description)));
    reasons.push(...described);
    if (described.length === 0) byTarget(section, target, reasons, doubts);
  }
  return {
    answer: reasons.length > 0 ? "refused" : "no reason found",
    reasons,
    doubts,
    notChecked: notChecked(silent, target),
  };
}

/** QEMU compares as many characters as the stream has: a beginning of its own name passes. */
function machine({ machineType }: AgainstFacts, { dump }: Target, reasons: Reason[]): void {
  if (machineType === undefined || dump.machine.startsWith(machineType)) return;
  reasons.push({
    code: "MACHINE_MISMATCH",
    message: "the destination runs another machine type",
    section: "configuration",
    path: "name",
    expected: dump.machine,
    found: machineType,
    remedy: `start the destination with -machine ${machineType}, or rename the stream's: \`godwit edit --rename-machine ${dump.machine}\``,
  });
}

/** Machine types that are numbered by upstream's releases: the destination is of that one or a later one. */
const numberedMachine = /^(?:pc-i440fx|pc-q35|pseries|s390-ccw-virtio|virt)-(\d+)\.(\d+)$/;

const isAtLeast = (own: readonly [number, number], since: readonly [number, number]): boolean =>
  own[0] > since[0] || (own[0] === since[0] && own[1] >= since[1]);

function commands({ commands }: AgainstFacts, target: Target, reasons: Reason[], doubts: Reason[]): void {
  const { vmdesc, release, dump } = target;
  // From 8.2 on the configuration is listed.
  const newest =
    release ?? (vmdesc !== undefined && vmdesc.configuration === undefined ? ([8, 1] as const) : undefined);
  const [, major, minor] = numberedMachine.exec(dump.machine) ?? [];
  const oldest = release ?? (major === undefined ? undefined : ([Number(major), Number(minor)] as const));
  for (const [command, name] of commands) {
    const since = commandSince[command];
    if (since === undefined) continue;
    if (oldest !== undefined && isAtLeast(oldest, since)) continue;
    const reason: Reason = {
      code: "COMMAND_UNKNOWN",
      message: `the command ${name} came with QEMU ${since.join(".")}`,
      section: "command",
      path: "command",
      expected: "a command that the destination knows",
      found: `0x${command.toString(16)} ${name}`,
      remedy: `take it out: \`godwit edit --drop-command ${command}\`, or --retarget`,
    };
    if (newest !== undefined && !isAtLeast(newest, since)) reasons.push(reason);
    else
      doubts.push({
        ...reason,
        message: `${reason.message}, and the destination's release is not known (--target-qemu)`,
      });
  }
}

/** The classes whose section it could be: what stands before its name is a path. */
function descriptionsOf({ idstr, listed }: SectionSeen, { classes }: Side): readonly CheckedDescription[] {
  const own = listed?.vmsd_name;
  const found = classes
    .map(({ description }) => description)
    .filter(({ name }) => name === own || idstr === name || idstr.endsWith(`/${name}`));
  // The longest name is the device's: "virtio-net" ends other names as well.
  const longest = Math.max(0, ...found.map(({ name }) => name.length));
  return found.filter(({ name }) => name.length === longest);
}

function presence(section: SectionSeen, inDump: boolean, target: Target, reasons: Reason[], doubts: Reason[]): void {
  const { vmdesc } = target;
  // Iterables are in no vmdesc.
  if (vmdesc === undefined || !section.isFull || deviceOf(section, vmdesc) !== undefined) return;
  const reason: Reason = {
    code: "SECTION_UNKNOWN",
    message: "the stream that the destination saved has no such section",
    section: section.key,
    path: "idstr",
    expected: "a section that the destination registers",
    found: section.key,
    remedy: `add the device to the destination's command line, or take the section out: \`godwit edit --drop ${section.key}\``,
  };
  const isSentWhenNeeded = sectionsByNeed.test(section.idstr);
  if (isSentWhenNeeded || (inDump && !hasPath(section.idstr))) {
    doubts.push({ ...reason, message: `${reason.message}; it may be one that is sent only when needed` });
  } else reasons.push(reason);
}

/** Whole sections that a machine leaves out when there is nothing to say. */
const sectionsByNeed = /^(spapr_drc|spapr_drc\/physical)$/;

const hasPath = (idstr: string): boolean => idstr.includes("/") && /^(\d|pci@|\/)/.test(idstr);

const deviceOf = ({ key }: SectionSeen, { devices }: Vmdesc): VmdescDevice | undefined =>
  devices.find(({ name, instance_id }) => `${name}/${instance_id}` === key);

function versions({ key, version }: SectionSeen, { name, version: newest, minimum }: CheckedDescription): Reason[] {
  if (version <= newest && version >= minimum) return [];
  const tooNew = version > newest;
  return [
    {
      code: "SECTION_VERSION",
      message: `the section's version is too ${tooNew ? "new" : "old"} for the destination's ${name}`,
      section: key,
      path: "version_id",
      expected: `${minimum} to ${newest}`,
      found: String(version),
      remedy: tooNew ? edit : "load it in a QEMU that reads this version, and save it there again",
    },
  ];
}

/** What the section brought, as its vmdesc lists it, and what the destination's description has no place for. */
function members({ key, listed }: SectionSeen, description: CheckedDescription): Reason[] {
  return listed === undefined ? [] : compareMembers(key, "", listed, description);
}

function compareMembers(
  section: string,
  prefix: string,
  listed: Partial<VmdescMembers>,
  description: CheckedDescription,
): Reason[] {
  const reasons: Reason[] = [];
  for (const own of listed.subsections ?? []) reasons.push(...compareSubsection(section, prefix, own, description));
  for (const field of listed.fields ?? []) reasons.push(...compareField(section, prefix, field, description));
  return reasons;
}

function compareSubsection(
  section: string,
  prefix: string,
  own: VmdescMembers,
  { subsections, name }: CheckedDescription,
): Reason[] {
  const there = subsections.find((one) => one.name === own.vmsd_name);
  const path = `${prefix}${own.vmsd_name}`;
  if (there === undefined) {
    return [
      {
        code: "SUBSECTION_UNKNOWN",
        message: `the destination's ${name} has no such subsection`,
        section,
        path,
        expected: subsections.map((one) => one.name).join(", ") || "none",
        found: own.vmsd_name,
        remedy: `${edit}; \`godwit edit --drop ${section}#${own.vmsd_name}\` takes it out`,
      },
    ];
  }
  if (own.version > there.version || own.version < there.minimum) {
    return [
      {
        code: "SUBSECTION_VERSION",
        message: "the destination does not read this version of the subsection",
        section,
        path,
        expected: `${there.minimum} to ${there.version}`,
        found: String(own.version),
        remedy: edit,
      },
    ];
  }
  return compareMembers(section, `${path}.`, own, there);
}

/** Sizes of these are the same in memory, which a dump holds, and on the wire. */
const plainTypes = /^u?int(8|16|32|64)( equal| le)?$/;

function compareField(
  section: string,
  prefix: string,
  field: VmdescField,
  { fields, name }: CheckedDescription,
): Reason[] {
  const sameName = fields.filter((one) => one.name === field.name);
  if (sameName.length === 0) return [];
  const path = `${prefix}${field.name}`;
  if (field.struct !== undefined && "fields" in field.struct) {
    const [struct] = sameName;
    if (sameName.length !== 1 || struct?.description === undefined) return [];
    return compareMembers(section, `${path}.`, field.struct as VmdescMembers, struct.description);
  }
  const sizes = sameName.map(({ bytes }) => bytes);
  if (
    !plainTypes.test(field.type) ||
    sizes.includes(0) ||
    sizes.some((bytes) => bytes >= field.size && bytes % field.size === 0)
  ) {
    return [];
  }
  return [
    {
      code: "FIELD_SIZE",
      message: `the destination's ${name} has the field in another size`,
      section,
      path,
      expected: `${sizes.join(" or ")} bytes`,
      found: `${field.size} bytes`,
      remedy: "no edit mends this: use a QEMU whose machine type fits",
    },
  ];
}

/** Several classes may write sections of one name: which of them is in the machine is not known, so that the best counts. */
function fewest(lists: readonly (readonly Reason[])[]): readonly Reason[] {
  return lists.reduce((best, one) => (one.length < best.length ? one : best), lists[0] ?? []);
}

/**
 * With what the destination itself wrote for the same section. Names are not on the wire and change between releases: where
 * the fields have as many bytes, nothing is said.
 */
function byTarget(section: SectionSeen, { vmdesc }: Target, reasons: Reason[], doubts: Reason[]): void {
  const there = vmdesc && deviceOf(section, vmdesc);
  if (there === undefined || section.listed === undefined) return;
  const [ours, theirs] = [leavesOf(section.listed), leavesOf(there)];
  if (bytesOf(ours) === bytesOf(theirs)) return;
  const first = ours.findIndex((one, i) => one.bytes !== theirs[i]?.bytes);
  const at = first < 0 ? ours.length : first;
  const [mine, other] = [ours[at], theirs[at]];
  const reason: Reason = {
    code: "FIELDS_DIFFER",
    message: "the destination wrote other fields for this section",
    section: section.key,
    path: mine?.path ?? other?.path ?? "end",
    expected: other?.text ?? "no more fields",
    found: mine?.text ?? "no more fields",
    remedy: edit,
  };
  // How long a buffer is, and whether a field is there, may be the guest's doing; how long an integer is, is not.
  const isCertain = mine?.isPlain === true && mine.path === other?.path && section.listed.version === there.version;
  if (isCertain) reasons.push(reason);
  else doubts.push({ ...reason, message: `${reason.message}, which may be the guest's doing` });
}

interface Leaf {
  readonly path: string;
  readonly text: string;
  readonly bytes: number;
  readonly isPlain: boolean;
}

const bytesOf = (leaves: readonly Leaf[]): number => leaves.reduce((sum, { bytes }) => sum + bytes, 0);

function leavesOf(members: Partial<VmdescMembers>, prefix = ""): Leaf[] {
  return (members.fields ?? []).flatMap((field): Leaf[] => {
    const { name, index, type, size, array_len: count, struct } = field;
    const path = `${prefix}${name}${index === undefined ? "" : `[${index}]`}`;
    if (struct !== undefined && "fields" in struct && count === undefined) {
      return leavesOf(struct as VmdescMembers, `${path}.`);
    }
    const bytes = size * (count ?? 1);
    return [
      { path, text: `${path} ${type}, ${bytes} bytes`, bytes, isPlain: plainTypes.test(type) && count === undefined },
    ];
  });
}

function notChecked(silent: readonly string[], { vmdesc, release }: Target): string[] {
  const list = [
    "values: whether each register is one that the destination's device accepts",
    "RAM: names and sizes of the destination's blocks",
    "capabilities, and the devices' own settings (queues, features, sizes of PCI BARs)",
  ];
  if (vmdesc === undefined) list.push("which devices the destination's command line has (give --target)");
  if (release === undefined) list.push("commands and behaviour of the destination's release (give --target-qemu)");
  if (silent.length > 0) list.push(`sections of which the dump says nothing: ${silent.join(", ")}`);
  return list;
}

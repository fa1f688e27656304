// Who wrote a stream, as far as the stream itself can tell. Source of QEMU's releases: wire reference 1.8, 5.1, 8 and 9.1.
import { manifestOf, type Vmdesc, type VmdescField, type VmdescMembers } from "@godwit/core/stream";
import type { RamRecordCounts } from "@godwit/ram-dirty-tracker";
import type { Producer } from "./inspection.ts";

interface Evidence {
  readonly machineType: string | undefined;
  readonly capabilities: readonly string[];
  /** Of the stream itself, not a given one. */
  readonly vmdesc: Vmdesc | undefined;
  readonly commands: readonly string[];
  readonly records: RamRecordCounts;
}

interface Clue {
  readonly from?: string;
  readonly before?: string;
  readonly because: string;
}

/** Never more than the stream shows: where two clues contradict each other, or none is there, it is unknown. */
export function producerOf(evidence: Evidence): Producer {
  const manifest = evidence.vmdesc && manifestOf(evidence.vmdesc);
  if (manifest !== undefined) {
    const { producer, plugins } = manifest;
    return {
      kind: "godwit",
      ...producer,
      plugins: plugins.map(({ name, version }) => ({ name, version })),
      because: ["the vmdesc carries Godwit's manifest"],
    };
  }
  const clues = [...cluesOf(evidence)];
  const from = clues
    .flatMap((clue) => clue.from ?? [])
    .sort(compare)
    .at(-1);
  const before = clues.flatMap((clue) => clue.before ?? []).sort(compare)[0];
  const because = clues.map((clue) => clue.because);
  if (from !== undefined && before !== undefined && compare(from, before) >= 0) {
    return { kind: "unknown", because: [...because, "no release of QEMU fits all of this: was the stream edited?"] };
  }
  // Godwit's streams end with its manifest; one that ends otherwise may be anybody's.
  const kind = evidence.vmdesc === undefined ? "unknown" : "qemu";
  return { kind, ...(from !== undefined && { from }), ...(before !== undefined && { before }), because };
}

function* cluesOf({ machineType, capabilities, vmdesc, commands, records }: Evidence): Generator<Clue> {
  const machine = /^(?:pc-i440fx|pc-q35|pseries|s390-ccw-virtio|virt)-(\d+\.\d+)$/.exec(machineType ?? "")?.[1];
  if (machine !== undefined) yield { from: machine, because: `the machine type is of ${machine}` };
  if (capabilities.includes("mapped-ram")) yield { from: "9.0", because: "mapped-ram came with 9.0" };
  if (commands.includes("SWITCHOVER_START")) yield { from: "10.0", because: "SWITCHOVER_START came with 10.0" };
  if (records.mfflush !== undefined) yield { from: "8.1", because: "MULTIFD_FLUSH came with 8.1" };
  if (records.compress !== undefined) yield { before: "9.1", because: "compressed pages went with 9.1" };
  if (vmdesc === undefined) return;
  if (vmdesc.configuration === undefined) {
    yield { before: "8.2", because: "the vmdesc does not list the configuration, as it does from 8.2 on" };
  } else {
    yield { from: "8.2", because: "the vmdesc lists the configuration, as it does from 8.2 on" };
  }
  const numbered = lastIsNumbered(vmdesc);
  if (numbered === true) {
    yield { before: "10.0", because: "the vmdesc numbers an array's last element, as it does before 10.0" };
  } else if (numbered === false) {
    yield { from: "10.0", because: "the vmdesc does not number an array's last element, as it does before 10.0" };
  }
}

/** Undefined where no array's elements are listed one by one. */
function lastIsNumbered({ devices }: Vmdesc): boolean | undefined {
  for (const device of devices) {
    const found = lastOf(device as Partial<VmdescMembers>);
    if (found !== undefined) return found;
  }
  return undefined;
}

function lastOf({ fields = [], subsections = [] }: Partial<VmdescMembers>): boolean | undefined {
  for (const [i, { name, index }] of fields.entries()) {
    if (index === undefined || index === 0 || fields[i - 1]?.name !== name) continue;
    const next: VmdescField | undefined = fields[i + 1];
    if (next?.name !== name) return true;
    if (next.index === undefined) return false;
  }
  for (const inside of [...fields.map(({ struct }) => (struct ?? {}) as Partial<VmdescMembers>), ...subsections]) {
    const found = lastOf(inside);
    if (found !== undefined) return found;
  }
  return undefined;
}

function compare(a: string, b: string): number {
  const [majorA = 0, minorA = 0] = a.split(".").map(Number);
  const [majorB = 0, minorB = 0] = b.split(".").map(Number);
  return majorA - majorB || minorA - minorB;
}

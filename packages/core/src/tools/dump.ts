// Descriptions in the form of QEMU's `-dump-vmstate`, so that what compares dumps can compare ours. Source: the dumps that
// QEMU 7.2 and 10.0 print.
import { MigrationError } from "../errors.ts";
import type { Count, Description, Priority, Scope } from "../vmstate/types.ts";
import { descriptionIn, type FieldOutline, type Form, fixed, fixedBytes, outlineOf } from "./outline.ts";

/** The top level: `vmschkmachine`, then the descriptions by name. */
export type Dump = Readonly<Record<string, DumpSection | DumpMachine>>;

export interface DumpMachine {
  readonly Name: string;
}

export interface DumpSection {
  /** QEMU: the device's type. Ours have no types but their descriptions, and say the description's name. */
  readonly Name: string;
  readonly version_id: number;
  readonly minimum_version_id: number;
  readonly Description: DumpDescription;
}

export interface DumpDescription {
  readonly name: string;
  readonly version_id: number;
  readonly minimum_version_id: number;
  /** In the order of the wire. Left out where there are none, as the subsections are. */
  readonly Fields?: readonly DumpField[];
  readonly Subsections?: readonly DumpDescription[];
  readonly godwit?: DumpDescriptionMore;
}

export interface DumpField {
  /** The wire's name; of padding, `unused`. */
  readonly field: string;
  /** The first version that has it; 0 where that is not its condition. */
  readonly version_id: number;
  /** Whether a function of the record decides if it is there. */
  readonly field_exists: boolean;
  /** Of an array whose number of elements is always the same. QEMU 7.2 does not print it. */
  readonly num?: number;
  /**
   * Bytes of one element. QEMU: in memory, which for integers and buffers is as on the wire and for a struct is not; ours: on
   * the wire. 0 where the description does not fix it; `godwit.bytes` says why.
   */
  readonly size: number;
  readonly Description?: DumpDescription;
  readonly godwit?: DumpFieldMore;
}

/** What a dump of QEMU lacks, of a description. */
export interface DumpDescriptionMore {
  /** Present where a stream's vmdesc is all that is known: see `dumpSectionOfVmdesc`. What follows is then missing. */
  readonly by?: "vmdesc";
  readonly priority?: Priority;
  /** Sent before the first page. */
  readonly earlySetup?: boolean;
  readonly unmigratable?: string;
  /** `record`: a function of the state decides whether the section is sent. Of a subsection it always may. */
  readonly sent?: "always" | "record";
  /** It stands around this place, and is not spelled out once more. */
  readonly recursive?: true;
}

/** What a dump of QEMU lacks, of a field. */
export interface DumpFieldMore {
  readonly by?: "vmdesc";
  /** The name in a state, where the wire has another. */
  readonly key?: string;
  /** As a vmdesc says. */
  readonly type: string;
  readonly since?: number;
  readonly until?: number;
  readonly mustExist?: true;
  /**
   * How many elements: always as many, as many as an earlier field of that key says, or what a function of the record says.
   */
  readonly count?: number | { readonly field: string } | "record";
  /** Of one element; `record`: it depends on the record. */
  readonly bytes: number | { readonly field: string } | "record";
  /** Of a pointer array: some elements may be null. */
  readonly nulls?: true;
  /** What a check accepts, in words, where that does not depend on the record. */
  readonly checks?: readonly string[];
  /** The version that a vstruct is read in. */
  readonly version?: number;
}

export interface DumpOptions {
  /** False: nothing but what QEMU's form has. The default is true. */
  readonly more?: boolean;
}

/**
 * The dump of descriptions as a machine's. Two of one name that say the same stand once; of two that differ, the later key
 * ends in `~2`. A name that no dump can hold (`vmschkmachine`) is `DEFINITION_INVALID`.
 */
export function dumpOf(descriptions: readonly Description[], machine: string, options: DumpOptions = {}): Dump {
  const dumper = new Dumper(options.more ?? true);
  const dump: Record<string, DumpSection | DumpMachine> = { vmschkmachine: { Name: machine } };
  for (const description of descriptions) {
    const { name, version, minimumVersion } = description;
    const section: DumpSection = {
      Name: name,
      version_id: version,
      minimum_version_id: minimumVersion,
      Description: dumper.description(description, description.needed === undefined ? "always" : "record", []),
    };
    if (name === "vmschkmachine" || name === "__proto__") {
      throw new MigrationError("DEFINITION_INVALID", `a dump cannot hold a description named "${name}"`);
    }
    const text = JSON.stringify(section);
    for (let times = 1; ; times++) {
      const key = times === 1 ? name : `${name}~${times}`;
      if (!Object.hasOwn(dump, key)) dump[key] = section;
      if (dump[key] === section || JSON.stringify(dump[key]) === text) break;
    }
  }
  return dump;
}

class Dumper {
  readonly #more: boolean;

  constructor(more: boolean) {
    this.#more = more;
  }

  description(description: Description, sent: "always" | "record", around: readonly Description[]): DumpDescription {
    const { name, version, minimumVersion, subsections } = description;
    const isRecursive = around.includes(description);
    const within = [...around, description];
    const fields = isRecursive ? [] : outlineOf(description).flatMap((one) => this.#field(one, within));
    const parts = isRecursive ? [] : Object.values(subsections);
    const more: DumpDescriptionMore = {
      priority: description.priority,
      earlySetup: description.earlySetup,
      ...(description.unmigratable !== undefined && { unmigratable: description.unmigratable }),
      sent,
      ...(isRecursive && { recursive: true as const }),
    };
    return {
      name,
      version_id: version,
      minimum_version_id: minimumVersion,
      ...(fields.length > 0 && { Fields: fields }),
      ...(parts.length > 0 && {
        Subsections: parts.map((part) => this.description(part.description, "record", within)),
      }),
      ...(this.#more && { godwit: more }),
    };
  }

  #field(outline: FieldOutline, around: readonly Description[]): DumpField[] {
    const { form, name, since, tested, until } = outline;
    if (form === undefined) return [];
    const { element, count } = countedOf(form);
    const num = count === undefined ? undefined : fixed(count);
    const inner = descriptionIn(element);
    return [
      {
        field: name,
        version_id: since ?? 0,
        field_exists: tested || until !== undefined,
        ...(num !== undefined && { num }),
        size: fixedBytes(element) ?? 0,
        ...(inner !== undefined && { Description: this.description(inner, "always", around) }),
        ...(this.#more && { godwit: moreOf(outline, form) }),
      },
    ];
  }
}

interface Counted {
  readonly element: Form;
  readonly count: Count | undefined;
}

function countedOf(form: Form): Counted {
  if (form.kind !== "array" && form.kind !== "pointers") return { element: form, count: undefined };
  return { element: form.element, count: form.count };
}

function moreOf(outline: FieldOutline, form: Form): DumpFieldMore {
  const { key, name, type, since, until, mustExist, checks } = outline;
  const { element, count } = countedOf(form);
  const texts = checks.flatMap(({ expected }) => textOf(expected) ?? []);
  return {
    ...(key !== name && { key }),
    type,
    ...(since !== undefined && { since }),
    ...(until !== undefined && { until }),
    ...(mustExist && { mustExist: true as const }),
    ...(count !== undefined && { count: said(count) }),
    bytes: fixedBytes(element) ?? sizeSaid(element),
    ...(form.kind === "pointers" && { nulls: true as const }),
    ...(texts.length > 0 && { checks: texts }),
    ...(element.kind === "struct" && element.version !== undefined && { version: element.version }),
  };
}

/** What a check says that it expects; undefined where it needs a record to say it. */
export function textOf(expected: FieldOutline["checks"][number]["expected"]): string | undefined {
  try {
    return expected(noScope);
  } catch {
    return undefined;
  }
}

/** Answers nothing: a text that is made from it would be about no record. */
const noScope: Scope = {
  get record(): never {
    throw new Error("no record");
  },
  get parent(): never {
    throw new Error("no record");
  },
  get version(): never {
    throw new Error("no record");
  },
};

function said(count: Count): number | { readonly field: string } | "record" {
  if (typeof count === "number") return count;
  return typeof count === "string" ? { field: count } : "record";
}

function sizeSaid(form: Form): { readonly field: string } | "record" {
  const size = form.kind === "bytes" || form.kind === "unused" ? form.size : undefined;
  return typeof size === "string" ? { field: size } : "record";
}

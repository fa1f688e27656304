// Reads a stream and gathers what `inspect` shows. A fault ends the reading; what came before it is kept.
import { isMigrationError, MigrationError } from "@godwit/core";
import { type Configuration, manifestOf, type Vmdesc } from "@godwit/core/stream";
import { CliFault, type FaultReport, reportOf } from "../faults.ts";
import { type CheckpointPlace, openInput } from "../io/input.ts";
import type { Terminal } from "../io/terminal.ts";
import type { Catalogue, Described } from "../model/catalogue.ts";
import { sectionMatcher } from "../model/glob.ts";
import { type ReadOptions, readStream, type Section, type StreamRead } from "../model/read-stream.ts";
import { inspectedCommand } from "./commands.ts";
import type { DescribedBy, InspectedCommand, InspectedSection, Inspection, Place } from "./inspection.ts";
import { notesOf } from "./notes.ts";
import { producerOf } from "./producer.ts";
import { RamCounter } from "./ram-census.ts";
import type { ValuesOf } from "./values.ts";

export interface Selection {
  /** Globs; values are shown where one of the two is given. */
  readonly sections: readonly string[];
  readonly paths: readonly string[];
  readonly redact: boolean;
  /** Every description is tried on its section, not only those of sections whose values are asked for. */
  readonly all: boolean;
}

interface Collected {
  readonly inspection: Inspection;
  /** What ended the reading. */
  readonly fault: unknown;
}

/** Throws what is no fault of a stream that began: a file that cannot be opened, a wrong kind of file. */
export async function collect(
  path: string,
  options: ReadOptions,
  selection: Selection,
  terminal: Terminal,
): Promise<Collected> {
  try {
    return await collectNamed(path, options, selection, terminal);
  } catch (error) {
    if (!selection.redact) throw error;
    if (error instanceof CliFault) throw withoutName(error, path);
    throw isMigrationError(error) ? withoutFound(error) : error;
  }
}

/** What was found are bytes of the stream. */
function withoutFound({ code, detail, location }: MigrationError): MigrationError {
  return new MigrationError(code, detail, location);
}

/** The same fault of a stream whose name is left out. */
function withoutName({ code, message, exit, hint, place, cause }: CliFault, name: string): CliFault {
  // FILE#RECORDING names both; a fault may be of the file.
  const names = [name, name.replace(/#[^#]*$/, "")];
  const told = (text: string): string => names.reduce((rest, one) => rest.replaceAll(one, "the stream"), text);
  return new CliFault(code, told(message), { exit, hint: hint && told(hint), place, cause });
}

async function collectNamed(
  path: string,
  options: ReadOptions,
  selection: Selection,
  terminal: Terminal,
): Promise<Collected> {
  const input = await openInput(path, terminal);
  try {
    const hasValues = selection.sections.length > 0 || selection.paths.length > 0;
    const values = hasValues ? (await import("./values.ts")).valuesOf(selection.paths, selection.redact) : undefined;
    const collector = new Collector(selection, options.catalogue, values);
    const progress = terminal.progress(`reading ${input.name}`, input.sizeBytes);
    const { visitor, ram } = collector;
    let read: StreamRead | undefined;
    let fault: unknown;
    try {
      const describes = hasValues || selection.all;
      read = await readStream(input, { ...options, progress, describes, ram: ram.walk }, visitor);
    } catch (error) {
      progress.end();
      if (!collector.hasBegun || !(isMigrationError(error) || (error instanceof CliFault && error.exit === 1)))
        throw error;
      fault = error;
    }
    const { wrapper, checkpoint } = input;
    const stream = {
      name: selection.redact ? null : input.name,
      compression: input.compression,
      bytes: read?.bytes ?? null,
      wrapper:
        wrapper === undefined
          ? null
          : {
              kind: wrapper.kind,
              headerBytes: wrapper.headerBytes,
              domain: selection.redact ? null : (wrapper.domain ?? null),
            },
      checkpoint: checkpoint === undefined ? null : checkpointOf(checkpoint, selection.redact),
    };
    return { inspection: collector.inspection(stream, read, fault, options, input.name), fault };
  } finally {
    input.close();
  }
}

/** Names and times are those of a customer's machine: with `--redact` the recordings are numbered. */
export function checkpointOf(
  { recording, recordings }: CheckpointPlace,
  redact: boolean,
): Inspection["stream"]["checkpoint"] {
  const nameOf = (name: string): string =>
    redact ? String(recordings.findIndex((one) => one.name === name) + 1) : name;
  return {
    recording: nameOf(recording),
    recordings: recordings.map(({ name, createdMs, machine, streamBytes, pages, newPages }) => ({
      name: nameOf(name),
      created: redact ? null : new Date(createdMs).toISOString(),
      machineType: machine,
      streamBytes,
      pages,
      newPages,
    })),
  };
}

class Collector {
  readonly ram = new RamCounter();
  readonly #selection: Selection;
  readonly #sections: InspectedSection[] = [];
  readonly #commands: InspectedCommand[] = [];
  #configuration: { readonly of: Configuration; readonly place: Place } | undefined;
  #ahead: Vmdesc | undefined;
  #vmdesc: { readonly of: Vmdesc; readonly place: Place } | undefined;
  #eofOffset: number | undefined;
  readonly #wantsSection: (section: Section) => boolean;
  readonly #catalogue: Catalogue;
  readonly #valuesOf: ValuesOf | undefined;

  constructor(selection: Selection, catalogue: Catalogue, valuesOf: ValuesOf | undefined) {
    this.#selection = selection;
    this.#catalogue = catalogue;
    this.#valuesOf = valuesOf;
    const matchers = selection.sections.map(sectionMatcher);
    this.#wantsSection = ({ head }) => matchers.length === 0 || matchers.some((matches) => matches(head));
  }

  readonly visitor = {
    vmdescAhead: (vmdesc: Vmdesc): void => {
      this.#ahead = vmdesc;
    },
    configuration: (of: Configuration, { offset, bytes }: Place): void => {
      this.#configuration = { of, place: { offset, bytes } };
    },
    section: (section: Section): void => void this.#sections.push(this.#inspected(section)),
    command: (command: Parameters<typeof inspectedCommand>[0]): void =>
      void this.#commands.push(inspectedCommand(command)),
    eof: (offset: number): void => {
      this.#eofOffset = offset;
    },
    vmdesc: (of: Vmdesc, { offset, bytes }: Place): void => {
      this.#vmdesc = { of, place: { offset, bytes } };
    },
  };

  get hasBegun(): boolean {
    return this.#configuration !== undefined || this.#sections.length > 0 || this.#commands.length > 0;
  }

  #inspected(section: Section): InspectedSection {
    const { head, phase, offset, bytes, bodyBytes, delimitedBy, body } = section;
    const place = { ...head, phase, offset, bytes, bodyBytes, delimitedBy };
    const hasValues = this.#valuesOf !== undefined && body !== undefined && this.#wantsSection(section);
    // Finding a description's parameters costs more than the walk over RAM.
    if (!hasValues && !this.#selection.all) {
      return { ...place, describedBy: describedBy(section, this.#catalogue.knows(head.idstr)) };
    }
    const { described } = section;
    const own = isMigrationError(described) ? described : undefined;
    const { fields = [], fault = own } = hasValues ? (this.#valuesOf?.(section) ?? {}) : {};
    return {
      ...place,
      describedBy: describedBy(section, described),
      ...(fields.length > 0 && { fields }),
      ...(fault !== undefined && { fault: this.#report(fault) }),
    };
  }

  #report(error: MigrationError): FaultReport {
    return this.#told(reportOf(error).report, "");
  }

  /** A message may tell what was found in the stream, and the file's name. */
  #told(report: FaultReport, inputName: string): FaultReport {
    if (!this.#selection.redact) return report;
    const { expected: _expected, found: _found, message, hint, ...rest } = report;
    const nameless = (text: string): string => (inputName === "" ? text : text.replaceAll(inputName, "the stream"));
    return { ...rest, message: nameless(message), ...(hint !== undefined && { hint: nameless(hint) }) };
  }

  inspection(
    stream: Inspection["stream"],
    read: StreamRead | undefined,
    fault: unknown,
    { givenVmdesc }: ReadOptions,
    inputName: string,
  ): Inspection {
    const { redact } = this.#selection;
    const configuration = this.#configuration?.of;
    const vmdesc = this.#vmdesc?.of ?? this.#ahead;
    const ram = this.ram.census(
      read?.pageBytes ?? pageBytesOf(configuration, vmdesc ?? givenVmdesc),
      read !== undefined,
    );
    const inspection: Inspection = {
      stream,
      machineType: configuration?.machineType ?? null,
      producer: producerOf({
        machineType: configuration?.machineType,
        capabilities: configuration?.capabilities ?? [],
        vmdesc: manifestIsSound(vmdesc) ? vmdesc : undefined,
        commands: this.#commands.map(({ name }) => name),
        records: ram?.records ?? {},
      }),
      capabilities: configuration?.capabilities ?? [],
      uuid: configuration?.uuid === undefined ? null : redact ? "redacted" : uuidText(configuration.uuid),
      configuration: this.#configuration?.place ?? null,
      ram: ram ?? null,
      sections: this.#sections,
      commands: this.#commands,
      eof: this.#eofOffset === undefined ? null : { offset: this.#eofOffset },
      vmdesc: this.#vmdesc?.place ?? null,
      notes: [],
      ...(fault !== undefined && { error: this.#told(reportOf(fault).report, inputName) }),
    };
    return { ...inspection, notes: notesOf(inspection, this.#selection) };
  }
}

/** `plugin`: the one that is meant for it, tried or by name alone. */
function describedBy(section: Section, plugin: Described | MigrationError | string | undefined): DescribedBy | null {
  const { phase, head, listed, delimitedBy, ram } = section;
  if (ram !== undefined) {
    const walker = "@godwit/ram-dirty-tracker";
    return { kind: "plugin", plugin: walker, description: head.idstr, version: head.version, dialect: null };
  }
  if (phase !== "full") return { kind: "walker" };
  if (typeof plugin === "string") return { kind: "plugin", plugin, description: null, version: null, dialect: null };
  if (plugin !== undefined && !isMigrationError(plugin)) {
    const { name, version } = plugin.description;
    const dialect = (plugin.parameters as { readonly dialect?: unknown } | undefined)?.dialect;
    return {
      kind: "plugin",
      plugin: plugin.plugin,
      description: name,
      version,
      dialect: typeof dialect === "string" ? dialect : null,
    };
  }
  const isListed = listed?.fields !== undefined || listed?.subsections !== undefined;
  return isListed ? { kind: "vmdesc", given: delimitedBy === "given-vmdesc" } : null;
}

function manifestIsSound(vmdesc: Vmdesc | undefined): boolean {
  try {
    if (vmdesc !== undefined) manifestOf(vmdesc);
    return true;
  } catch (error) {
    if (isMigrationError(error)) return false;
    throw error;
  }
}

function pageBytesOf(configuration: Configuration | undefined, vmdesc: Vmdesc | undefined): number {
  const bits = configuration?.pageBits ?? 0;
  return bits > 0 ? 2 ** bits : (vmdesc?.page_size ?? 4096);
}

function uuidText(bytes: Uint8Array): string {
  const digits = Buffer.from(bytes).toString("hex");
  return [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20)].join(
    "-",
  );
}

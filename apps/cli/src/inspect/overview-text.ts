// The overview of a stream as text: what it is, its RAM, and its sections and commands in the order of the wire.
import { sizeText } from "../io/size.ts";
import type { Terminal } from "../io/terminal.ts";
import { describedText } from "./described-text.ts";
import {
  type InspectedCommand,
  type InspectedSection,
  type Inspection,
  type Producer,
  pageKinds,
} from "./inspection.ts";
import { type Column, tableLines } from "./table.ts";

const left = (title: string): Column => ({ title, align: "left" });
const right = (title: string): Column => ({ title, align: "right" });

export function overviewLines(inspection: Inspection, all: boolean, terminal: Terminal): string[] {
  const titled = ([title = "", ...rows]: string[]): string[] => [terminal.style("bold", title), ...rows];
  return [
    ...headLines(inspection, true),
    ...(inspection.ram === null ? [] : ["", ...titled(ramLines(inspection.ram))]),
    "",
    ...titled(elementLines(inspection, all)),
  ];
}

type Checkpoint = NonNullable<Inspection["stream"]["checkpoint"]>;

/** The recording that is shown is marked. */
function recordingFacts({ recording, recordings }: Checkpoint): (readonly [string, string])[] {
  return recordings.map(({ name, created, machineType, streamBytes, pages, newPages }, i) => [
    i === 0 ? "recordings" : "",
    `${name === recording ? "*" : " "} ${name}, ${created === null ? "" : `${created}, `}${machineType}, ${sizeText(streamBytes)}, ${newPages} of ${pages} pages new`,
  ]);
}

export function headLines(
  { stream, machineType, producer, capabilities, uuid, ram }: Inspection,
  withReasons: boolean,
): string[] {
  const facts: (readonly [string, string] | undefined)[] = [
    ["stream", [stream.name ?? "(left out)", ...(stream.bytes === null ? [] : [sizeText(stream.bytes)])].join(", ")],
    stream.wrapper === null
      ? undefined
      : ["wrapper", `libvirt${stream.wrapper.domain === null ? "" : `, domain ${stream.wrapper.domain}`}`],
    ...(stream.checkpoint === null ? [] : recordingFacts(stream.checkpoint)),
    ["machine", machineType ?? "not told"],
    ["producer", producerText(producer)],
    ...(withReasons ? producer.because.map((why) => ["", why] as const) : []),
    capabilities.length === 0 ? undefined : ["capabilities", capabilities.join(", ")],
    uuid === null ? undefined : ["uuid", uuid === "redacted" ? "(left out)" : uuid],
    ram === null ? undefined : ["page", `${ram.pageBytes} bytes`],
  ];
  return facts.flatMap((fact) => (fact === undefined ? [] : [`${fact[0].padEnd(12)}  ${fact[1]}`]));
}

function producerText({ kind, name, version, from, before, plugins = [] }: Producer): string {
  if (kind === "godwit") {
    const who = name === undefined ? "Godwit" : `${name} ${version}`;
    return plugins.length === 0 ? who : `${who}, with ${plugins.map((one) => `${one.name} ${one.version}`).join(", ")}`;
  }
  const releases = [
    from === undefined ? undefined : `${from} or later`,
    before === undefined ? undefined : `before ${before}`,
  ];
  const which = releases.filter((one) => one !== undefined).join(", ");
  if (kind === "qemu") return `QEMU ${which}`.trimEnd();
  return which === "" ? "not known" : `not known; if QEMU, ${which}`;
}

function ramLines({ blocks, bytes, records }: NonNullable<Inspection["ram"]>): string[] {
  const kinds = pageKinds.filter((kind) => blocks.some((block) => block.records[kind] > 0));
  const isElsewhere = blocks.some(({ pagesElsewhere }) => pagesElsewhere > 0);
  const columns = [
    left("RAM block"),
    right("bytes"),
    right("pages"),
    ...kinds.map((kind) => right(kind)),
    ...(isElsewhere ? [right("not here")] : []),
  ];
  const rows = blocks.map((block) => [
    block.idstr,
    String(block.bytes),
    String(block.pages),
    ...kinds.map((kind) => String(block.records[kind])),
    ...(isElsewhere ? [String(block.pagesElsewhere)] : []),
  ]);
  const control = (["eos", "mfflush"] as const).flatMap((kind) => (records[kind] ? [`${records[kind]} ${kind}`] : []));
  return [...tableLines(columns, rows), `${sizeText(bytes)} in all; other records: ${control.join(", ") || "none"}`];
}

const elementColumns = [
  right("offset"),
  right("bytes"),
  left("section"),
  right("version"),
  left("phase"),
  left("end told by"),
  left("described by"),
];

function elementLines(inspection: Inspection, all: boolean): string[] {
  const { configuration, sections, commands, eof, vmdesc } = inspection;
  const rows: { readonly offset: number; readonly cells: readonly string[] }[] = [
    ...(configuration === null
      ? []
      : [{ offset: configuration.offset, cells: place(configuration, "(configuration)") }]),
    ...(all ? sections.map((section) => sectionRow(section)) : foldedParts(sections, commands)),
    ...commands.map(commandRow),
    ...(eof === null ? [] : [{ offset: eof.offset, cells: place({ offset: eof.offset, bytes: 1 }, "(end)") }]),
    ...(vmdesc === null ? [] : [{ offset: vmdesc.offset, cells: place(vmdesc, "(vmdesc)") }]),
  ];
  return tableLines(
    elementColumns,
    rows.sort((a, b) => a.offset - b.offset).map(({ cells }) => cells),
  );
}

const place = ({ offset, bytes }: { readonly offset: number; readonly bytes: number }, name: string): string[] => [
  String(offset),
  String(bytes),
  name,
];

const headerBytes = 5;

function commandRow({ offset, name, detail, payloadBytes }: InspectedCommand) {
  return {
    offset,
    cells: place({ offset, bytes: headerBytes + payloadBytes }, `(command) ${name} ${detail}`.trimEnd()),
  };
}

function sectionRow(section: InspectedSection, count = 1) {
  const { offset, bytes, idstr, instance, version, phase, delimitedBy, describedBy, fault } = section;
  const by = describedText(describedBy);
  return {
    offset,
    cells: [
      ...place({ offset, bytes }, `${idstr}/${instance}`),
      String(version),
      count > 1 ? `${phase} x${count}` : phase,
      delimitedBy,
      fault === undefined ? by : `${by}; ${fault.code}`,
    ],
  };
}

/** The PARTs of a section between two other elements are one row: where they begin, how many they are, their bytes. */
function foldedParts(sections: readonly InspectedSection[], commands: readonly InspectedCommand[]) {
  const rows: ReturnType<typeof sectionRow>[] = [];
  const open = new Map<number, { section: InspectedSection; count: number; bytes: number }>();
  const close = (): void => {
    for (const { section, count, bytes } of open.values()) rows.push(sectionRow({ ...section, bytes }, count));
    open.clear();
  };
  let nextCommand = 0;
  for (const section of sections) {
    for (; (commands[nextCommand]?.offset ?? Number.POSITIVE_INFINITY) < section.offset; nextCommand++) close();
    if (section.phase !== "part") {
      close();
      rows.push(sectionRow(section));
      continue;
    }
    const run = open.get(section.sectionId);
    if (run === undefined) open.set(section.sectionId, { section, count: 1, bytes: section.bytes });
    else {
      run.count++;
      run.bytes += section.bytes;
    }
  }
  close();
  return rows;
}

// A stream made anew: each described section from its decoded state, RAM by our own encoder, everything in its order.
import { buffer, type Description, decodeState, toState, vmstate } from "@godwit/core";
import { StreamWriter } from "@godwit/core/stream";
import { describe } from "godwit/catalogue";
import { type OpenStream, openStream, type RawSection, sampleOf } from "./open.ts";
import { ramEncoder } from "./ram.ts";

export interface RebuildOptions {
  /** Changes a decoded state on its way, in place. */
  readonly edit?: (idstr: string, state: Record<string, unknown>) => void;
  /** Changes RAM on its way, in place. */
  readonly editRam?: (blocks: ReadonlyMap<string, Uint8Array>) => void;
  /** Another machine type in the configuration. */
  readonly machineType?: string;
  /** Which of the source's commands go along; all, if not given. */
  readonly commands?: (command: number) => boolean;
  readonly dialect?: "7.2" | "10.0";
}

export interface Rebuilt {
  readonly bytes: Uint8Array;
  /** Sections that went through a state, by idstr. */
  readonly described: readonly string[];
  /** Sections that nothing of ours describes: carried as they were. */
  readonly carried: readonly string[];
}

const partBytes = 8 << 20;

/** What makes the list of blocks another one. */
const listCapabilities: ReadonlySet<string> = new Set(["mapped-ram", "x-ignore-shared"]);

export function rebuild(stream: Uint8Array, options: RebuildOptions = {}): Rebuilt {
  const open = openStream(stream);
  const { missingPages } = open.ram;
  if (missingPages > 0) throw new Error(`the stream lacks ${missingPages} pages: by channels, or in shared memory`);
  options.editRam?.(open.ram.blocks);
  const described: string[] = [];
  const carried: string[] = [];
  const { dialect = "7.2" } = options;
  const out = new StreamWriter({ dialect, pageBytes: open.ram.pageBytes, roomBytes: stream.length });
  out.header();
  const { machineType, capabilities } = open.configuration;
  out.configuration({
    ...open.configuration,
    machineType: options.machineType ?? machineType,
    // Pages go out as records, wherever they were.
    capabilities: capabilities.filter((capability) => !listCapabilities.has(capability)),
  });
  for (const { command, payload } of open.commands) {
    if (options.commands?.(command) ?? true) out.command(command, payload);
  }
  const of = (phase: RawSection["phase"]) => open.sections.filter((section) => section.phase === phase);
  const pages = ramEncoder(out, open.ram);
  pages.start();
  for (const section of of("start")) writeRaw(out, section);
  for (let more = true; more; ) more = pages.part(partBytes);
  for (const section of of("part")) writeRaw(out, section);
  pages.end();
  for (const section of of("end")) writeRaw(out, section);
  for (const section of of("full")) {
    const { description, state, known } = stateOf(section, open);
    (known ? described : carried).push(section.head.idstr);
    if (known) options.edit?.(section.head.idstr, state);
    out.full(section.head, description, state);
  }
  out.finish();
  return { bytes: out.out.written(), described, carried };
}

function stateOf(
  section: RawSection,
  { vmdesc }: OpenStream,
): { description: Description; state: Record<string, unknown>; known: boolean } {
  const found = describe(sampleOf(section, vmdesc));
  if (found !== undefined) {
    const { description } = found;
    const { version } = section.head;
    return { description, known: true, state: decodeState(description, section.body, { version }) as never };
  }
  const { body, head } = section;
  const whole = vmstate({ name: "data", version: head.version, fields: { data: buffer(body.length) } });
  return { description: whole, known: false, state: toState(whole, { data: body } as never) };
}

function writeRaw(out: StreamWriter, { phase, head, body }: RawSection): void {
  if (phase === "start") out.start(head);
  else out.continue(phase as "part" | "end", head.sectionId);
  out.out.raw(body);
  out.footer(head.sectionId);
}

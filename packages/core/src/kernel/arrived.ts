// What has come of a stream so far, section by section, and whether that is all that the machine needs.
import type { LoadReport, SectionSummary } from "../contract.ts";
import { MigrationError } from "../errors.ts";
import type { OldSection, Succession } from "../registry/former.ts";
import type { Entry, Registry } from "../registry/registry.ts";
import type { Configuration } from "../stream/configuration.ts";
import type { StreamEvent } from "../stream/events.ts";
import { sectionKey } from "../stream/sections.ts";
import type { WireRecord } from "../vmstate/types.ts";
import { refuseOther } from "./configure.ts";
import { type ArrivedRecord, successionsOf } from "./succeed.ts";

type Note = LoadReport["notes"][number];

const footerBytes = 5;
const sideOf = { side: "destination" as const };
/** Commands that say nothing which a plain load would have to act on. */
const harmlessCommands = new Set(["SWITCHOVER_START"]);

export class Arrived {
  configuration: Configuration | undefined;
  readonly records = new Map<Entry, ArrivedRecord>();
  /** Sections of earlier releases. */
  readonly former = new Map<OldSection, ArrivedRecord>();
  readonly sections: SectionSummary[] = [];
  readonly notes: Note[] = [];
  readonly #own: Configuration;

  constructor(own: Configuration) {
    this.#own = own;
  }

  fork(): Arrived {
    const copy = new Arrived(this.#own);
    copy.configuration = this.configuration;
    for (const [entry, record] of this.records) copy.records.set(entry, record);
    for (const [old, record] of this.former) copy.former.set(old, record);
    for (const section of this.sections) copy.sections.push(section);
    for (const note of this.notes) copy.notes.push(note);
    return copy;
  }

  /** Takes in what the reader found. `registry` says whose each section is. */
  take(events: readonly StreamEvent[], registry: Registry): void {
    for (const event of events) {
      if (event.type === "configuration") {
        refuseOther(event.configuration, this.#own, event.offset);
        this.configuration = event.configuration;
      } else if (event.type === "note") this.notes.push({ code: event.code, text: event.text });
      else if (event.type === "command" && !harmlessCommands.has(event.name)) {
        throw new MigrationError("COMMAND_UNEXPECTED", `a plain load cannot serve the command ${event.name}`, {
          ...sideOf,
          section: "command",
          path: "command",
          offset: event.offset,
        });
      } else if (event.type === "section") {
        const { head, phase, value, offset, bytes, bodyBytes } = event;
        const record = { record: value as WireRecord, version: head.version };
        const bodyOffset = offset + bytes - footerBytes - bodyBytes;
        const entry = registry.find(head.idstr, head.instance);
        const old = registry.former(head.idstr, head.instance);
        if (phase === "full" && entry !== undefined) this.records.set(entry, { ...record, offset: bodyOffset });
        else if (phase === "full") this.former.set(old as OldSection, { ...record, offset: bodyOffset });
        this.sections.push({
          idstr: head.idstr,
          instance: head.instance,
          version: head.version,
          phase,
          offset,
          bytes,
        });
      }
    }
  }

  /**
   * The stream is over: gives the successions that it began. A device that got nothing would run on in its reset state
   * beside devices that remember: `SECTION_MISSING`. `postcopy`: what can follow the machine must have started.
   */
  requireAll(registry: Registry, end: number, postcopy = false): ReadonlySet<Succession> {
    if (this.configuration === undefined) {
      throw new MigrationError("SECTION_MISSING", "the stream does not say of which machine it is", {
        ...sideOf,
        section: "configuration",
        offset: 8,
      });
    }
    const { former, records, sections } = this;
    const successions = successionsOf(former, (entry) => records.has(entry), end);
    const succeeded = new Set([...successions].flatMap(({ into }) => into));
    for (const entry of registry.inSaveOrder()) {
      const optional = entry.description?.needed !== undefined;
      const last = postcopy && entry.iterable?.postcopy === true ? "start" : "end";
      const missing =
        (entry.device !== undefined && !optional && !records.has(entry) && !succeeded.has(entry)) ||
        (entry.iterable !== undefined &&
          !sections.some((s) => s.phase === last && registry.find(s.idstr, s.instance) === entry));
      if (!missing) continue;
      throw new MigrationError("SECTION_MISSING", "the stream ended without this section", {
        ...sideOf,
        section: sectionKey(entry),
        offset: end,
      });
    }
    return successions;
  }
}

// Two streams that were read, compared: the stream's own things, sections, order, RAM.
import type { Terminal } from "../io/terminal.ts";
import type { Section } from "../model/read-stream.ts";
import type { Changed, Difference, RamDifference, SectionAbout, SectionDifference } from "./difference.ts";
import { type Ignoring, ignoring } from "./ignore.ts";
import { movedSections } from "./order.ts";
import { compareRam } from "./ram.ts";
import { compareSections } from "./sections.ts";
import type { Side } from "./side.ts";

interface CompareInit {
  readonly ignore: readonly string[];
  /** Ranges of pages that are listed for a block. */
  readonly mostRanges: number;
  readonly terminal: Terminal;
}

export function compare(a: Side, b: Side, init: CompareInit): Difference {
  return new Comparison(a, b, init).difference();
}

class Comparison {
  readonly #a: Side;
  readonly #b: Side;
  readonly #init: CompareInit;
  readonly #ignore: Ignoring;
  readonly #notes: string[] = [];
  #ignored = 0;

  constructor(a: Side, b: Side, init: CompareInit) {
    this.#a = a;
    this.#b = b;
    this.#init = init;
    this.#ignore = ignoring(init.ignore);
  }

  difference(): Difference {
    const stream = this.#stream();
    const sections = this.#sections();
    const ram = this.#ram();
    this.#noteVmdesc();
    const isRamEqual = ram === null || ram.onlyInA.length + ram.onlyInB.length + ram.changed.length === 0;
    const areSectionsEqual = Object.values(sections).every((list) => list.length === 0);
    return {
      equal: stream.length === 0 && areSectionsEqual && isRamEqual,
      a: about(this.#a),
      b: about(this.#b),
      stream,
      sections,
      ram,
      ignored: this.#ignored,
      notes: this.#notes,
    };
  }

  #keeps(key: string): boolean {
    if (!this.#ignore.section(key)) return true;
    this.#ignored++;
    return false;
  }

  #stream(): Changed[] {
    const own = ({ configuration, commands, read }: Side): Record<string, unknown> => ({
      machineType: configuration?.machineType ?? null,
      capabilities: configuration?.capabilities ?? [],
      uuid: configuration?.uuid === undefined ? null : Buffer.from(configuration.uuid).toString("hex"),
      pageBytes: read.pageBytes,
      commands,
    });
    const [a, b] = [own(this.#a), own(this.#b)];
    return Object.keys(a)
      .filter((what) => JSON.stringify(a[what]) !== JSON.stringify(b[what]) && this.#keeps(what))
      .map((what) => ({ what, a: a[what], b: b[what] }));
  }

  #sections(): Difference["sections"] {
    const { sections: inA } = this.#a;
    const { sections: inB } = this.#b;
    const without = (own: ReadonlyMap<string, Section>, other: ReadonlyMap<string, Section>): SectionAbout[] =>
      [...own.values()]
        .filter(({ key }) => !other.has(key) && this.#keeps(key))
        .map(({ key, head, body }) => ({ section: key, version: head.version, bodyBytes: body?.length ?? 0 }));
    const moved = movedSections([...inA.keys()], [...inB.keys()]);
    return {
      onlyInA: without(inA, inB),
      onlyInB: without(inB, inA),
      moved:
        moved.length > 0 && this.#keeps("order") ? moved.filter(({ section }) => !this.#ignore.section(section)) : [],
      changed: this.#changed(),
    };
  }

  #changed(): SectionDifference[] {
    return [...this.#a.sections.values()].flatMap((section) => {
      const other = this.#b.sections.get(section.key);
      if (other === undefined || this.#ignore.section(section.key)) {
        if (other !== undefined) this.#ignored++;
        return [];
      }
      const { difference, ignored } = compareSections(section, other, this.#ignore);
      this.#ignored += ignored;
      return difference === undefined ? [] : [difference];
    });
  }

  #ram(): RamDifference | null {
    const { ram: a } = this.#a;
    const { ram: b } = this.#b;
    if (a === undefined || b === undefined) return null;
    if (a.pageBytes !== b.pageBytes) {
      this.#notes.push("RAM is not compared: the streams have different page sizes");
      return null;
    }
    const progress = this.#init.terminal.progress("comparing RAM");
    const compared = compareRam(a, b, this.#ignore, this.#init.mostRanges, (bytes) => progress.update(bytes));
    progress.end();
    this.#ignored += compared.ignored;
    const { pagesInNeither } = compared.difference;
    if (pagesInNeither > 0) {
      this.#notes.push(
        `${pagesInNeither} pages are in neither stream, and were not compared: are there channels to give?`,
      );
    }
    return compared.difference;
  }

  /** It describes the sections, and is loaded by nobody: no difference by itself. */
  #noteVmdesc(): void {
    const [a, b] = [this.#a.read.vmdesc, this.#b.read.vmdesc];
    if ((a === undefined) !== (b === undefined)) this.#notes.push(`only ${a === undefined ? "B" : "A"} has a vmdesc`);
  }
}

function about({ name, read, configuration }: Side): Difference["a"] {
  return { name, bytes: read.bytes, machineType: configuration?.machineType ?? null };
}

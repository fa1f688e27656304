// Which sections have come, and what may still come: START, PARTs, END, and one FULL of the same handler.
import { MigrationError } from "../errors.ts";
import { type Phase, type SectionHead, sectionKey } from "./sections.ts";

interface Seen {
  readonly head: SectionHead;
  readonly started: boolean;
  readonly ended: boolean;
  readonly full: boolean;
  /** The value of its latest part. */
  readonly value: unknown;
}

export class SectionOrder {
  readonly #seen: Map<number, Seen>;
  /** Section ids by `idstr/instance`. */
  readonly #ids: Map<string, number>;

  constructor(from?: SectionOrder) {
    this.#seen = new Map(from === undefined ? [] : from.#seen);
    this.#ids = new Map(from === undefined ? [] : from.#ids);
  }

  /** The value of the section's part before, undefined where this is its first. */
  previous(sectionId: number): unknown {
    return this.#seen.get(sectionId)?.value;
  }

  completed(sectionId: number, phase: Phase, value: unknown): void {
    const seen = this.#seen.get(sectionId);
    if (seen !== undefined && phase !== "full") this.#seen.set(sectionId, { ...seen, value, ended: phase === "end" });
  }

  /** A connection was lost: what it had ended may be ended again by the next. */
  restart(): void {
    for (const [id, seen] of this.#seen) this.#seen.set(id, { ...seen, ended: false });
  }

  /** A START or FULL came. `SECTION_DUPLICATE`, `SECTION_ID`. */
  register(head: SectionHead, phase: Phase, offset: number): void {
    const key = sectionKey(head);
    const known = this.#ids.get(key);
    const other = this.#seen.get(head.sectionId);
    const seen = known === undefined ? undefined : this.#seen.get(known);
    const at = { section: key, version: head.version, path: "idstr", offset: offset + 5 };
    if (seen !== undefined && (known !== head.sectionId || phase === "start" || seen.full)) {
      throw new MigrationError("SECTION_DUPLICATE", "the section came before", at);
    }
    if (seen === undefined && other !== undefined) {
      throw new MigrationError("SECTION_ID", "the section's id belongs to another section", {
        ...at,
        expected: "an id of its own",
        found: `the id of ${sectionKey(other.head)}`,
      });
    }
    this.#ids.set(key, head.sectionId);
    this.#seen.set(head.sectionId, {
      head,
      started: (seen?.started ?? false) || phase === "start",
      ended: seen?.ended ?? false,
      full: phase === "full",
      value: seen?.value,
    });
  }

  /** A PART or END came. `SECTION_ID`, `SECTION_ORDER`. */
  continued(id: number, offset: number): SectionHead {
    const seen = this.#seen.get(id);
    if (seen === undefined || !seen.started) {
      throw new MigrationError("SECTION_ID", "a PART or END of a section that was not started", {
        path: "section_id",
        offset: offset + 1,
        found: String(id),
      });
    }
    if (seen.ended) {
      throw new MigrationError("SECTION_ORDER", "the section has ended", { section: sectionKey(seen.head), offset });
    }
    return seen.head;
  }
}

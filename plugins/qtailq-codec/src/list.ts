// QTAILQ and QLIST: the same bytes under two names. Source: wire reference 2.4; QEMU: vmstate_info_qtailq, _qlist.
import {
  type CustomItem,
  customField,
  type Description,
  type Field,
  MigrationError,
  type StateOf,
  struct,
  vstruct,
} from "@godwit/core";
import { asArray, end, follows, marker, more } from "./marker.ts";

/**
 * `merged`: what QEMU has had since 2.9. An element is read in the version that the list's field names.
 * `proposal`: the patch series of 2016. The vmdesc says `customized`, and an element is read in its own version.
 * The bytes are the same.
 */
export type ListDialect = "merged" | "proposal";

export interface ListInit {
  readonly dialect?: ListDialect;
  /**
   * Merged dialect: the version that the field names (QEMU: the last argument of VMSTATE_QTAILQ_V). Elements are always
   * written in their own version; one that would be read differently is `DEFINITION_INVALID`. The default is the
   * element's own.
   */
  readonly version?: number;
}

/** A QTAILQ: elements in their order. The state is an array of element states. */
export function qtailq<D extends Description>(element: D, init?: ListInit): Field<StateOf<D>[]>;
export function qtailq<T>(element: Field<T>, init?: Omit<ListInit, "version">): Field<T[]>;
export function qtailq(element: Description | Field, init: ListInit = {}): Field<unknown[]> {
  return list("qtailq", element, init);
}

/** A QLIST: the same bytes as a QTAILQ, and the same order. */
export function qlist<D extends Description>(element: D, init?: ListInit): Field<StateOf<D>[]>;
export function qlist<T>(element: Field<T>, init?: Omit<ListInit, "version">): Field<T[]>;
export function qlist(element: Description | Field, init: ListInit = {}): Field<unknown[]> {
  return list("qlist", element, init);
}

interface Steps {
  readonly elements: unknown[];
  next: "marker" | "element" | "end";
}

function list(kind: "qtailq" | "qlist", element: Description | Field, init: ListInit): Field<unknown[]> {
  const { dialect = "merged", version } = init;
  const read = isDescription(element) ? readAs(element, dialect, version) : element;
  const written = !isDescription(element) || (version ?? element.version) === element.version ? read : struct(element);
  return customField<unknown[], Steps>({
    kind: dialect === "proposal" ? "customized" : kind,
    begin: () => ({ elements: [], next: "marker" }),
    next: (steps) => (steps.next === "marker" ? marker : steps.next === "element" ? read : undefined),
    take(steps, value) {
      if (steps.next === "marker") steps.next = follows(value) ? "element" : "end";
      else {
        steps.elements.push(value);
        steps.next = "marker";
      }
    },
    end: (steps) => steps.elements,
    segment: (steps) => `[${steps.elements.length}]`,
    // An array and not a generator: a list of thousands is written in half the time.
    encode(elements): Iterable<CustomItem> {
      const items: CustomItem[] = [];
      let index = 0;
      for (const value of asArray(elements, kind)) items.push(goesOn, new Element(written, value, index++));
      items.push(ends);
      return items;
    },
    map: (elements, each) => elements.map((one) => each(read, one)),
    ...(read === written ? { marked: read } : {}),
    ...(isDescription(element) ? { elements: element } : {}),
  });
}

const goesOn: CustomItem = { field: marker, value: more };
const ends: CustomItem = { field: marker, value: end };

/** An element on its way to the wire; its path is only spelled when it is asked for. */
class Element implements CustomItem {
  readonly field: Field;
  readonly value: unknown;
  readonly index: number;
  constructor(field: Field, value: unknown, index: number) {
    this.field = field;
    this.value = value;
    this.index = index;
  }
  get segment(): string {
    return `[${this.index}]`;
  }
}

function isDescription(element: Description | Field): element is Description {
  return "format" in element;
}

function readAs(element: Description, dialect: ListDialect, version: number | undefined): Field {
  if (version === undefined || version === element.version) return struct(element);
  if (dialect === "proposal") {
    throw invalid(element, "in the proposal's dialect an element is read in its own version");
  }
  for (const [key, field] of Object.entries(element.fields)) {
    const { since } = field as Field & { readonly since?: number };
    if (since !== undefined && since > version) {
      throw invalid(element, `"${key}" would be written, and not be read in version ${version}`);
    }
  }
  return vstruct(element, version);
}

function invalid(element: Description, why: string): MigrationError {
  return new MigrationError("DEFINITION_INVALID", `a list of "${element.name}": ${why}`, { side: "define" });
}

// How a list is read and written, step by step: a marker before each element, another behind the last.
import type { CustomCodec, CustomItem, Field } from "@godwit/core";
import { asArray, end, follows, marker, more } from "./marker.ts";

export type ListKind = "qtailq" | "qlist";

/**
 * `merged`: what QEMU has had since 2.9. An element is read in the version that the list's field names.
 * `proposal`: the patch series of 2016. The vmdesc says `customized`, and an element is read in its own version.
 * The bytes are the same.
 */
export type ListDialect = "merged" | "proposal";

export function vmdescType(kind: ListKind, dialect: ListDialect): string {
  return dialect === "proposal" ? "customized" : kind;
}

export interface ListSteps {
  readonly elements: unknown[];
  next: "marker" | "element" | "end";
}

type StepsOfList = Omit<CustomCodec<unknown[], ListSteps>, "kind">;

/** `read` and `written` are the field of an element, asked for when one is met. */
export function listSteps(kind: ListKind, read: () => Field, written: () => Field): StepsOfList {
  return {
    begin: () => ({ elements: [], next: "marker" }),
    next: (steps) => (steps.next === "marker" ? marker : steps.next === "element" ? read() : undefined),
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
      for (const value of asArray(elements, kind)) items.push(goesOn, new Element(written(), value, index++));
      items.push(ends);
      return items;
    },
    map: (elements, each) => elements.map((one) => each(read(), one)),
    sample: (choose) => choose.list(4, () => choose.of(read())),
  };
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

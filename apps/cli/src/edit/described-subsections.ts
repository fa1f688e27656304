// Where a description has subsections, found in the JSON form of a record by their names on the wire.
import type { Description, Field, Subsection } from "@godwit/core";
import type { OpenJson, OpenObject } from "./json-path.ts";

export interface SubsectionSlot {
  /** The wire's name. */
  readonly name: string;
  /** Where it is in the record, or would be. */
  readonly path: string;
  readonly holder: OpenObject;
  readonly key: string;
  readonly present: boolean;
  /** The keys of all subsections there, in the order in which they are declared: that is how they are saved. */
  readonly order: readonly string[];
  readonly description: Description;
}

/** Elements of lists that another package reads are not looked into. */
export function* subsectionSlots(description: Description, json: OpenJson, path = ""): Generator<SubsectionSlot> {
  if (!isObject(json)) return;
  for (const [key, field] of Object.entries(description.fields)) {
    const value = json[key];
    if (value !== undefined) yield* inField(field, value, joined(path, key));
  }
  const order = Object.keys(description.subsections);
  for (const [key, { description: own }] of Object.entries<Subsection>(description.subsections)) {
    const present = Object.hasOwn(json, key);
    const at = joined(path, key);
    yield { name: own.name, path: at, holder: json, key, present, order, description: own };
    if (present) yield* subsectionSlots(own, json[key] as OpenJson, at);
  }
}

/** What of a field's data says what is inside. */
interface Holding extends Field {
  readonly description?: Description;
  readonly element?: Field;
}

function* inField(field: Holding, value: OpenJson, path: string): Generator<SubsectionSlot> {
  const { kind, description, element } = field;
  if (description !== undefined && (kind === "struct" || kind === "tmp")) {
    yield* subsectionSlots(description, value, path);
  } else if (element !== undefined && Array.isArray(value)) {
    for (const [i, one] of value.entries()) yield* inField(element, one, `${path}[${i}]`);
  } else if (element !== undefined) yield* inField(element, value, path);
}

/** Puts it where a save would have it. */
export function insertSubsection({ holder, key, order }: SubsectionSlot, value: OpenJson): void {
  const behind = order.slice(order.indexOf(key) + 1);
  const later = Object.entries(holder).filter(([other]) => behind.includes(other));
  for (const [other] of later) delete holder[other];
  holder[key] = value;
  for (const [other, own] of later) holder[other] = own;
}

const joined = (path: string, key: string): string => (path === "" ? key : `${path}.${key}`);
const isObject = (json: OpenJson): json is OpenObject =>
  typeof json === "object" && json !== null && !Array.isArray(json);

// What a description must hold to, told when it is defined and not when the first stream comes.
import { utf8Length } from "../utf8.ts";
import type { Spec } from "./spec.ts";
import type { Count, Description, Field, Fields, Subsection } from "./types.ts";

type Refuse = (why: string) => never;

/** Padding, conditions and names stand outermost; a count that is a key names an integer that came before. */
export function checkFields(fields: Fields, refuse: Refuse): void {
  const earlier = new Map<string, Spec>();
  for (const [key, field] of Object.entries(fields)) {
    const padding = isPadding(field);
    if (padding !== key.startsWith("_")) refuse(`field "${key}": padding and only padding begins with "_"`);
    const { conditions, inner } = unwrap(field);
    if (conditions > 1) refuse(`field "${key}" has two conditions`);
    if (inner === undefined) continue;
    checkInner(inner, key, earlier, refuse);
    if (!padding) earlier.set(key, inner);
  }
}

function isPadding(field: Field): boolean {
  return (field as { padding?: true }).padding === true;
}

/** The field without its name and condition; undefined for a mere test. */
function unwrap(field: Field): { inner: Spec | undefined; conditions: number } {
  let inner: Spec | undefined = field as Spec;
  let conditions = 0;
  while (inner?.kind === "named" || inner?.kind === "condition") {
    if (inner.kind === "condition") conditions++;
    inner = inner.element as Spec | undefined;
  }
  return { inner, conditions };
}

function checkInner(spec: Spec, key: string, earlier: ReadonlyMap<string, Spec>, refuse: Refuse): void {
  const count = countIn(spec);
  if (typeof count === "string") {
    const counter = earlier.get(count);
    if (counter === undefined) refuse(`field "${key}" is counted by "${count}", which is no earlier field`);
    else if (!mayCount(counter)) refuse(`field "${key}" is counted by "${count}", which holds no number`);
  }
  if (spec.kind !== "array" && spec.kind !== "pointers" && spec.kind !== "checked") return;
  const element = spec.element as Spec;
  if (element.kind === "named" || element.kind === "condition" || isPadding(spec.element)) {
    refuse(`field "${key}": names, conditions and padding cannot stand inside of another field`);
  }
  checkInner(element, key, earlier, refuse);
}

function countIn(spec: Spec): Count | undefined {
  switch (spec.kind) {
    case "array":
    case "pointers":
      return spec.count;
    case "buffer":
      return spec.size;
    case "bitmap":
      return spec.bits;
    default:
      return undefined;
  }
}

function mayCount(spec: Spec): boolean {
  if (spec.kind === "checked") return mayCount(spec.element as Spec);
  if (spec.kind === "int") return spec.as === "number" || spec.as === "safe";
  return spec.kind === "custom" || spec.kind === "tmp";
}

/**
 * A reader takes a subsection for a body's own if its name begins with the body's and is longer. So a subsection's name
 * begins with the name of the description that holds it, and wherever a body may end and the subsection of another may
 * come next (with no byte between them), the other's name must not begin with the body's.
 */
export function checkSubsectionNames(
  name: string,
  fields: Fields,
  subsections: readonly Subsection[],
  refuse: Refuse,
): void {
  const ended = new Set(spanOfFields(fields, refuse).last);
  const seen = new Set<string>();
  for (const { description } of subsections) {
    const own = description.name;
    if (!takesFor(name, own)) refuse(`subsection "${own}" must begin with "${name}"`);
    if (seen.has(own)) refuse(`subsection "${own}" stands twice`);
    seen.add(own);
    mustTellApart(ended, [own], refuse);
    for (const last of spanOfBody(description).last) ended.add(last);
  }
}

function takesFor(body: string, subsection: string): boolean {
  return subsection.startsWith(body) && utf8Length(subsection) > utf8Length(body);
}

function mustTellApart(ended: Iterable<string>, next: readonly string[], refuse: Refuse): void {
  for (const body of ended) {
    for (const own of next) if (takesFor(body, own)) refuse(`"${body}" would take subsection "${own}" for its own`);
  }
}

/** What stands at the two ends of a piece of the wire. */
interface Span {
  /** Subsections that its first byte may begin. */
  readonly first: readonly string[];
  /** Bodies that may end at its last byte. */
  readonly last: readonly string[];
  /** It may take no bytes at all. */
  readonly empty: boolean;
}

const solid: Span = { first: [], last: [], empty: false };
const accepts = (() => undefined) as unknown as Refuse;

function spanOfBody({ name, fields, subsections }: Description): Span {
  // That the description holds to the rule was seen when it was defined.
  const own = spanOfFields(fields, accepts);
  const parts = Object.values(subsections).map((s) => s.description);
  return {
    first: own.empty ? [...own.first, ...parts.map((d) => d.name)] : own.first,
    last: [name, ...own.last, ...parts.flatMap((d) => spanOfBody(d).last)],
    empty: own.empty,
  };
}

function spanOfFields(fields: Fields, refuse: Refuse): Span {
  let span: Span = { first: [], last: [], empty: true };
  for (const field of Object.values(fields)) {
    const { first, last, empty } = spanOf(field as Spec, refuse);
    mustTellApart(span.last, first, refuse);
    span = {
      first: span.empty ? [...span.first, ...first] : span.first,
      last: empty ? [...span.last, ...last] : last,
      empty: span.empty && empty,
    };
  }
  return span;
}

function spanOf(spec: Spec, refuse: Refuse): Span {
  switch (spec.kind) {
    case "struct":
    case "tmp":
      return spanOfBody(spec.description);
    case "array":
    case "pointers": {
      if (spec.count === 0) return { ...solid, empty: true };
      const span = spanOf(spec.element as Spec, refuse);
      if (spec.count !== 1) mustTellApart(span.last, span.first, refuse);
      return { ...span, empty: span.empty || typeof spec.count !== "number" };
    }
    case "condition":
      return { ...(spec.element === undefined ? solid : spanOf(spec.element as Spec, refuse)), empty: true };
    case "named":
    case "checked":
      return spanOf(spec.element as Spec, refuse);
    case "buffer":
      return { ...solid, empty: typeof spec.size !== "number" || spec.size === 0 };
    case "bitmap":
      return { ...solid, empty: typeof spec.bits !== "number" || spec.bits === 0 };
    default:
      return solid;
  }
}

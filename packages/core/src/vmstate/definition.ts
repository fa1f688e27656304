// What a description must hold to, told when it is defined and not when the first stream comes.
import { utf8Length } from "../utf8.ts";
import type { IntSpec, Spec } from "./spec.ts";
import type { Count, Description, Fields, Subsection } from "./types.ts";

type Refuse = (why: string) => never;

/** What kinds of fields have in common, where they have it. */
interface AnySpec {
  readonly kind: Spec["kind"];
  readonly as?: IntSpec["as"];
  readonly element?: AnySpec | undefined;
  readonly description?: Description;
  readonly count?: Count;
  readonly size?: Count;
  readonly bits?: Count;
  readonly padding?: true;
}

function countOf({ count, size, bits }: AnySpec): Count | undefined {
  return count ?? size ?? bits;
}

/** Padding, conditions and names stand outermost; a count that is a key names an integer that came before. */
export function checkFields(fields: Fields, refuse: Refuse): void {
  const earlier = new Map<string, AnySpec>();
  for (const [key, field] of Object.entries(fields)) {
    let spec: AnySpec | undefined = field as Spec as AnySpec;
    const padding = spec?.padding === true;
    if (padding !== key.startsWith("_")) refuse(`field "${key}": padding and only padding begins with "_"`);
    let conditions = 0;
    for (; spec?.kind === "named" || spec?.kind === "condition"; spec = spec.element) {
      if (spec.kind === "condition" && ++conditions > 1) refuse(`field "${key}" has two conditions`);
    }
    if (spec === undefined) continue;
    checkInner(spec, key, earlier, refuse);
    if (!padding) earlier.set(key, spec);
  }
}

function checkInner(spec: AnySpec, key: string, earlier: ReadonlyMap<string, AnySpec>, refuse: Refuse): void {
  const count = countOf(spec);
  if (typeof count === "string") {
    const counter = earlier.get(count);
    if (counter === undefined || !mayCount(counter)) {
      refuse(`field "${key}" is counted by "${count}", ${counter === undefined ? "no earlier field" : "no number"}`);
    }
  }
  const { element } = spec;
  if (element === undefined) return;
  if (element.kind === "named" || element.kind === "condition" || element.padding) {
    refuse(`field "${key}": a name, condition or padding stands inside of it`);
  }
  checkInner(element, key, earlier, refuse);
}

function mayCount(spec: AnySpec): boolean {
  if (spec.kind === "checked") return mayCount(spec.element as AnySpec);
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
    for (const own of next) if (takesFor(body, own)) refuse(`"${body}" takes subsection "${own}" for its own`);
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

/** A piece, and the one that comes behind it. */
function join(a: Span, b: Span): Span {
  return {
    first: a.empty ? [...a.first, ...b.first] : a.first,
    last: b.empty ? [...a.last, ...b.last] : b.last,
    empty: a.empty && b.empty,
  };
}

function spanOfBody({ name, fields, subsections }: Description): Span {
  const parts = Object.values(subsections).map((s) => s.description);
  const behind = { first: parts.map((d) => d.name), last: parts.flatMap((d) => spanOfBody(d).last), empty: true };
  // That the description holds to the rule was seen when it was defined.
  const span = join(spanOfFields(fields, accepts), behind);
  return { ...span, last: [name, ...span.last] };
}

function spanOfFields(fields: Fields, refuse: Refuse): Span {
  let span: Span = { ...solid, empty: true };
  for (const field of Object.values(fields)) {
    const next = spanOf(field as Spec as AnySpec, refuse);
    mustTellApart(span.last, next.first, refuse);
    span = join(span, next);
  }
  return span;
}

function spanOf(spec: AnySpec, refuse: Refuse): Span {
  const { kind, element, description } = spec;
  if (description !== undefined) return spanOfBody(description);
  const count = countOf(spec);
  if (count === 0) return { ...solid, empty: true };
  const span = element === undefined ? solid : spanOf(element, refuse);
  if (count !== undefined && count !== 1) mustTellApart(span.last, span.first, refuse);
  const mayBeEmpty = kind === "condition" || (count !== undefined && typeof count !== "number");
  return { ...span, empty: span.empty || mayBeEmpty };
}

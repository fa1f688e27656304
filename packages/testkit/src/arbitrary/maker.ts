// Makes one state of a description, field by field, as a reader would read it: what a condition or count looks at has
// been made before.
import {
  type AnyRecord,
  type Choose,
  type Count,
  cloneValue,
  type Description,
  type Field,
  isMigrationError,
  type Scope,
  type Spec,
} from "@godwit/core";
import type { Arbitrary } from "fast-check";
import { Built, type Draw } from "./built.ts";
import { numbersIn, passing, testsOf } from "./checks.ts";
import { countedBy } from "./counts.ts";
import { type ArbitraryError, Unmet } from "./error.ts";
import { element, member, other, type Place } from "./place.ts";
import type { Settings } from "./settings.ts";
import { sampleBySteps } from "./steps.ts";
import { boundsOf, type IntSpec, zeros } from "./values.ts";

type Record_ = Record<string, unknown>;
type SpecOf<K extends Spec["kind"]> = Extract<Spec, { kind: K }>;

/** A body is tried again that often before what holds it is. */
const mostTriesOfBody = 8;
/** All tries of one state. */
const mostTriesOfState = 400;
/** A count beyond this is taken only where no field can make it smaller. */
const largeCount = 64;
const largestCount = 65_536;
/** Longer arrays have that many elements of their own, and copies. */
const mostOwnElements = 8;
/** A list that stands in so many lists is empty. */
const deepest = 3;
const mostListElements = 4;
/** Longer arrays are not put together of the numbers that a test names. */
const mostNamed = 64;
const byte: IntSpec = { kind: "int", info: "uint8", bytes: 1, signed: false, as: "number" };
/** Fields that make a count small are drawn up to this. */
const calmHigh = 4;

/** Numbers to try where a test refuses what is drawn: one after the other, or any. */
interface Hints {
  readonly named: readonly bigint[];
  readonly inOrder: boolean;
  used: number;
}

export class Maker {
  readonly #draw: Draw;
  readonly #settings: Settings;
  /** The place that is not replaced, since this makes what its replacement begins with. */
  readonly #base: string | undefined;
  readonly #paths = new WeakMap<Scope, string>();
  /** Paths of integers that have to be small, found out during this state. */
  readonly #calm = new Set<string>();
  /** What a test around the present place names. */
  #hints: Hints | undefined;
  #tries = 0;
  /** How often the bodies around the present place have failed. */
  #failures = 0;
  #depth = 0;

  constructor(draw: Draw, settings: Settings, base?: string) {
    this.#draw = draw;
    this.#settings = settings;
    this.#base = base;
  }

  body(description: Description, version: number, parent: Scope | undefined, at: Place): AnyRecord {
    const override = at.name === this.#base ? undefined : this.#settings.ofDescription(description);
    if (override !== undefined) {
      return this.#overridden(override, parent, at, (maker) => maker.body(description, version, parent, at));
    }
    const failures = this.#failures;
    try {
      for (let tries = 0; ; tries++) {
        try {
          return this.#body(description, version, parent, tries === 0 ? at : other(at, tries));
        } catch (error) {
          if (!(error instanceof Unmet) || tries === mostTriesOfBody || ++this.#tries > mostTriesOfState) throw error;
          this.#failures = Math.max(failures, tries + 1);
        }
      }
    } finally {
      this.#failures = failures;
    }
  }

  #body(description: Description, version: number, parent: Scope | undefined, at: Place): AnyRecord {
    const record: Record_ = {};
    const scope: Scope = { record, parent, version };
    this.#paths.set(scope, at.path);
    const counters = this.#settings.countersOf(description);
    for (const [key, field] of Object.entries(description.fields)) {
      const place = member(at, key);
      const { spec, padding, absent } = this.#unwrap(field as Spec, scope, place);
      if (padding) continue;
      if (spec === undefined) record[key] = absentOf(absent, scope);
      else record[key] = this.#field(spec, scope, place, counters.get(key));
    }
    this.#subsections(description, record, scope, at);
    const { postLoad } = description;
    return postLoad === undefined ? record : this.#converted(at, () => postLoad(record, version));
  }

  /** What stands in names and conditions; no spec where a condition excludes it. */
  #unwrap(
    field: Spec,
    scope: Scope,
    at: Place,
  ): { readonly spec: Spec | undefined; readonly padding: boolean; readonly absent?: unknown } {
    const padding = "padding" in field && field.padding === true;
    let spec: Spec | undefined = field;
    while (spec?.kind === "named" || spec?.kind === "condition") {
      if (spec.kind === "condition" && !this.#holds(spec, scope, at)) {
        return { spec: undefined, padding, absent: spec.absent };
      }
      spec = spec.element as Spec | undefined;
    }
    return { spec, padding };
  }

  #holds({ exists, mustExist }: SpecOf<"condition">, scope: Scope, at: Place): boolean {
    if (exists(scope.record, scope)) return true;
    if (!mustExist) return false;
    this.#calmDown(scope, exists);
    throw new Unmet(at.path, "a record that passes its test");
  }

  /** All begin as absent, so that each sees the others; what is not needed stays so. */
  #subsections({ subsections }: Description, record: Record_, scope: Scope, at: Place): void {
    const parts = Object.entries(subsections);
    for (const [key, { absent }] of parts) record[key] = absentOf(absent, scope);
    for (const [key, { description, needed }] of parts) {
      const place = member(at, key);
      const absent = record[key] as AnyRecord;
      const comes = this.#draw(`${place.name}?`, this.#settings.values.boolean()) || needed(absent, scope);
      if (!comes) continue;
      const own = this.body(description, description.version, scope, place);
      if (needed(own, scope)) record[key] = own;
    }
  }

  field(field: Field, scope: Scope, at: Place, most?: number): unknown {
    return this.#field(field as Spec, scope, at, most);
  }

  /** `most`: the field counts something, and takes no larger value. */
  #field(spec: Spec, scope: Scope, at: Place, most?: number): unknown {
    const override = at.name === this.#base ? undefined : this.#settings.ofPath(at.path);
    if (override !== undefined) {
      return this.#overridden(override, scope, at, (maker) => maker.#field(spec, scope, at, most));
    }
    const { values } = this.#settings;
    switch (spec.kind) {
      case "int":
        return this.#int(spec, at, most);
      case "bool":
        return this.#draw(at.name, values.boolean());
      case "timer":
        return this.#draw(at.name, values.timer());
      case "cpudouble":
        return this.#draw(at.name, values.double());
      case "buffer":
        return this.#bytes(this.#count(spec.size, scope, spec.max, at), at);
      case "bitmap":
        return this.#bytes(Math.ceil(this.#count(spec.bits, scope, spec.max, at) / 64) * 8, at);
      case "struct":
        return this.body(spec.description, spec.version ?? spec.description.version, scope, at);
      case "tmp": {
        // Its child is read as version 0, whatever its description says.
        const wire = this.body(spec.description, 0, scope, at);
        return this.#converted(at, () => spec.load(wire, scope));
      }
      case "array":
        return this.#array(spec, scope, at);
      case "pointers":
        return this.#elements(spec, this.#count(spec.count, scope, spec.max, at), scope, at, spec.isNull);
      case "checked":
        return this.#checked(spec, scope, at, most);
      case "custom":
        return this.#custom(spec.custom, scope, at);
      default:
        return this.#unwrapped(spec, scope, at);
    }
  }

  /** A name or condition inside of a custom field. */
  #unwrapped(wrapped: Spec, scope: Scope, at: Place): unknown {
    const { spec, absent } = this.#unwrap(wrapped, scope, at);
    return spec === undefined ? absentOf(absent, scope) : this.#field(spec, scope, at);
  }

  #int(spec: IntSpec, at: Place, most?: number): unknown {
    const { values } = this.#settings;
    const [low, high] = boundsOf(spec);
    if (spec.as === "pair") return [...(this.#draw(at.name, values.int(spec, low, high)) as number[])];
    const hint = this.#hint(at, low, high);
    if (hint !== undefined) return spec.as === "bigint" ? hint : Number(hint);
    const small = most ?? (this.#mustBeCalm(at) ? calmHigh : undefined);
    return this.#draw(at.name, values.int(spec, small === undefined ? low : 0n, least(high, small)));
  }

  /** Fields that a count or a test looked at, and after some failures in vain every third. */
  #mustBeCalm(at: Place): boolean {
    if (this.#calm.has(at.path)) return true;
    const chance = this.#settings.isCalm(at.path) ? 3 : this.#failures > 2 ? 1 : 0;
    return chance > 0 && this.#draw(`${at.name}!`, this.#settings.values.plain(3)) < chance;
  }

  #bytes(length: number, at: Place): Uint8Array {
    return this.#draw(at.name, this.#settings.values.bytes(length)).slice();
  }

  #array(spec: SpecOf<"array">, scope: Scope, at: Place): unknown {
    const length = this.#count(spec.count, scope, spec.max, at);
    const inner = spec.element as Spec;
    const isReplaced = this.#settings.ofPath(`${at.path}[]`) !== undefined;
    if (inner.kind !== "int") return this.#elements(spec, length, scope, at, () => false);
    const all = cloneValue(this.#draw(at.name, this.#settings.values.ints(inner, length))) as Record_;
    if (isReplaced) for (let i = 0; i < length; i++) all[i] = this.#field(inner, scope, element(at, i));
    return all;
  }

  #elements(
    spec: SpecOf<"array" | "pointers">,
    length: number,
    scope: Scope,
    at: Place,
    isNull: (index: number) => boolean,
  ): unknown[] {
    const own: unknown[] = [];
    const all: unknown[] = [];
    for (let i = 0; i < length; i++) {
      if (isNull(i)) all.push(null);
      else if (own.length < mostOwnElements || i === length - 1) {
        own.push(this.#field(spec.element as Spec, scope, element(at, i)));
        all.push(own.at(-1));
      } else all.push(cloneValue(own[i % mostOwnElements]));
    }
    return all;
  }

  #count(count: Count, scope: Scope, max: number, at: Place): number {
    if (typeof count === "number") return count;
    const n = typeof count === "string" ? scope.record[count] : countedBy(count, scope, (one) => this.#pathOf(one));
    const isCount = typeof n === "number" && Number.isInteger(n) && n >= 0 && n <= Math.min(max, largestCount);
    if (isCount && n <= largeCount) return n;
    if (typeof count === "function" && this.#calmDown(scope, count)) {
      throw new Unmet(at.path, "a count that is not large");
    }
    if (isCount) return n;
    throw new Unmet(at.path, `a count of 0 to ${Math.min(max, largestCount)}`);
  }

  /** Whether a function looks at fields that have not been kept small yet: from now on they are. */
  #calmDown(scope: Scope, look: (record: AnyRecord, scope: Scope) => unknown): boolean {
    const reads = new Set<string>();
    countedBy(look as (record: AnyRecord, scope: Scope) => number, scope, (one) => this.#pathOf(one), reads);
    let isNew = false;
    for (const path of reads) {
      if (this.#calm.has(path)) continue;
      isNew = true;
      this.#calm.add(path);
      this.#settings.learn(path);
    }
    return isNew;
  }

  #pathOf(scope: Scope): string {
    return this.#paths.get(scope) ?? "";
  }

  #checked(spec: SpecOf<"checked">, scope: Scope, at: Place, most?: number): unknown {
    const { inner, passes, expected } = testsOf(spec, scope);
    if (inner.kind === "int" && inner.as !== "pair") return this.#checkedInt(inner, passes, expected, at, most);
    const ints = inner.kind === "array" ? (inner.element as Spec) : inner.kind === "buffer" ? byte : undefined;
    if (ints?.kind === "int" && ints.as !== "pair") {
      const value = this.#checkedInts(inner, ints, passes, expected, scope, at);
      if (value !== undefined) return value;
    }
    const named = numbersIn(expected);
    for (let tries = 0; tries < mostTriesOfBody; tries++) {
      const hints = tries === 0 || named.length === 0 ? undefined : { named, inOrder: tries === 1, used: 0 };
      const value = this.#hinted(hints, () => this.#field(inner, scope, other(at, `c${tries}`), most));
      if (passes(value)) return value;
    }
    throw new Unmet(at.path, expected);
  }

  #hinted<T>(hints: Hints | undefined, make: () => T): T {
    const before = this.#hints;
    this.#hints = hints ?? before;
    try {
      return make();
    } finally {
      this.#hints = before;
    }
  }

  /** A number that the test around it names; undefined where none fits. */
  #hint(at: Place, low: bigint, high: bigint): bigint | undefined {
    const hints = this.#hints;
    if (hints === undefined) return undefined;
    const fitting = hints.named.filter((value) => value >= low && value <= high);
    if (fitting.length === 0) return undefined;
    const index = hints.inOrder
      ? hints.used++ % fitting.length
      : this.#draw(`${at.name}?`, this.#settings.values.plain(fitting.length - 1));
    return fitting[index];
  }

  /** As drawn; the numbers that the test names, in their order, or each one of them; or zeros. */
  #checkedInts(
    inner: Spec,
    one: IntSpec,
    passes: (value: unknown) => boolean,
    expected: string,
    scope: Scope,
    at: Place,
  ): unknown {
    const drawn = this.#field(inner, scope, at) as ArrayLike<unknown>;
    if (passes(drawn)) return drawn;
    const second = this.#field(inner, scope, other(at, "again"));
    if (passes(second)) return second;
    const [low, high] = boundsOf(one);
    const named = numbersIn(expected).filter((value) => value >= low && value <= high);
    const { length } = drawn;
    const array = (value: (index: number) => bigint) => {
      const made = zeros(one, length);
      for (let i = 0; i < length; i++) made[i] = one.as === "bigint" ? value(i) : Number(value(i));
      return made;
    };
    if (named.length === length) {
      const exact = array((i) => named[i] as bigint);
      if (passes(exact)) return exact;
    }
    if (named.length > 0 && length <= mostNamed) {
      const index = this.#settings.values.plain(named.length - 1);
      const each = array((i) => named[this.#draw(element(other(at, "n"), i).name, index)] as bigint);
      if (passes(each)) return each;
    }
    const blank = zeros(one, length);
    return passes(blank) ? blank : undefined;
  }

  #checkedInt(
    spec: IntSpec,
    passes: (value: unknown) => boolean,
    expected: string,
    at: Place,
    most: number | undefined,
  ): unknown {
    const { values } = this.#settings;
    const shown = (value: bigint): unknown => (spec.as === "bigint" ? value : Number(value));
    const [low, high] = boundsOf(spec);
    const small = most ?? (this.#mustBeCalm(at) ? calmHigh : undefined);
    const good = passing(expected, low, high, (value) => passes(shown(value)));
    if ("low" in good) {
      const top = small === undefined ? good.high : least(good.high, small, good.low);
      const value = this.#draw(at.name, values.int(spec, good.low, top));
      if (passes(value)) return value;
    } else if (small === undefined && good.values.length !== 1) {
      const value = this.#draw(at.name, values.int(spec, low, high));
      if (passes(value)) return value;
    }
    const found = "low" in good ? [good.low] : good.values.slice(0, small === undefined ? undefined : small + 1);
    if (found.length === 0) throw new Unmet(at.path, expected);
    return shown(found[this.#draw(`${at.name}#`, values.plain(found.length - 1))] as bigint);
  }

  #custom(custom: SpecOf<"custom">["custom"], scope: Scope, at: Place): unknown {
    const { marked } = custom;
    const choose = this.#chooser(scope, at);
    return this.#converted(at, () => {
      if (custom.sample !== undefined) return custom.sample(choose, scope);
      if (marked !== undefined) return choose.list(mostListElements, () => choose.of(marked));
      return this.#deeper(() =>
        sampleBySteps(custom, scope, {
          refuse: (expected) => new Unmet(at.path, expected),
          make: (field, index, most) => this.#field(field as Spec, scope, other(at, index), most),
        }),
      );
    });
  }

  #chooser(scope: Scope, at: Place): Choose {
    const { values } = this.#settings;
    let place = at;
    let choices = 0;
    const next = () => other(place, choices++);
    const draw = <T>(arbitrary: Arbitrary<T>): T => this.#draw(next().name, arbitrary);
    return {
      integer: (low, high) => draw(values.number(low, high)),
      bigint: (low, high) => draw(values.bigint(low, high)),
      bytes: (length) => draw(values.bytes(length)).slice(),
      of: <T>(field: Field<T>) => this.#field(field as Spec, scope, next()) as T,
      list: (most, one) =>
        this.#deeper(() => {
          const high = this.#depth > deepest ? 0 : Math.min(most, mostListElements);
          const length = draw(values.plain(high));
          const outside = { place, choices };
          const list = next();
          const all = Array.from({ length }, (_, index) => {
            place = element(list, index);
            choices = 0;
            return one(index);
          });
          place = outside.place;
          choices = outside.choices + 1;
          return all;
        }),
    };
  }

  #deeper<T>(make: () => T): T {
    this.#depth++;
    try {
      return make();
    } finally {
      this.#depth--;
    }
  }

  /** What a description's own function makes of a choice; what it refuses is no state. */
  #converted<T>(at: Place, convert: () => T): T {
    try {
      return convert();
    } catch (error) {
      if (!isMigrationError(error)) throw error;
      throw new Unmet(error.location.path ?? at.path, error.message);
    }
  }

  #overridden<T>(
    override: (base: Arbitrary<T>) => Arbitrary<T>,
    scope: Scope | undefined,
    at: Place,
    make: (maker: Maker) => unknown,
  ): T {
    const refused = (last: Unmet): ArbitraryError => this.#settings.refused(last);
    const base = new Built((draw) => {
      const maker = new Maker(draw, this.#settings, at.name);
      maker.#depth = this.#depth;
      for (let one = scope; one !== undefined; one = one.parent) maker.#paths.set(one, this.#pathOf(one));
      return make(maker) as T;
    }, refused);
    return cloneValue(this.#draw(at.name, override(base), cloneValue(scope?.record ?? {})));
  }
}

function absentOf(absent: unknown, scope: Scope): unknown {
  return cloneValue(typeof absent === "function" ? absent(scope) : absent);
}

/** `from` and at most `small` more, and not beyond `high`. */
function least(high: bigint, small: number | undefined, from = 0n): bigint {
  if (small === undefined) return high;
  const most = from + BigInt(small);
  return most < high ? most : high;
}

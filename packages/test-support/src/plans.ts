// Random descriptions with random states of them: every field kind, nested, counted, conditional, with subsections.

import {
  array,
  atMost,
  bitmap,
  bool,
  buffer,
  type CustomItem,
  checked,
  cpudouble,
  customField,
  type Description,
  equal,
  type Field,
  type Fields,
  i8,
  i16,
  i32,
  i64,
  i64n,
  mustExist,
  named,
  pointer,
  pointers,
  range,
  type Subsection,
  sameValue,
  since,
  struct,
  subsection,
  timer,
  tmp,
  u8,
  u16,
  u32,
  u64,
  u64n,
  u64pair,
  until,
  unused,
  validate,
  varray,
  vbuffer,
  vmstate,
  vstruct,
  when,
} from "@godwit/core";
import fc from "fast-check";

// biome-ignore lint/suspicious/noExplicitAny: states of descriptions that are only known at run time
type State = Record<string, any>;

/** A field, and the values that a state may have there. */
interface Part<T = unknown> {
  readonly field: Field<T>;
  readonly value: fc.Arbitrary<T>;
}
/** Fields that stand together (a counter and what it counts), and the values of their keys. */
interface Group {
  readonly fields: Record<string, Field>;
  readonly state: fc.Arbitrary<State>;
}
export interface Plan {
  readonly description: Description<State>;
  readonly state: fc.Arbitrary<State>;
}

const big = (bits: number, signed: boolean): fc.Arbitrary<bigint> =>
  signed
    ? fc.bigInt({ min: -(1n << BigInt(bits - 1)), max: (1n << BigInt(bits - 1)) - 1n })
    : fc.bigInt({ min: 0n, max: (1n << BigInt(bits)) - 1n });
const small = (bits: number, signed: boolean): fc.Arbitrary<number> =>
  signed
    ? fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 })
    : fc.integer({ min: 0, max: 2 ** bits - 1 });
const pair = fc.tuple(small(32, false), small(32, false));

interface IntKind {
  readonly field: Field;
  readonly value: fc.Arbitrary<unknown>;
  /** What an array of it is in a state. */
  readonly of: (values: unknown[]) => unknown;
}
const list = (values: unknown[]): unknown => values;
const typed =
  <T>(from: (values: T[]) => unknown) =>
  (values: unknown[]): unknown =>
    from(values as T[]);
const ints: readonly IntKind[] = [
  { field: u8, value: small(8, false), of: typed<number>((v) => Uint8Array.from(v)) },
  { field: i8, value: small(8, true), of: typed<number>((v) => Int8Array.from(v)) },
  { field: u16, value: small(16, false), of: typed<number>((v) => Uint16Array.from(v)) },
  { field: i16, value: small(16, true), of: typed<number>((v) => Int16Array.from(v)) },
  { field: u32, value: small(32, false), of: typed<number>((v) => Uint32Array.from(v)) },
  { field: i32, value: small(32, true), of: typed<number>((v) => Int32Array.from(v)) },
  { field: u64, value: big(64, false), of: typed<bigint>((v) => BigUint64Array.from(v)) },
  { field: i64, value: big(64, true), of: typed<bigint>((v) => BigInt64Array.from(v)) },
  { field: u64n, value: fc.maxSafeNat(), of: list },
  { field: i64n, value: fc.maxSafeInteger(), of: list },
  { field: u64pair, value: pair, of: list },
];
const int = fc.constantFrom(...ints);

/** Arrays of integers are a kind of their own. */
function elementOf(field: Field): Field {
  return field.kind === "int" ? checked(field, () => true, "anything") : field;
}

const bytesOf = (size: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: size, maxLength: size });
const arrayOf = <T>(value: fc.Arbitrary<T>, n: number): fc.Arbitrary<T[]> =>
  fc.array(value, { minLength: n, maxLength: n });

/** A list behind a byte that says how many, from outside core: steps, framing and elements of any field. */
export function countedList<T>(element: Field<T>): Field<T[]> {
  interface Steps {
    count: number;
    readonly values: T[];
  }
  return customField<T[], Steps>({
    kind: "counted",
    begin: () => ({ count: -1, values: [] }),
    next: (s) => (s.count < 0 ? u8 : s.values.length < s.count ? element : undefined),
    take(s, value) {
      if (s.count < 0) s.count = value as number;
      else s.values.push(value as T);
    },
    end: (s) => s.values,
    segment: (s) => (s.count < 0 ? "count" : `[${s.values.length}]`),
    *encode(values): Iterable<CustomItem> {
      yield { field: u8, value: values.length, segment: "count" };
      for (const [i, value] of values.entries()) yield { field: element, value, segment: `[${i}]` };
    },
    map: (values, each) => values.map((one) => each(element, one) as T),
  });
}

const swapped = vmstate({ name: "swapped", version: 2, minimumVersion: 0, fields: { low: u16, high: u16, odd: bool } });

const leaf: fc.Arbitrary<Part> = fc.oneof(
  int.map(({ field, value }) => ({ field, value })),
  fc.constant<Part>({ field: bool, value: fc.boolean() }),
  fc.constant<Part>({ field: timer, value: fc.option(fc.bigInt({ min: 0n, max: 2n ** 64n - 2n })) }),
  fc.constant<Part>({ field: cpudouble, value: big(64, false) }),
  fc.nat(9).map<Part>((n) => ({ field: buffer(n), value: bytesOf(n) })),
  fc.nat(130).map<Part>((bits) => ({ field: bitmap(bits), value: bytesOf(Math.ceil(bits / 64) * 8) })),
  fc.tuple(int, fc.nat(4)).map<Part>(([kind, n]) => ({
    field: array(kind.field, n),
    value: arrayOf(kind.value, n).map(kind.of),
  })),
  small(16, false).map<Part>((value) => ({ field: equal(u16, value), value: fc.constant(value) })),
  big(64, false).map<Part>((value) => ({ field: equal(u64, value), value: fc.constant(value) })),
  fc.nat(1000).map<Part>((limit) => ({ field: atMost(i32, limit), value: fc.nat(limit) })),
  fc.constant<Part>({ field: range(u8, 3, 200), value: fc.integer({ min: 3, max: 200 }) }),
);

interface Depth {
  readonly left: number;
  /** Names are of one length, so that none is the beginning of another. */
  readonly next: () => number;
}

/** A field of any kind that stands by itself. */
function part(depth: Depth): fc.Arbitrary<Part> {
  if (depth.left === 0) return leaf;
  const inner = { ...depth, left: depth.left - 1 };
  const element = (): fc.Arbitrary<Part> => part(inner);
  return fc.oneof(
    { weight: 5, arbitrary: leaf },
    {
      weight: 2,
      arbitrary: body(inner).map(({ description, state }) => ({ field: struct(description), value: state })),
    },
    {
      weight: 1,
      arbitrary: body(inner, "fixed").map(({ description, state }) => ({
        field: vstruct(description, description.minimumVersion),
        value: state,
      })),
    },
    {
      weight: 2,
      arbitrary: fc.tuple(element(), fc.nat(3)).map<Part>(([{ field, value }, n]) => ({
        field: array(elementOf(field), n),
        value: arrayOf(value, n),
      })),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(element(), fc.array(fc.boolean(), { maxLength: 4 }))
        .map<Part>(([{ field, value }, nulls]) => ({
          field: pointers(pointer(field), nulls.length, (i) => nulls[i] === true),
          value: fc.tuple(...nulls.map((isNull) => (isNull ? fc.constant(null) : value))).map((v) => [...v]),
        })),
    },
    {
      weight: 1,
      arbitrary: element().map<Part>(({ field, value }) => ({
        field: countedList(field),
        value: fc.array(value, { maxLength: 3 }),
      })),
    },
    {
      weight: 1,
      arbitrary: fc.constant<Part>({
        field: tmp(swapped, {
          save: (v: { sum: number; odd: string }) => ({
            low: v.sum & 0xffff,
            high: v.sum >>> 16,
            odd: v.odd === "odd",
          }),
          load: ({ low, high, odd }) => ({ sum: ((high << 16) | low) >>> 0, odd: odd ? "odd" : "even" }),
        }) as Field,
        value: fc.record({ sum: small(32, false), odd: fc.constantFrom("odd", "even") }),
      }),
    },
  );
}

function group(key: string, depth: Depth, version: number, kind: Kind): fc.Arbitrary<Group> {
  const one = part(depth);
  const alone = one.map<Group>(({ field, value }) => ({
    fields: { [key]: field },
    state: value.map((v) => ({ [key]: v })),
  }));
  const counted = fc
    .tuple(one, fc.constantFrom(u8, u16, u32, i32), fc.nat(3), fc.boolean(), int, fc.nat(4))
    .map<Group>(([{ field, value }, counter, n, twice, kind, shape]) => {
      const times = twice ? 2 : 1;
      const count = twice ? (r: State) => r[`${key}_n`] * 2 : `${key}_n`;
      const sized: Part = [
        { field: varray(count, elementOf(field)), value: arrayOf(value, n * times) },
        { field: vbuffer(count), value: bytesOf(n * times) },
        { field: bitmap(count), value: bytesOf(Math.ceil((n * times) / 64) * 8) },
        { field: varray(count, kind.field), value: arrayOf(kind.value, n * times).map(kind.of) },
        { field: pointers(field, count, (i) => i === 1), value: pointersOf(value, n * times) },
      ][shape] as Part;
      return {
        fields: { [`${key}_n`]: counter, [key]: sized.field },
        state: sized.value.map((v) => ({ [`${key}_n`]: n, [key]: v })),
      };
    });
  const versioned = fc.tuple(one, fc.integer({ min: 1, max: 5 }), fc.boolean()).chain(([{ field, value }, at, from]) =>
    value.map<Group>((absent) => ({
      fields: { [key]: from ? since(at, field, { absent }) : until(at, field, { absent: () => absent }) },
      state: (from ? version >= at : version < at) ? value.map((v) => ({ [key]: v })) : fc.constant({ [key]: absent }),
    })),
  );
  const tested = fc.tuple(one, fc.boolean()).chain(([{ field, value }, nested]) =>
    value.map<Group>((absent) => {
      const flag: Field = nested ? struct(flags) : u8;
      const flagOf = (on: boolean): unknown => (nested ? { on } : on ? 5 : 4);
      const exists = (r: State): boolean => (nested ? r[`${key}_f`].on === true : (r[`${key}_f`] & 1) === 1);
      return {
        fields: { [`${key}_f`]: flag, [key]: when(exists, field, { absent }) },
        state: fc.oneof(
          value.map((v) => ({ [`${key}_f`]: flagOf(true), [key]: v })),
          fc.constant({ [`${key}_f`]: flagOf(false), [key]: absent }),
        ),
      };
    }),
  );
  // A counter that did not come counts as its `absent`.
  const absentCounter = fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 3 })).map<Group>(([comes, n]) => ({
    fields: {
      [`${key}_n`]: when(() => comes, u8, { absent: n }),
      [key]: varray(`${key}_n`, u16),
      [`_${key}_v`]: validate((r) => r[`${key}_n`] > 0),
      [`${key}_m`]: mustExist((r) => r[`${key}_n`] > 0, u8),
    },
    state: fc.tuple(comes ? fc.integer({ min: 1, max: 6 }) : fc.constant(n), small(8, false)).chain(([m, must]) =>
      arrayOf(small(16, false), m).map((v) => ({
        [`${key}_n`]: m,
        [key]: Uint16Array.from(v),
        [`${key}_m`]: must,
      })),
    ),
  }));
  const padding = fc.tuple(fc.nat(5), fc.boolean()).map<Group>(([n, no]) => ({
    fields: { [`_${key}`]: no ? when(() => false, unused(n)) : unused(n) },
    state: fc.constant({}),
  }));
  const renamed = one.map<Group>(({ field, value }) => ({
    fields: { [key]: named("state.regs[0]", field) },
    state: value.map((v) => ({ [key]: v })),
  }));
  return fc.oneof(
    { weight: 6, arbitrary: alone },
    { weight: 3, arbitrary: counted },
    { weight: kind === "fixed" ? 0 : 2, arbitrary: versioned },
    { weight: 2, arbitrary: tested },
    { weight: 1, arbitrary: absentCounter },
    { weight: 1, arbitrary: padding },
    { weight: 1, arbitrary: renamed },
  );
}

const flags = vmstate({ name: "flags", version: 1, fields: { on: bool } });

function pointersOf(value: fc.Arbitrary<unknown>, n: number): fc.Arbitrary<unknown[]> {
  return arrayOf(value, n).map((values) => values.map((one, i) => (i === 1 ? null : one)));
}

/** `fixed`: read in a version that an enclosing description names, so no field of it depends on the version. */
type Kind = "own" | "fixed";

/** What stands on the wire is not what the device holds: the two hooks undo each other. */
const turn = (state: State): State => ({ ...state, hooked: !state["hooked"] });
const hooked = { preSave: turn, postLoad: turn } as object;

interface BodyPlan extends Plan {
  readonly hooks: object;
}

function body(
  depth: Depth,
  kind: Kind = "own",
  name: string = `d${depth.next()}`,
  root = false,
): fc.Arbitrary<BodyPlan> {
  const shape = fc.record({
    version: fc.integer({ min: 1, max: 4 }),
    fields: fc.nat(depth.left === 0 ? 3 : 4),
    subsections: fc.oneof(
      { weight: 3, arbitrary: fc.constant(0) },
      { weight: 2, arbitrary: fc.integer({ min: 1, max: 2 }) },
    ),
    hook: fc.nat(5).map((n) => n === 0),
  });
  return shape.chain(({ version, fields, subsections, hook }) => {
    const groups = Array.from({ length: fields }, (_, i) => group(`f${i}`, depth, version, kind));
    // Two bodies without a byte between them cannot be told apart by whose subsection follows.
    if (subsections > 0 && !root)
      groups.unshift(fc.constant({ fields: { lead: u8 }, state: fc.record({ lead: small(8, false) }) }));
    if (hook) groups.push(fc.constant({ fields: { hooked: bool }, state: fc.record({ hooked: fc.boolean() }) }));
    const parts = Array.from({ length: subsections }, (_, i) => sub(`${name}/${i}`, depth));
    return fc.tuple(fc.tuple(...groups), fc.tuple(...parts)).map(([own, subs]): BodyPlan => {
      const all: Record<string, Field> = {};
      for (const one of own) Object.assign(all, one.fields);
      const held: Record<string, Subsection> = {};
      for (const [i, one] of subs.entries()) held[`s${i}`] = one.subsection;
      const states = [
        ...own.map((one) => one.state),
        ...subs.map((one, i) => one.state.map((state): State => ({ [`s${i}`]: state }))),
      ];
      const hooks = hook ? hooked : {};
      return {
        description: vmstate({
          name,
          version,
          minimumVersion: 0,
          fields: all as Fields,
          subsections: held,
          ...hooks,
        }) as unknown as Description<State>,
        state: fc.tuple(...states).map((each) => Object.assign({}, ...each)),
        hooks,
      };
    });
  });
}

function sub(name: string, depth: Depth): fc.Arbitrary<{ subsection: Subsection; state: fc.Arbitrary<State> }> {
  if (depth.left === 0)
    return fc.constant({ subsection: flagSubsection(name), state: fc.record({ on: fc.boolean() }) });
  const inner = { ...depth, left: depth.left - 1 };
  return fc.tuple(body(inner, "own", name), fc.boolean()).chain(([{ description, state, hooks }, always]) =>
    state.map((absent) => ({
      subsection: subsection({
        name,
        version: description.version,
        minimumVersion: 0,
        fields: description.fields,
        subsections: description.subsections,
        ...hooks,
        needed: (own: State) => always || !sameValue(own, absent),
        absent: absent as never,
      }) as unknown as Subsection,
      state: fc.oneof({ weight: 1, arbitrary: fc.constant(absent) }, { weight: 2, arbitrary: state }),
    })),
  );
}

function flagSubsection(name: string): Subsection {
  return subsection({ name, version: 1, fields: { on: bool }, needed: (own) => own.on, absent: { on: false } });
}

/** Bodies of fixed size without conditions: those that get code of their own. */
function simple(levels: number, next: () => number): fc.Arbitrary<Plan> {
  const alone = leaf.filter(({ field }) => field.kind !== "checked" && field.kind !== "bitmap");
  const nested =
    levels === 0
      ? alone
      : fc.oneof(
          { weight: 3, arbitrary: alone },
          {
            weight: 1,
            arbitrary: simple(levels - 1, next).map<Part>(({ description, state }) => ({
              field: struct(description),
              value: state,
            })),
          },
          {
            weight: 1,
            arbitrary: fc.tuple(simple(levels - 1, next), fc.nat(6)).map<Part>(([{ description, state }, n]) => ({
              field: array(struct(description), n),
              value: arrayOf(state, n),
            })),
          },
          {
            weight: 1,
            arbitrary: fc.nat(6).map<Part>((n) => ({ field: array(bool, n), value: arrayOf(fc.boolean(), n) })),
          },
        );
  return fc
    .tuple(fc.array(nested, { minLength: 1, maxLength: 5 }), fc.integer({ min: 0, max: 20 }))
    .map(([parts, pad]) => ({
      description: vmstate({
        name: `d${next()}`,
        version: 1,
        fields: { ...Object.fromEntries(parts.map(({ field }, i) => [`f${i}`, field])), _pad: unused(pad) },
      }) as unknown as Description<State>,
      state: fc
        .tuple(...parts.map(({ value }) => value))
        .map((values) => Object.fromEntries(values.map((value, i) => [`f${i}`, value]))),
    }));
}

/** A simple body with a few states, in a description where it stands in every way that code of its own is used in. */
export function simples(): fc.Arbitrary<Sample> {
  return fc
    .constant(0)
    .chain(() => {
      let names = 0;
      return simple(2, () => 1000 + names++);
    })
    .chain(({ description, state }) =>
      fc.array(state, { minLength: 1, maxLength: 5 }).map((states) => ({
        description: holder(description, states[0] as State),
        state: {
          n: states.length,
          counted: states,
          listed: [...states].reverse(),
          fixed: [states[0], states[states.length - 1]],
          one: states[0],
          part: states[states.length - 1],
        },
      })),
    );
}

function holder(description: Description<State>, absent: State): Description<State> {
  return vmstate({
    name: "holder",
    version: 1,
    fields: {
      n: u8,
      counted: varray("n", struct(description)),
      listed: markedList(struct(description)),
      fixed: array(struct(description), 2),
      one: struct(description),
    },
    subsections: {
      part: subsection({ name: "holder/part", version: 1, fields: description.fields, absent: absent as never }),
    },
  }) as unknown as Description<State>;
}

/** A list with a mark before each element, as QEMU writes its lists; with the hint that makes it quick. */
export function markedList<T>(element: Field<T>): Field<T[]> {
  interface Steps {
    readonly values: T[];
    next: "mark" | "element" | "end";
  }
  return customField<T[], Steps>({
    kind: "marked",
    begin: () => ({ values: [], next: "mark" }),
    next: (s) => (s.next === "mark" ? range(u8, 0, 1) : s.next === "element" ? element : undefined),
    take(s, value) {
      if (s.next === "mark") s.next = value === 1 ? "element" : "end";
      else {
        s.values.push(value as T);
        s.next = "mark";
      }
    },
    end: (s) => s.values,
    segment: (s) => `[${s.values.length}]`,
    *encode(values): Iterable<CustomItem> {
      for (const [i, value] of values.entries()) {
        yield { field: u8, value: 1 };
        yield { field: element, value, segment: `[${i}]` };
      }
      yield { field: u8, value: 0 };
    },
    map: (values, each) => values.map((one) => each(element, one) as T),
    marked: element,
  });
}

/** A description with a generator of its states. */
export function plans(levels: number): fc.Arbitrary<Plan> {
  return fc.constant(0).chain(() => {
    let names = 0;
    return body({ left: levels, next: () => 1000 + names++ }, "own", "root", true);
  });
}

export interface Sample {
  readonly description: Description<State>;
  readonly state: State;
}

/** A description with one state of it. */
export function samples(levels = 2): fc.Arbitrary<Sample> {
  return plans(levels).chain(({ description, state }) => state.map((one) => ({ description, state: one })));
}

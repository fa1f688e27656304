// An arbitrary whose value a function builds, choice by choice. Choices have names, so that a smaller one leaves all
// the others as they are, also those behind it, and a list that becomes shorter keeps what is left of it.
import { sameValue } from "@godwit/core";
import { Arbitrary, type Random, Stream, stream, type Value, Value as ValueOf } from "fast-check";
import { Unmet } from "./error.ts";

/**
 * Chooses: a name, and what to choose from. A choice made again under its name keeps its value if its arbitrary is the same
 * object; `given`, for an arbitrary that is made anew each time, is what it follows from.
 */
export type Draw = <T>(name: string, arbitrary: Arbitrary<T>, given?: unknown) => T;

interface Choice {
  readonly arbitrary: Arbitrary<unknown>;
  readonly value: Value<unknown>;
  readonly given: unknown;
  /** What it was drawn with, kept where it may have to be drawn again. */
  readonly random: Random | undefined;
}

type Choices = ReadonlyMap<string, Choice>;

class History {
  readonly choices: Choices;
  readonly random: Random;
  constructor(choices: Choices, random: Random) {
    this.choices = choices;
    this.random = random;
  }
}

/** A generation is given up after so many tries, with what `refused` makes of the last one. */
const mostTries = 16;

export class Built<T> extends Arbitrary<T> {
  readonly #build: (draw: Draw) => T;
  readonly #refused: (last: Unmet) => Error;
  #prepare: (() => void) | undefined;

  /** `prepare` runs once, before the first value. */
  constructor(build: (draw: Draw) => T, refused: (last: Unmet) => Error, prepare?: () => void) {
    super();
    this.#prepare = prepare;
    this.#build = build;
    this.#refused = refused;
  }

  override generate(random: Random, biasFactor: number | undefined): Value<T> {
    const prepare = this.#prepare;
    this.#prepare = undefined;
    prepare?.();
    for (let tries = 1; ; tries++) {
      try {
        return this.#run(random, biasFactor);
      } catch (error) {
        if (!(error instanceof Unmet)) throw error;
        if (tries === mostTries) throw this.#refused(error);
      }
    }
  }

  override canShrinkWithoutContext(_value: unknown): _value is T {
    return false;
  }

  override shrink(_value: T, context?: unknown): Stream<Value<T>> {
    return context instanceof History ? stream(this.#smaller(context)) : Stream.nil();
  }

  #run(random: Random, biasFactor: number | undefined, known?: Choices): Value<T> {
    const start = random.clone();
    const choices = new Map<string, Choice>();
    const built = this.#build((name, arbitrary, given) => {
      const before = known?.get(name);
      const value = (
        before === undefined ? arbitrary.generate(random, biasFactor) : again(before, arbitrary, given, random)
      ) as Value<never>;
      const source = given === undefined ? undefined : (before?.random ?? start);
      choices.set(name, { arbitrary, value, given, random: source });
      return value.value;
    });
    return new ValueOf(built, new History(choices, start));
  }

  /** Whole runs of choices first, then one at a time: a state has thousands where one matters. */
  *#smaller({ choices, random }: History): IterableIterator<Value<T>> {
    const names = [...choices.keys()];
    for (let length = names.length; length > 1; length = Math.floor(length / 2)) {
      for (let from = 0; from < names.length; from += length) {
        const first = names.slice(from, from + length).flatMap((name) => {
          const [value] = smallerOf(choices.get(name) as Choice).take(1);
          return value === undefined ? [] : ([[name, value]] as const);
        });
        if (first.length > 1) yield* this.#with(choices, first, random);
      }
    }
    for (const [name, choice] of choices) {
      for (const value of smallerOf(choice)) yield* this.#with(choices, [[name, value]], random);
    }
  }

  *#with(
    choices: Choices,
    changed: readonly (readonly [name: string, value: Value<unknown>])[],
    random: Random,
  ): IterableIterator<Value<T>> {
    const known = new Map(choices);
    for (const [name, value] of changed) known.set(name, { ...(choices.get(name) as Choice), value });
    try {
      yield this.#run(random.clone(), undefined, known);
    } catch (error) {
      // The smaller choice leads to no state: there is nothing to try.
      if (!(error instanceof Unmet)) throw error;
    }
  }
}

function again(before: Choice, arbitrary: Arbitrary<unknown>, given: unknown, random: Random): Value<unknown> {
  const isSame =
    given === undefined ? before.arbitrary === arbitrary : before.given !== undefined && sameValue(before.given, given);
  return isSame ? before.value : arbitrary.generate((before.random ?? random).clone(), undefined);
}

function smallerOf({ arbitrary, value }: Choice): Stream<Value<unknown>> {
  return arbitrary.shrink(value.value_, value.context);
}

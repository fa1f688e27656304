// The laws of capture and restore, over random descriptions and states, held by instances with more than is described.

import { plans, samples } from "@godwit/test-support/plans";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { capture, decodeState, encodeState, restore } from "../src/index.ts";

const seed = 20_261_121;
const runs = (numRuns: number): fc.Parameters<unknown> => ({ seed, numRuns });

type State = Record<string, unknown>;

/** What devices are made of: members that no description names, one of which leads back to the whole. */
class Living {
  readonly #secret = "not described";
  constructor(owner: object | undefined, enumerable: boolean) {
    Object.defineProperty(this, "owner", { value: owner ?? this, enumerable });
  }
  get secret(): string {
    return this.#secret;
  }
}

/** The same state, each of its records an instance. */
function alive(value: unknown, enumerable = true, owner?: object): State {
  if (typeof value !== "object" || value === null) return value as State;
  if (ArrayBuffer.isView(value)) return (value as Uint8Array).slice() as unknown as State;
  if (Array.isArray(value)) return value.map((one) => alive(one, enumerable, owner)) as unknown as State;
  // No field describes what stands in a plan's `tmp`, so that all of it is the value.
  if ("sum" in value) return { ...value };
  const one = new Living(owner, enumerable) as Living & Record<string, unknown>;
  for (const [key, own] of Object.entries(value)) one[key] = alive(own, enumerable, owner ?? one);
  return one;
}

/** Overwrites whatever a value holds, in place. */
function spoil(value: unknown): void {
  if (ArrayBuffer.isView(value)) new Uint8Array(value.buffer).fill(0xff);
  else if (typeof value === "object" && value !== null) {
    for (const [key, one] of Object.entries(value)) {
      if (key === "owner") continue;
      spoil(one);
      if (typeof one !== "object") Reflect.set(value, key, "spoilt");
    }
  }
}

/** Every record that a value holds, in order. */
function records(value: unknown): Living[] {
  if (Array.isArray(value)) return value.flatMap(records);
  if (!(value instanceof Living)) return [];
  return [value, ...Object.entries(value).flatMap(([key, one]) => (key === "owner" ? [] : records(one)))];
}

describe("laws of capture and restore", () => {
  it("what is captured is the state, and shares nothing with the instance", () => {
    fc.assert(
      fc.property(samples(3), ({ description, state }) => {
        const bytes = encodeState(description, state).slice();
        const instance = alive(state);
        const captured = capture(description, instance);
        expect(captured).toStrictEqual(decodeState(description, bytes));
        expect(encodeState(description, captured)).toEqual(bytes);
        expect(encodeState(description, alive(state, false))).toEqual(bytes);
        spoil(instance);
        expect(captured).toStrictEqual(decodeState(description, bytes));
      }),
      runs(300),
    );
  });

  it("what is restored is the state, in the same instances, and shares nothing with it", () => {
    fc.assert(
      fc.property(samples(3), ({ description, state }) => {
        const bytes = encodeState(description, state).slice();
        const instance = alive(state);
        const before = records(instance);
        const given = decodeState(description, bytes);
        restore(description, instance, given);
        expect(records(instance).every((one, i) => one === before[i])).toBe(true);
        expect(records(instance)).toHaveLength(before.length);
        spoil(given);
        expect(capture(description, instance)).toStrictEqual(decodeState(description, bytes));
      }),
      runs(300),
    );
  });

  it("a state goes into an instance that held another one", () => {
    const pairs = plans(3).chain(({ description, state }) =>
      fc.tuple(state, state).map((states) => ({ description, states })),
    );
    let changed = 0;
    fc.assert(
      fc.property(pairs, ({ description, states: [one, other] }) => {
        const instance = alive(one);
        const plainTarget = structuredClone(one);
        const given = structuredClone(other);
        restore(description, plainTarget, given);
        const expected = capture(description, other);
        expect(capture(description, plainTarget)).toStrictEqual(expected);
        spoil(given);
        expect(capture(description, plainTarget)).toStrictEqual(expected);
        try {
          restore(description, instance, other);
          expect(capture(description, instance)).toStrictEqual(expected);
        } catch (error) {
          // A list of instances that has another length now; nothing has changed.
          expect(error).toMatchObject({ code: "COUNT_MISMATCH" });
          expect(capture(description, instance)).toStrictEqual(capture(description, one));
        }
        if (encodeState(description, one).join() !== encodeState(description, other).join()) changed++;
      }),
      runs(200),
    );
    expect(changed).toBeGreaterThan(100);
  });
});

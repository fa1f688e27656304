// What `retired`, `split` and `merged` say, as successions.
import type { FormerPart, MergedInit, Registration, RetiredInit, SplitInit } from "../contract.ts";
import { converted, type OldState, placeOf, type SuccessionInit } from "../registry/former.ts";
import type { Entry } from "../registry/registry.ts";
import type { AnyRecord, Description, StateOf } from "../vmstate/types.ts";

export function retirement<D extends Description>(description: D, init: RetiredInit<StateOf<D>>): SuccessionInit {
  const handOn = init.handOn as ((state: AnyRecord, version: number) => () => void) | undefined;
  return {
    from: [{ ...placeOf(description.name, init), description }],
    into: [],
    convert: () => [],
    handOn: handOn && (({ state, version }) => handOn(state, version)),
  };
}

export function splitting<D extends Description, const Into extends Readonly<Record<string, Registration>>>(
  description: D,
  init: SplitInit<StateOf<D>, Into>,
  entryOf: (registration: Registration) => Entry,
): SuccessionInit {
  const keys = Object.keys(init.into);
  return {
    from: [{ ...placeOf(description.name, init), description }],
    into: keys.map((key) => entryOf(init.into[key] as Registration)),
    convert: ([old]) => {
      const { state, version } = old as OldState;
      const made = converted(() => init.convert(state as StateOf<D>, version)) as AnyRecord;
      return keys.map((key) => made[key]);
    },
    handOn: undefined,
  };
}

export function merging<S, const From extends Readonly<Record<string, FormerPart>>>(
  into: Entry,
  { from, convert }: MergedInit<From, S>,
): SuccessionInit {
  const parts = Object.entries(from);
  return {
    from: parts.map(([, part]) => ({ ...placeOf(part.description.name, part), description: part.description })),
    into: [into],
    convert: (olds) => {
      const states = Object.fromEntries(parts.map(([key], i) => [key, olds[i]?.state]));
      return [converted(() => convert(states as Parameters<typeof convert>[0])) as AnyRecord];
    },
    handOn: undefined,
  };
}

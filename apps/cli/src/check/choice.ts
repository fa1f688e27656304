// What of two sides is looked at: all of it, or the classes and sections that options name or that a machine has.

import type { CheckedClass, ClassChoice, SeenSection, Side } from "@godwit/core/compatibility";
import { CliFault } from "../faults.ts";
import { globMatcher } from "../model/glob.ts";

export interface ChoiceInit {
  /** Asked for the names of classes, of their descriptions and of sections; what it names is taken to be in the machine. */
  readonly devices?: ((name: string) => boolean) | undefined;
  /** Names of the descriptions of a machine's sections: only these are looked at. */
  readonly sections?: ReadonlySet<string> | undefined;
}

export interface Choice extends ClassChoice {
  readonly isSeenChosen: (one: SeenSection) => boolean;
}

export function choiceOf({ devices, sections }: ChoiceInit): Choice {
  const isNamed = (names: readonly string[]) => devices === undefined || names.some(devices);
  const isHad = (name: string) => sections === undefined || sections.has(name);
  return {
    isChosen: (one) => isNamed(namesOfClass(one)) && isHad(one.description.name),
    isSeenChosen: (one) => isNamed(namesOfSeen(one)) && isHad(one.name),
    present: devices !== undefined || sections !== undefined,
  };
}

/** Any of the globs. */
export function anyOf(globs: readonly string[]): (name: string) => boolean {
  const matchers = globs.map(globMatcher);
  return (name) => matchers.some((matches) => matches(name));
}

/**
 * `CHECK_NOTHING_CHOSEN` for a glob that matches nothing, and where the machine has no section that a dump holds: "nothing
 * found" about what nobody looked at would be taken for an answer.
 */
export function mustChoose(globs: readonly string[], { sections }: ChoiceInit, sides: readonly Side[]): void {
  const holds = (choice: Choice) =>
    sides.some(({ classes, seen = [] }) => classes.some(choice.isChosen) || seen.some(choice.isSeenChosen));
  if (sections !== undefined && !sides.some(({ classes }) => classes.some(choiceOf({ sections }).isChosen))) {
    throw nothing("neither dump holds a section of that machine", "is it a machine of the same architecture?");
  }
  for (const glob of globs) {
    if (holds(choiceOf({ devices: globMatcher(glob), sections }))) continue;
    const among = sections === undefined ? "" : " among the sections of that machine";
    throw nothing(`nothing${among} matches "${glob}"`, "a glob is held against device classes and sections' names");
  }
}

const namesOfClass = ({ name, description }: CheckedClass): readonly string[] => [name, description.name];

const namesOfSeen = ({ name, idstr, instance }: SeenSection): readonly string[] => [
  name,
  idstr,
  `${idstr}/${instance}`,
];

const nothing = (sentence: string, hint: string): CliFault =>
  new CliFault("CHECK_NOTHING_CHOSEN", sentence, { exit: 2, hint });

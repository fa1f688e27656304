// Never two: every state that the rules allow, with kills and restarts anywhere and a network that does what it likes.
import { describe, expect, it } from "vitest";
import { type OwnershipRules, ownershipRules } from "../../src/ownership/rules.ts";
import { type Search, search } from "./search.ts";

const rules = ownershipRules;

const searches: readonly (readonly [string, Omit<Search, "rules">, atLeastStates: number])[] = [
  ["two hosts, to and fro", { hosts: 2, maxOfferedEpoch: 8, lateWrites: true }, 10_000],
  ["three hosts, in every direction", { hosts: 3, maxOfferedEpoch: 4, promptAnswers: true }, 15_000],
  ["three hosts, questions that come late", { hosts: 3, maxOfferedEpoch: 3, lateWrites: true }, 20_000],
  [
    "a second destination, and the first once more",
    { hosts: 3, maxOfferedEpoch: 6, oneSource: true, promptAnswers: true },
    20_000,
  ],
  ["a third destination", { hosts: 4, maxOfferedEpoch: 4, oneSource: true, promptAnswers: true }, 10_000],
];

describe("the hand-over", () => {
  it.each(searches)("never has two that run, and never leaves one behind: %s", (name, options, atLeastStates) => {
    const found = search({ rules, ...options });
    expect(found.violation).toBeUndefined();
    expect(found.stuck).toEqual({ states: 0, trace: undefined });
    // What the search must have been through, so that "nothing found" says something.
    expect(found.states).toBeGreaterThan(atLeastStates);
    for (const kind of ["1 running", "0 running", "0 running, lost", "1 running, lost"]) {
      expect(found.seen[kind], kind).toBeGreaterThan(100);
    }
    for (const state of ["owned", "released", "accepted", "refused", "no record"]) {
      expect(found.seen[state], state).toBeGreaterThan(100);
    }
    console.log(`${name}: ${found.states} states, ${found.moves} moves`);
  });
});

/** Each rule, broken: the search must see it, or it would not see anything. */
const canaries: readonly (readonly [string, string, Partial<Search> & { readonly rules?: OwnershipRules }])[] = [
  [
    "the machine runs before the record says so",
    "two may run|one runs that may not",
    { mistakes: { runBeforeOwned: true } },
  ],
  [
    "the word is said before it is written",
    "two may run|one runs that may not",
    { mistakes: { sayBeforeReleased: true } },
  ],
  ["the source takes back without asking", "two may run|an old copy runs", { mistakes: { takeBackUnasked: true } }],
  ["never is said before it is written", "two may run", { mistakes: { answerBeforeRefused: true } }],
  [
    "a source that was refused goes on in its old epoch",
    "two may run|an old copy runs",
    {
      rules: {
        ...rules,
        offer: (record) => ({ ...rules.offer(record), epoch: record?.epoch ?? 0 }),
        takeBack: (record, epoch) => ({ ...rules.takeBack(record, epoch), epoch: epoch - 1 }),
        accept: (record, machine, epoch) =>
          record?.epoch === epoch && record.state !== "owned"
            ? { machine, epoch, state: "accepted" }
            : rules.accept(record, machine, epoch),
      },
    },
  ],
  [
    "a source takes back as e+1, which was the destination's",
    "an epoch is shared",
    {
      rules: {
        ...rules,
        takeBack: (record, epoch) => ({ ...rules.takeBack(record, epoch), epoch }),
      },
    },
  ],
  [
    "an epoch is promised twice",
    "two may run|an old copy runs|an epoch is shared",
    {
      hosts: 3,
      rules: {
        ...rules,
        offer: (record) => {
          const { offered: _, ...rest } = record ?? rules.offer(record);
          return rules.offer(rest);
        },
      },
    },
  ],
  [
    "a host that was never asked says never",
    "two may run",
    {
      hosts: 3,
      rules: {
        ...rules,
        answer: (record, epoch) => {
          const { answer, ...rest } = rules.answer(record, epoch);
          return { answer: answer === "unknown" ? "never" : answer, ...rest };
        },
      },
    },
  ],
  [
    "a refusal is forgotten",
    "two may run",
    {
      rules: {
        ...rules,
        own: (record, epoch) =>
          rules.own(record?.state === "refused" ? { ...record, state: "accepted" } : record, epoch),
      },
    },
  ],
  [
    "an owner lets itself be overwritten",
    "two may run|one runs that may not",
    {
      rules: {
        ...rules,
        answer: (record, epoch) =>
          record?.state === "owned" && record.epoch === epoch
            ? { answer: "never", write: { ...record, state: "refused" } }
            : rules.answer(record, epoch),
      },
    },
  ],
];

describe("the search", () => {
  it.each(canaries)("finds it when %s", (_, what, mistake) => {
    const found = search({ hosts: 2, maxOfferedEpoch: 6, rules, ...mistake });
    expect(found.violation?.what ?? "nothing").toMatch(new RegExp(`^(${what})$`));
    expect(found.violation?.trace.length).toBeGreaterThan(3);
  });

  it("finds it when nobody ever answers: then the machine is stuck", () => {
    const silent: OwnershipRules = { ...rules, answer: () => ({ answer: "unknown" }) };
    const found = search({ hosts: 2, maxOfferedEpoch: 4, rules: silent });
    expect(found.violation).toBeUndefined();
    expect(found.stuck.states).toBeGreaterThan(10);
  });
});

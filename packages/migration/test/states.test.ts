import { readFileSync } from "node:fs";
import { MigrationError } from "@godwit/core";
import { describe, expect, it } from "vitest";
import {
  type DestinationEvent,
  type DestinationStatus,
  destinationQueryStatus,
  destinationTransitions,
  isDestinationOver,
  nextDestinationState,
} from "../src/destination-state.ts";
import {
  isSourceOver,
  nextSourceState,
  type SourceEvent,
  type SourceState,
  type SourceStatus,
  sourceQueryStatus,
  sourceTransitions,
} from "../src/source-state.ts";

type Table = Record<string, Record<string, string>>;

/** The arrows of the Mermaid diagram in a source file, as a table. */
function diagramOf(file: string): Table {
  const text = readFileSync(new URL(`../src/${file}`, import.meta.url), "utf8");
  const table: Table = {};
  for (const [, from, to, event] of text.matchAll(/^ \* {3}([\w-]+) --> ([\w-]+): ([\w-]+)$/gm)) {
    table[from as string] = { ...table[from as string], [event as string]: to as string };
  }
  return table;
}

/** States that the diagram lets end. */
function endsOf(file: string): string[] {
  const text = readFileSync(new URL(`../src/${file}`, import.meta.url), "utf8");
  return Array.from(text.matchAll(/^ \* {3}([\w-]+) --> \[\*\]$/gm), ([, state]) => state as string).sort();
}

const error = new MigrationError("PEER_CLOSED", "gone");

/** Of `query-migrate`, as far as a side of ours gets into them. */
const qemuStatuses = [
  "none",
  "setup",
  "active",
  "pre-switchover",
  "device",
  "postcopy-active",
  "postcopy-paused",
  "postcopy-recover",
  "completed",
  "cancelling",
  "cancelled",
  "failed",
];

const files = [
  ["source-state.ts", sourceTransitions as Table],
  ["destination-state.ts", destinationTransitions as Table],
] as const;

describe.each(files)("%s", (file, transitions) => {
  it("does what its diagram shows, no more and no less", () => {
    const moving = Object.fromEntries(
      Object.entries(transitions).filter(([, events]) => Object.keys(events).length > 0),
    );
    expect(diagramOf(file)).toEqual(moving);
  });

  it("ends where the diagram says, and wherever nothing leads on", () => {
    const isOver = file === "source-state.ts" ? isSourceOver : isDestinationOver;
    const ends = Object.keys(transitions).filter((status) => isOver({ status } as never));
    expect(endsOf(file)).toEqual(ends.sort());
    for (const [state, events] of Object.entries(transitions)) {
      if (Object.keys(events).length === 0) expect(ends).toContain(state);
    }
  });

  it("can reach every state from none, and an end from every state", () => {
    const reach = (from: string): Set<string> => {
      const seen = new Set([from]);
      for (const state of seen) for (const next of Object.values(transitions[state] ?? {})) seen.add(next);
      return seen;
    };
    expect([...reach("none")].sort()).toEqual(Object.keys(transitions).sort());
    for (const state of Object.keys(transitions)) {
      expect(
        [...reach(state)].some((found) => endsOf(file).includes(found)),
        state,
      ).toBe(true);
    }
  });
});

/** Every event that some state takes. */
function eventsOf<E extends string>(transitions: Readonly<Record<string, Readonly<Partial<Record<E, string>>>>>): E[] {
  return [...new Set(Object.values(transitions).flatMap((events) => Object.keys(events) as E[]))];
}

/** Where a machine can get from here, on ways without this event. */
function reachWithout(transitions: Table, from: string, event: string): Set<string> {
  const seen = new Set([from]);
  for (const state of seen) {
    for (const [type, next] of Object.entries(transitions[state] ?? {})) if (type !== event) seen.add(next);
  }
  return seen;
}

const sourceEvents = eventsOf<SourceEvent["type"]>(sourceTransitions);

describe("the source's transitions", () => {
  it("take every event that the table has, and refuse every other one", () => {
    const statuses = Object.keys(sourceTransitions) as SourceStatus[];
    let taken = 0;
    for (const status of statuses) {
      for (const type of sourceEvents) {
        const state = { status, round: 1, error, destination: "unknown" } as SourceState;
        const event = { type, error, destination: "unknown" } as SourceEvent;
        const target = sourceTransitions[status][type];
        if (target === undefined) {
          expect(() => nextSourceState(state, event), `${status} ${type}`).toThrow(
            expect.objectContaining({ code: "PROTOCOL_ORDER" }),
          );
        } else {
          expect(nextSourceState(state, event).status).toBe(target);
          taken++;
        }
      }
    }
    expect(taken).toBe(Object.values(sourceTransitions).flatMap((events) => Object.keys(events)).length);
  });

  it("lead back to a machine that was given away only where the destination has returned it", () => {
    const after = reachWithout(sourceTransitions as Table, "released", "returned");
    expect([...after]).toEqual(expect.arrayContaining(["completed", "in-doubt", "lost"]));
    for (const status of ["none", "active", "quiescing", "releasing", "cancelling", "cancelled", "failed"]) {
      expect([...after]).not.toContain(status);
    }
    const returns = Object.entries(sourceTransitions).filter(([, events]) => "returned" in events);
    expect(returns.map(([status, { returned }]) => [status, returned])).toEqual([
      ["released", "failed"],
      ["in-doubt", "failed"],
    ]);
  });

  it("are over in doubt, though an answer may lead on", () => {
    const doubt = { status: "in-doubt", error, destination: "unknown" } as const;
    expect(isSourceOver(doubt)).toBe(true);
    expect(nextSourceState(doubt, { type: "taken" })).toEqual({ status: "completed" });
    expect(nextSourceState(doubt, { type: "returned", error })).toEqual({ status: "failed", error });
    expect(nextSourceState(doubt, { type: "owner-lost", error })).toEqual({ status: "lost", error });
  });

  it("count rounds, and carry why it ended", () => {
    const active = nextSourceState({ status: "setup" }, { type: "set-up" });
    expect(active).toEqual({ status: "active", round: 1 });
    expect(nextSourceState(active, { type: "round-ended" })).toEqual({ status: "active", round: 2 });
    expect(nextSourceState(active, { type: "switch-over" })).toEqual({ status: "quiescing" });
    expect(nextSourceState(active, { type: "fail", error })).toEqual({ status: "failed", error });
    expect(nextSourceState({ status: "released" }, { type: "lost", error, destination: "reported-failure" })).toEqual({
      status: "in-doubt",
      error,
      destination: "reported-failure",
    });
  });

  it("have QEMU's words", () => {
    const words = (Object.keys(sourceTransitions) as SourceStatus[]).map((status) =>
      sourceQueryStatus({ status } as SourceState),
    );
    // QEMU has no word for the last two.
    expect([...new Set(words)].sort()).toEqual([...qemuStatuses, "in-doubt", "lost"].sort());
    expect(isSourceOver({ status: "cancelling" })).toBe(false);
    expect(isSourceOver({ status: "cancelled" })).toBe(true);
  });
});

const destinationEvents = eventsOf<DestinationEvent["type"]>(destinationTransitions);

describe("the destination's transitions", () => {
  it("take every event that the table has, and refuse every other one", () => {
    let taken = 0;
    for (const status of Object.keys(destinationTransitions) as DestinationStatus[]) {
      for (const type of destinationEvents) {
        const target = destinationTransitions[status][type];
        const move = () => nextDestinationState({ status } as never, { type, error } as DestinationEvent);
        if (target === undefined) {
          expect(move, `${status} ${type}`).toThrow(expect.objectContaining({ code: "PROTOCOL_ORDER" }));
        } else {
          expect(move().status).toBe(target);
          taken++;
        }
      }
    }
    expect(taken).toBe(Object.values(destinationTransitions).flatMap((events) => Object.keys(events)).length);
  });

  it("say who owned the machine when it failed", () => {
    const fail = { type: "fail", error } as const;
    expect(nextDestinationState({ status: "prepared" }, fail)).toEqual({ status: "failed", error, ownership: "none" });
    expect(nextDestinationState({ status: "committing" }, fail)).toEqual({
      status: "failed",
      error,
      ownership: "none",
    });
    expect(nextDestinationState({ status: "resuming" }, fail)).toEqual({ status: "failed", error, ownership: "taken" });
    const unknown = { ...fail, ownership: "unknown" } as const;
    expect(nextDestinationState({ status: "committing" }, unknown)).toMatchObject({ ownership: "unknown" });
  });

  it("lead to a running machine only through release", () => {
    const into = (target: string): string[] =>
      Object.entries(destinationTransitions as Table)
        .filter(([, events]) => Object.values(events).includes(target))
        .map(([status]) => status);
    const notOwned = reachWithout(destinationTransitions as Table, "none", "owned");
    expect([...notOwned].sort()).toEqual(
      ["active", "cancelled", "checking", "committing", "failed", "none", "preamble", "prepared", "waiting"].sort(),
    );
    expect(into("resuming")).toEqual(["committing"]);
    expect(destinationTransitions.committing.owned).toBe("resuming");
    expect(into("committing")).toEqual(["prepared"]);
    expect(destinationTransitions.prepared.released).toBe("committing");
  });

  it("have QEMU's words", () => {
    const words = (Object.keys(destinationTransitions) as DestinationStatus[]).map((status) =>
      destinationQueryStatus({ status } as never),
    );
    for (const word of words) expect([...qemuStatuses, "lost"]).toContain(word);
    expect(words).toEqual(expect.arrayContaining(["none", "setup", "active", "completed", "cancelled", "failed"]));
    expect(isDestinationOver({ status: "completed" })).toBe(true);
    expect(isDestinationOver({ status: "committing" })).toBe(false);
  });
});

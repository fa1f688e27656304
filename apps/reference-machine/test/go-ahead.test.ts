// A source that lets its guest go ahead, and cannot.
import { describe, expect, it } from "vitest";
import { goAhead } from "../src/roles/go-ahead.ts";
import { GuestTrouble } from "../src/roles/host.ts";
import type { Message } from "../src/roles/messages.ts";

type Migration = Parameters<typeof goAhead>[1];

async function going(until: () => Promise<never>, startPostcopy = () => {}) {
  const calls: string[] = [];
  const migration: Migration = {
    state: { status: "active", round: 1 },
    setParameters: () => {},
    startPostcopy() {
      calls.push("start");
      startPostcopy();
    },
    cancel: () => calls.push("cancel") > 0,
  };
  const told: Message[] = [];
  await goAhead({ guest: () => undefined, until }, migration, (message) => told.push(message));
  return { calls, told };
}

const fails = (error: Error) => () => Promise.reject(error);

describe("a guest that is to go ahead of its pages", () => {
  it("whose host fails is told of, and does not migrate", async () => {
    const { calls, told } = await going(fails(new Error("the disk is gone")));
    expect(calls).toEqual(["cancel"]);
    expect(told).toEqual([{ event: "failed", text: "the disk is gone" }]);
  });

  it("goes where it is in trouble itself: its evidence tells", async () => {
    const { calls, told } = await going(fails(new GuestTrouble("it stands still")));
    expect(calls).toEqual(["start"]);
    expect(told).toEqual([]);
  });

  it("and is refused is told of as well", async () => {
    const { calls, told } = await going(fails(new GuestTrouble("it stands still")), () => {
      throw new Error("not now");
    });
    expect(calls).toEqual(["start", "cancel"]);
    expect(told).toEqual([{ event: "failed", text: "not now" }]);
  });
});

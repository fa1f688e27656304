// The engine's own hand-over, with a process killed, a message lost and a disk failing at every single deed of either side.
import { describe, expect, it } from "vitest";
import { type Fault, machine, type Role, World } from "./hosts.ts";

async function deedsOf(): Promise<Record<Role, number>> {
  const world = new World();
  await world.run();
  return { source: world.source.deeds, destination: world.destination.deeds };
}

/** Every deed of both sides, with this fault. */
async function each(what: Fault["what"], check: (world: World, fault: Fault) => Promise<string>) {
  const outcomes: Record<string, number> = {};
  const deeds = await deedsOf();
  for (const at of ["source", "destination"] as const) {
    for (let deed = 0; deed < deeds[at]; deed++) {
      const world = new World({ at, deed, what });
      await world.run();
      expect(world.struck, `${at} ${deed}`).toBeDefined();
      const running = await world.running();
      expect((await world.mayRun()).length, world.struck).toBeLessThanOrEqual(1);
      expect(running.length, world.struck).toBeLessThanOrEqual(1);
      const outcome = await check(world, { at, deed, what });
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    }
  }
  console.log(`${what}: ${JSON.stringify(outcomes)}`);
  return outcomes;
}

function expectWhole(world: World): void {
  const { source, destination } = world;
  expect(source.machine.isRunning).toBe(!destination.machine.isRunning);
  if (source.machine.isRunning) return;
  expect(Buffer.compare(destination.machine.memory, source.machine.memory)).toBe(0);
  expect(destination.machine.ticks).toBe(source.machine.ticks);
}

/** What a fault without a death comes to: exactly one runs, whole, after a question where there is a doubt. */
async function settle(world: World): Promise<string> {
  let how = world.sourceState?.status as string;
  if (how === "in-doubt") {
    const { outcome, error } = await world.resolve();
    expect(error).toBeUndefined();
    how = `${how}, then ${outcome}`;
  }
  expect((await world.running()).length, `${world.struck}: ${how}`).toBe(1);
  expect((await world.mayRun()).length, world.struck).toBeLessThanOrEqual(1);
  expectWhole(world);
  return how;
}

describe("the hand-over", () => {
  it("writes before it speaks, and speaks before it acts", async () => {
    const world = new World();
    await world.run();
    const deeds = world.trace.filter((deed) => !deed.endsWith("send") || deed === "source send");
    const order = [
      "source write owned 1",
      "destination write accepted 2",
      "source pause",
      "source write released 1",
      "destination commit",
      "destination write owned 2",
      "destination resume",
    ];
    expect(deeds.filter((deed) => !deed.endsWith("send"))).toEqual(order);
    // The word itself: one message of the source, between its record and the load.
    const [from, to] = [world.trace.indexOf("source write released 1"), world.trace.indexOf("destination commit")];
    expect(world.trace.slice(from + 1, to)).toEqual(["source send"]);
    expect(await world.disks.source.read(machine)).toEqual({ machine, epoch: 1, state: "released", peer: "there" });
    expect(await world.disks.destination.read(machine)).toEqual({ machine, epoch: 2, state: "owned", peer: "here" });
    expect(await world.running()).toEqual(["destination"]);
    expectWhole(world);
  });

  it.each(["die-before", "die-after"] as const)(
    "never has two machines when a process dies at any deed (%s)",
    async (what) => {
      const outcomes = await each(what, async (world, { at }) => {
        const owner = await world.mayRun();
        if (at === "destination") {
          const isLost = owner.includes("destination");
          if (world.sourceState?.status === "completed") return "moved, and died there";
          if (world.sourceState?.status === "in-doubt") {
            const { outcome } = await world.resolve();
            expect(outcome, world.struck).toBe(isLost ? "lost" : "owned");
            expect(world.outgoing.state.status).toBe(isLost ? "lost" : "failed");
          }
          expect(world.source.machine.isRunning, world.struck).toBe(!isLost);
          return isLost ? "lost with the destination" : "stayed";
        }
        if (world.destinationState?.status === "completed") {
          expect(owner).toEqual(["destination"]);
          expectWhole(world);
          expect((await world.resolve()).outcome).toBe("taken");
          return "moved";
        }
        expect(world.destination.machine.isRunning).toBe(false);
        if (owner.includes("source")) return "the source's new process may run";
        const { outcome, record } = await world.resolve();
        expect([outcome, record.state]).toEqual(["lost", "released"]);
        expect(await world.disks.destination.read(machine)).toMatchObject({ epoch: 2, state: "refused" });
        return "lost with the source";
      });
      for (const outcome of ["stayed", "lost with the destination", "lost with the source"]) {
        expect(outcomes[outcome], outcome).toBeGreaterThan(0);
      }
      // The source's last deed is the word itself.
      if (what === "die-after") expect(outcomes["moved"]).toBe(1);
      expect(outcomes["the source's new process may run"]).toBeGreaterThan(3);
    },
  );

  it.each(["lose", "twice", "cut"] as const)(
    "ends with exactly one machine when the network does this at any deed: %s",
    async (what) => {
      const outcomes = await each(what, settle);
      expect(outcomes["completed"]).toBeGreaterThan(0);
      expect(outcomes["failed"]).toBeGreaterThan(3);
      if (what !== "twice") expect(outcomes["in-doubt, then taken"]).toBeGreaterThan(0);
    },
  );

  it.each(["fail", "fail-done", "slow", "hang"] as const)(
    "ends with exactly one machine when a disk does this at any write: %s",
    async (what) => {
      const outcomes = await each(what, async (world, { at }) => {
        if (!world.struck?.includes("write")) return "no write";
        if (at === "destination" && world.struck.includes("owned") && what !== "fail") {
          // The destination's record says that the machine is its own, and it does not run it: nobody else may.
          expect(world.sourceState).toMatchObject({ status: "in-doubt", destination: "reported-failure" });
          expect((await world.resolve()).outcome).toBe("taken");
          expect(await world.running()).toEqual([]);
          expect(await world.mayRun()).toEqual(["destination"]);
          expect(world.destinationState).toMatchObject({ ownership: what === "hang" ? "unknown" : "taken" });
          return "taken and standing still";
        }
        const how = await settle(world);
        // Who was only slow was waited for, and knows what it may do when it starts again.
        if (what !== "hang") expect(await world.mayRun(), world.struck).toEqual(await world.running());
        return how;
      });
      expect(outcomes["failed"]).toBeGreaterThan(1);
      if (what !== "fail") expect(outcomes["taken and standing still"]).toBe(1);
    },
  );
});

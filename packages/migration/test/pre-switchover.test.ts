// pause-before-switchover: the machine stands, and nothing more goes out until somebody says so.
import { describe, expect, it } from "vitest";
import { turn } from "./support/clock.ts";
import { Rig } from "./support/rig.ts";

const outgoing = { capabilities: { "pause-before-switchover": true } } as const;

async function stillness(): Promise<void> {
  for (let i = 0; i < 50; i++) await turn();
}

describe("pre-switchover", () => {
  it("holds the machine, which may then go, in its own time", async () => {
    const rig = new Rig({ outgoing });
    let sentBytes = 0;
    expect(rig.outgoing.continue()).toBe(false);
    const ended = rig.run(5);
    const seen: string[] = [];
    rig.outgoing.events.on("status", ({ status }) => seen.push(status));
    await new Promise<void>((resolve) => {
      rig.outgoing.events.on("status", ({ status }) => {
        if (status === "pre-switchover") resolve();
      });
    });
    sentBytes = rig.outgoing.statistics().ram.transferred;
    // Longer than the switch-over may take: it has not begun.
    rig.clock.advance(29_000);
    await stillness();
    rig.clock.advance(10_000);
    await stillness();
    expect(rig.outgoing.query()).toMatchObject({ status: "pre-switchover", ram: { transferred: sentBytes } });
    expect([rig.source.isRunning, rig.destination.isRunning]).toEqual([false, false]);
    expect(rig.outgoing.continue()).toBe(true);
    const { source } = await ended;
    expect(source.state.status).toBe("completed");
    expect(seen.slice(seen.indexOf("quiescing"), seen.indexOf("device") + 1)).toEqual([
      "quiescing",
      "pre-switchover",
      "device",
    ]);
    expect(source.statistics).toHaveProperty(
      "downtime",
      expect.toSatisfy((ms: number) => ms >= 39_000),
    );
    expect(rig.outgoing.continue()).toBe(false);
    rig.expectMoved();
  });

  it("goes on at a word that is said as soon as it is told", async () => {
    const rig = new Rig({ outgoing });
    const answers: boolean[] = [];
    rig.outgoing.events.on("status", ({ status }) => {
      if (status === "pre-switchover") answers.push(rig.outgoing.continue());
    });
    const { source } = await rig.run();
    expect(answers).toEqual([true]);
    expect(source.state).toEqual({ status: "completed" });
    rig.expectMoved();
  });

  it("lets go of a machine that is cancelled there", async () => {
    const rig = new Rig({ outgoing });
    rig.outgoing.events.on("status", ({ status }) => {
      if (status === "pre-switchover") rig.outgoing.cancel();
    });
    const { source } = await rig.run();
    expect(source.state).toEqual({ status: "cancelled" });
    rig.expectStayed();
  });
});

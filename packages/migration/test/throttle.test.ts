// Auto-converge: when it takes CPU time from the guest, how much, and that it always gives it back.
import { checkedParameters, type MigrationParameters, type RoundSummary } from "@godwit/migration";
import { describe, expect, it } from "vitest";
import { AutoConverge, CpuThrottle } from "../src/converge/throttle.ts";
import { Rig, type RigOptions } from "./support/rig.ts";

function periods(given: Partial<MigrationParameters>, ratios: readonly number[], stepMs = 1001) {
  const fractions: number[] = [];
  const throttle = new CpuThrottle({ throttle: (fraction) => void fractions.push(fraction) });
  const parameters = checkedParameters(given);
  const rule = new AutoConverge(() => parameters, throttle, 0, 0);
  const percentages = ratios.map((ratio, i) => {
    rule.synchronised({ nowMs: (i + 1) * stepMs, dirtyBytes: ratio * 1_000_000, sentBytes: (i + 1) * 1_000_000 });
    return throttle.percentage;
  });
  return { percentages, fractions, rule, throttle };
}

describe("auto-converge", () => {
  it("begins after two periods of too much, and goes on by its increment at every second one", () => {
    const { percentages, fractions } = periods({}, [0.6, 0.6, 0.6, 0.6, 0.6, 0.6]);
    expect(percentages).toEqual([0, 20, 20, 30, 30, 40]);
    expect(fractions).toEqual([0.2, 0.3, 0.4]);
  });

  it("counts a period only beyond the threshold, and forgets none for a good one between", () => {
    expect(periods({}, [0.5, 0.5, 0.5, 0.5]).percentages).toEqual([0, 0, 0, 0]);
    expect(periods({}, [0.51, 0.1, 0.1, 0.51]).percentages).toEqual([0, 0, 0, 20]);
    const { percentages } = periods({ "throttle-trigger-threshold": 90 }, [0.8, 0.8, 0.91, 0.91]);
    expect(percentages).toEqual([0, 0, 0, 20]);
  });

  it("counts no period of a second or less, but adds it to the next", () => {
    // At 500 and 1000 ms nothing is over; at 1500 all three are one period.
    const { percentages } = periods({}, [0.6, 0.6, 0.6, 0.6, 0.6, 0.6], 500);
    expect(percentages).toEqual([0, 0, 0, 0, 0, 20]);
  });

  it("takes the parameters' word for where it begins, by how much, and where it ends", () => {
    const parameters = { "cpu-throttle-initial": 50, "cpu-throttle-increment": 30, "max-cpu-throttle": 90 };
    const { percentages, rule, fractions } = periods(parameters, Array(8).fill(1));
    expect(percentages).toEqual([0, 50, 50, 80, 80, 90, 90, 90]);
    expect(rule.isExhausted).toBe(true);
    expect(fractions).toEqual([0.5, 0.8, 0.9]);
  });

  it("with tailslow takes no more than the rates ask for, but always something", () => {
    const parameters = { "cpu-throttle-tailslow": true, "cpu-throttle-increment": 40 };
    // 80% run; a twentieth too much: 80 * (1 - 0.5 / 0.525) is 3.8.
    expect(periods(parameters, [0.6, 0.6, 0.525, 0.525]).percentages).toEqual([0, 20, 20, 23]);
    expect(periods(parameters, [0.6, 0.6, 0.501, 0.501]).percentages).toEqual([0, 20, 20, 21]);
    expect(periods(parameters, [0.6, 0.6, 5, 5]).percentages).toEqual([0, 20, 20, 60]);
  });

  it("gives back what it took, once", () => {
    const { throttle, fractions } = periods({}, [1, 1]);
    throttle.release();
    throttle.release();
    expect([fractions, throttle.percentage]).toEqual([[0.2, 0], 0]);
  });
});

/** 16 pages go in 50 ms, in which the guest writes to 40 of 512: a round takes a second or more. */
const busy: RigOptions = {
  turnMs: 50,
  source: { pages: 512, dirtyPagesPerTick: 40, throttles: true },
  outgoing: { capabilities: { "auto-converge": true }, parameters: { "downtime-limit": 500 } },
};

function throttledRig(options: RigOptions = busy) {
  const rig = new Rig(options);
  const { outgoing, source } = rig;
  const rounds: RoundSummary[] = [];
  const verdicts: string[] = [];
  outgoing.events.on("round", (round) => rounds.push(round));
  outgoing.events.on("verdict", ({ verdict }) => verdicts.push(verdict));
  return { rig, outgoing, fractions: source.slowdowns, rounds, verdicts };
}

describe("a busy guest", () => {
  it("does not converge by itself", async () => {
    const { rig, outgoing, fractions, verdicts } = throttledRig({
      ...busy,
      outgoing: { ...busy.outgoing, capabilities: {}, maxRounds: 100 },
    });
    outgoing.events.on("verdict", () => outgoing.cancel());
    await rig.run();
    expect(verdicts).toEqual(["will-not-converge"]);
    expect(fractions).toEqual([]);
    rig.expectStayed();
  });

  it("does, slowed down; the percentage is told, and it is at full speed again", async () => {
    const { rig, outgoing, fractions, rounds, verdicts } = throttledRig({
      ...busy,
      outgoing: { ...busy.outgoing, maxRounds: 1000 },
    });
    const told = new Set<number | undefined>();
    outgoing.events.on("round", () => told.add(outgoing.query()["cpu-throttle-percentage"]));
    const { source } = await rig.run();
    expect(source.state.status).toBe("completed");
    // A guest that may still be slowed down more is not given up.
    expect(verdicts).toEqual([]);
    expect(fractions.length).toBeGreaterThan(3);
    expect(fractions.slice(0, 3)).toEqual([0.2, 0.3, 0.4]);
    expect(fractions.at(-1)).toBe(0);
    expect([...told]).toEqual([undefined, ...fractions.slice(0, -1).map((fraction) => Math.round(fraction * 100))]);
    expect(rounds.at(-1)?.cpuThrottlePercentage).toBe(Math.round((fractions.at(-2) ?? 0) * 100));
    expect(source.statistics).not.toHaveProperty("cpu-throttle-percentage");
    rig.expectMoved();
  });

  it("is given up only when it cannot be slowed down more, by rounds measured at its last speed", async () => {
    const parameters = { "downtime-limit": 50, "cpu-throttle-increment": 5, "max-cpu-throttle": 30 };
    // Rounds of 400 ms: between two steps there are enough of them for a verdict.
    const { rig, outgoing, rounds, verdicts } = throttledRig({
      ...busy,
      source: { ...busy.source, pages: 128 },
      outgoing: { ...busy.outgoing, parameters, maxRounds: 1000 },
    });
    let evidence: { rounds: number } | undefined;
    outgoing.events.on("verdict", (verdict) => {
      if (verdict.verdict === "will-not-converge") evidence = verdict.evidence;
      outgoing.cancel();
    });
    await rig.run();
    expect(verdicts).toEqual(["will-not-converge"]);
    const atLast = rounds.filter(({ cpuThrottlePercentage }) => cpuThrottlePercentage === 30).length;
    expect(rounds.length - atLast).toBeGreaterThan(4);
    // As many as a verdict takes, and none from before.
    expect([atLast, evidence?.rounds]).toEqual([3, 3]);
    rig.expectStayed();
  });

  it.each(["cancel", "destination dies", "machine does not pause"] as const)("is not left slow: %s", async (how) => {
    const { rig, outgoing, fractions } = throttledRig();
    let speedWhenResumed: number | undefined;
    const { resume } = rig.source;
    rig.source.resume = () => {
      speedWhenResumed = rig.source.slowdown;
      resume.call(rig.source);
    };
    if (how === "machine does not pause") {
      rig.source.quiesce = async () => {
        throw new Error("no");
      };
    }
    outgoing.events.on("round", ({ cpuThrottlePercentage }) => {
      if (cpuThrottlePercentage < 40) return;
      if (how === "cancel") outgoing.cancel();
      else if (how === "destination dies") rig.destinationChannel?.abort(new Error("gone"));
    });
    const { source } = await rig.run();
    expect(source.state.status).toBe(how === "cancel" ? "cancelled" : "failed");
    expect(fractions.at(-1)).toBe(0);
    expect(fractions.filter((fraction) => fraction === 0)).toHaveLength(1);
    if (how === "machine does not pause") expect(speedWhenResumed).toBe(0);
    expect(source.statistics).not.toHaveProperty("cpu-throttle-percentage");
  });

  it("that cannot be given its speed back is told of, and the migration is over all the same", async () => {
    const { rig, outgoing } = throttledRig();
    rig.source.throttle = (fraction) => {
      if (fraction === 0) throw new Error("stuck");
    };
    outgoing.events.on("round", ({ cpuThrottlePercentage }) => {
      if (cpuThrottlePercentage > 0) outgoing.cancel();
    });
    const { source } = await rig.run();
    expect(source.state).toEqual({ status: "cancelled" });
    expect(source.cleanupError).toMatchObject({ code: "MACHINE_FAILED", detail: "stuck" });
    rig.expectStayed();
  });
});

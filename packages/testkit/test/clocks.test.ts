// The parts of the clock harness: hosts, firings, fields. What it finds in devices is tested where core is.
import { describe, expect, it } from "vitest";
import { cutsOf } from "../src/clocks/cuts.ts";
import { differences, type Save } from "../src/clocks/differences.ts";
import { fieldAt } from "../src/clocks/fields.ts";
import { compareFirings } from "../src/clocks/firings.ts";
import { ClockError, runTimers, simulatedHost } from "../src/clocks.ts";

it("a host's clocks move only when they are told to", () => {
  const host = simulatedHost({ now: 5n, wallNow: 100n });
  host.advance(3n);
  host.stepWall(-50n);
  expect([host.now(), host.wallNow()]).toEqual([8n, 53n]);
  expect(() => host.advance(-1n)).toThrow(RangeError);
});

describe("runTimers", () => {
  const timersOn = (host: ReturnType<typeof simulatedHost>, running: boolean, due: bigint[]) => {
    const log: bigint[] = [];
    const clock = { now: () => (running ? host.now() : 0n) };
    const runDue = () => {
      while (due[0] !== undefined && due[0] <= clock.now()) log.push(due.shift() as bigint, clock.now());
    };
    return { timers: { clock, next: () => due[0] ?? null, runDue }, log };
  };

  it("goes from deadline to deadline, the last moment included, and no further", () => {
    const host = simulatedHost({ now: 0n, wallNow: 0n });
    const { timers, log } = timersOn(host, true, [3n, 3n, 10n, 11n]);
    runTimers(host, timers, 10n);
    expect(log).toEqual([3n, 3n, 3n, 3n, 10n, 10n]);
    expect(host.now()).toBe(10n);
    runTimers(host, timers, 10n);
    expect([host.now(), log.length]).toEqual([10n, 6]);
  });

  it("says so when the clock stands, or something stays due", () => {
    const host = simulatedHost({ now: 0n, wallNow: 0n });
    expect(() => runTimers(host, timersOn(host, false, []).timers, 10n)).toThrow("the virtual clock stands at 0 ns");
    const stays = { clock: { now: host.now }, next: () => 4n, runDue: () => {} };
    expect(() => runTimers(simulatedHost({ now: 0n, wallNow: 0n }), stays, 10n)).toThrow("stands");
  });
});

describe("compareFirings", () => {
  const verdict = (expected: bigint[], found: bigint[]) => {
    const { code, lateNs } = compareFirings(expected, found, { loadedNs: 5n, untilNs: 50n }) ?? {};
    return lateNs === undefined ? code : [code, lateNs];
  };
  it("gives each difference its name", () => {
    expect(verdict([10n, 20n], [10n, 20n])).toBeUndefined();
    expect(verdict([], [])).toBeUndefined();
    expect(verdict([10n, 20n], [])).toBe("NEVER_FIRES");
    expect(verdict([10n, 20n], [5n, 5n, 10n, 20n])).toBe("FIRES_AT_ONCE");
    expect(verdict([], [5n])).toBe("FIRES_AT_ONCE");
    expect(verdict([5n, 10n], [5n, 5n, 10n])).toBe("FIRES_AT_ONCE");
    expect(verdict([5n, 10n], [10n])).toBe("FIRING_LOST");
    expect(verdict([10n, 20n, 30n], [10n, 30n])).toBe("FIRING_LOST");
    expect(verdict([10n, 20n], [10n, 15n, 20n])).toBe("FIRING_ADDED");
    expect(verdict([], [7n])).toBe("FIRING_ADDED");
    expect(verdict([10n, 20n], [12n, 22n])).toEqual(["FIRES_LATE", 2n]);
    expect(verdict([10n, 20n, 30n], [10n, 21n])).toEqual(["FIRES_LATE", 1n]);
    expect(verdict([10n, 20n], [10n, 13n])).toEqual(["FIRES_EARLY", -7n]);
    expect(verdict([10n], [8n, 18n])).toEqual(["FIRES_EARLY", -2n]);
  });
  it("says it in words", () => {
    expect(compareFirings([10n], [4n], { loadedNs: 1n, untilNs: 50n })?.text).toBe(
      "fires early by 6 ns: at 4 ns, due at 10 ns",
    );
    expect(compareFirings([10n, 20n], [20n], { loadedNs: 1n, untilNs: 50n })?.text).toBe(
      "loses 1 firing: the first was due at 10 ns",
    );
  });
});

describe("fields", () => {
  const members = {
    fields: [
      { name: "a", type: "uint8", size: 1 },
      { name: "list", array_len: 3, type: "uint16", size: 2 },
      {
        name: "inner",
        array_len: 2,
        type: "struct",
        size: 3,
        struct: {
          fields: [
            { name: "x", type: "uint8", size: 1 },
            { name: "y", type: "uint16", size: 2 },
          ],
        },
      },
      { name: "entry", index: 4, type: "uint32", size: 4 },
    ],
    subsections: [{ vmsd_name: "dev/é", fields: [{ name: "z", type: "timer", size: 8 }] }],
  };
  it("are found by their bytes", () => {
    const paths = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, i) => fieldAt(members, from + i)?.path);
    expect(paths(0, 7)).toEqual(["a", "list[0]", "list[0]", "list[1]", "list[1]", "list[2]", "list[2]"]);
    expect(paths(7, 13)).toEqual(["inner[0].x", "inner[0].y", "inner[0].y", "inner[1].x", "inner[1].y", "inner[1].y"]);
    expect(paths(13, 17)).toEqual(Array(4).fill("entry[4]"));
    // The head: a type byte, the name's length, six bytes of name, and the version.
    expect(paths(17, 29)).toEqual(Array(12).fill(undefined));
    expect(paths(29, 37)).toEqual(Array(8).fill("dev/é.z"));
    expect(fieldAt(members, 37)).toBeUndefined();
    expect(fieldAt(members, 11)).toEqual({ path: "inner[1].y", type: "uint16", start: 11, bytes: 2 });
  });

  /** One FULL section "d" instance 0 with these two be16 fields, and what the stream says of it. */
  function saveOf(body: number[], phase: "full" | "part" = "full", described = true): Save {
    const head = phase === "full" ? [4, 0, 0, 0, 1, 1, 0x64, 0, 0, 0, 0, 0, 0, 0, 1] : [2, 0, 0, 0, 1];
    const section = [...head, ...body, 0x7e, 0, 0, 0, 1];
    const fields = [
      { name: "u", type: "uint16", size: 2 },
      { name: "s", type: "int16", size: 2 },
    ];
    const json = new TextEncoder().encode(JSON.stringify({ devices: [{ name: "d", instance_id: 0, fields }] }));
    const tail = described ? [0, 6, 0, 0, 0, json.length, ...json] : [0];
    return {
      bytes: Uint8Array.of(...section, ...tail),
      sections: [{ idstr: "d", instance: 0, phase, offset: 0, bytes: section.length }],
    };
  }

  it("that differ are named once, with their values", () => {
    expect(differences(saveOf([0, 1, 0, 2]), saveOf([0, 1, 0, 2]))).toEqual([]);
    expect(differences(saveOf([0, 1, 0, 2]), saveOf([1, 2, 255, 255]))).toEqual([
      { section: "d/0", path: "u", values: [1n, 258n] },
      { section: "d/0", path: "s", values: [2n, -1n] },
    ]);
  });

  it("are not known where lengths differ or nothing describes them; the section still is", () => {
    const unknown = [{ section: "d/0", path: undefined, values: undefined }];
    expect(differences(saveOf([0, 1, 0, 2]), saveOf([0, 1, 0, 2, 3]))).toEqual(unknown);
    expect(differences(saveOf([0, 1], "full", false), saveOf([0, 2], "full", false))).toEqual(unknown);
    expect(differences(saveOf([0, 1], "part"), saveOf([0, 2], "part"))).toEqual(unknown);
    const other = { ...saveOf([0, 1]), sections: [] };
    expect(differences(saveOf([0, 2]), other)).toEqual([{ section: "stream", path: undefined, values: undefined }]);
  });
});

it("cuts around the first and the last deadline and evenly between, and where nothing is armed", () => {
  const cuts = cutsOf([10n, 20n, 30n, 40n, 50n], 60n, 3);
  expect(cuts.map(({ started, runToNs, atNs, goOnNs }) => [started, runToNs, atNs, goOnNs])).toEqual([
    [false, 16n, 16n, 76n],
    ...[10n, 30n, 50n].flatMap((at) => [
      [true, at - 1n, at - 1n, at - 1n],
      [true, at - 1n, at, at],
      [true, at, at, at],
      [true, at + 1n, at + 1n, at + 1n],
    ]),
    [true, 60n, 60n, 60n],
  ]);
  expect(cutsOf([0n], 60n, 3).map(({ atNs }) => atNs)).toEqual([16n, 0n, 1n, 60n]);
});

it("an error's code is the first finding's", () => {
  const error = new ClockError([
    { code: "NEVER_FIRES", device: "a", text: "a never fires", cases: 2 },
    { code: "FIRES_LATE", device: "b", text: "b fires late", cases: 1 },
  ]);
  expect([error.code, error.message]).toEqual([
    "NEVER_FIRES",
    "NEVER_FIRES: a never fires (2 cases)\nFIRES_LATE: b fires late",
  ]);
});

// Each step of a record, and each that it must not take.

import { readFileSync } from "node:fs";
import {
  claimOwnership,
  createOwnership,
  mayRun,
  memoryOwnershipLog,
  type OwnershipRecord,
  renounceOwnership,
} from "@godwit/migration";
import { describe, expect, it } from "vitest";
import { checkedRecord, formatRecord } from "../../src/ownership/record.ts";
import { claimed, ownershipRules as rules } from "../../src/ownership/rules.ts";

const machine = "0123456789abcdef0123456789abcdef";
const states = ["owned", "released", "accepted", "refused"] as const;
const at = (state: OwnershipRecord["state"], epoch = 5): OwnershipRecord => ({ machine, epoch, state });
const records: readonly (OwnershipRecord | undefined)[] = [
  undefined,
  ...states.map((state) => at(state)),
  { ...at("owned"), offered: true },
];

const conflict = expect.objectContaining({ code: "OWNERSHIP_CONFLICT" });

describe("a record", () => {
  it("lets its process run the machine only where it is owned", () => {
    expect(records.filter(mayRun)).toEqual([at("owned"), { ...at("owned"), offered: true }]);
  });

  it("takes exactly the steps of its diagram", () => {
    const steps: Record<string, (record: OwnershipRecord | undefined) => OwnershipRecord> = {
      accept: (record) => rules.accept(record, machine, 7),
      offer: rules.offer,
      release: rules.release,
      own: (record) => rules.own(record, 5),
      refuse: (record) => rules.refuse(record, 5),
      "take-back": (record) => rules.takeBack(record, 6),
    };
    const found: string[] = [];
    for (const record of records) {
      if (record?.offered) continue;
      for (const [name, step] of Object.entries(steps)) {
        try {
          const next = step(record);
          found.push(`${record?.state ?? "[*]"} --> ${next.state}: ${name}`);
          const isSame = next.epoch === record?.epoch;
          expect(next.epoch > (record?.epoch ?? 0) || (isSame && name !== "take-back"), name).toBe(true);
        } catch (error) {
          expect((error as { code: string }).code).toMatch(/^OWNERSHIP_(CONFLICT|EPOCH)$/);
        }
      }
    }
    const text = readFileSync(new URL("../../src/ownership/record.ts", import.meta.url), "utf8");
    const diagram = Array.from(text.matchAll(/^ \* {3}(\S+ --> \w+: [\w-]+)$/gm), ([, arrow]) => arrow);
    expect(found.sort()).toEqual(diagram.filter((arrow) => arrow !== "[*] --> owned: created").sort());
  });

  it("promises an epoch once", () => {
    expect(rules.offer(at("owned"))).toEqual({ ...at("owned"), offered: true });
    expect(rules.offer(rules.offer(at("owned")))).toEqual({ ...at("owned", 7), offered: true });
    expect(rules.release(rules.offer(at("owned")))).toEqual(at("released"));
  });

  it("goes on as two epochs later when it is taken back", () => {
    expect(rules.takeBack(at("released"), 6)).toEqual(at("owned", 7));
    for (const epoch of [4, 5, 7, 8]) expect(() => rules.takeBack(at("released"), epoch)).toThrow(conflict);
  });

  it("owns and refuses only the epoch that it accepted", () => {
    expect(rules.own(at("accepted"), 5)).toEqual(at("owned"));
    expect(rules.refuse(at("accepted"), 5)).toEqual(at("refused"));
    for (const epoch of [4, 6]) {
      expect(() => rules.own(at("accepted"), epoch)).toThrow(conflict);
      expect(() => rules.refuse(at("accepted"), epoch)).toThrow(conflict);
    }
    expect(() => rules.own(at("refused"), 5)).toThrow(conflict);
  });

  it("accepts only what is newer than anything that it has seen", () => {
    const lowest = (record: OwnershipRecord | undefined): number | undefined => {
      for (let epoch = 1; epoch < 20; epoch++) {
        try {
          expect(rules.accept(record, machine, epoch)).toEqual(at("accepted", epoch));
          return epoch;
        } catch (error) {
          expect(error).toMatchObject({ code: "OWNERSHIP_EPOCH" });
        }
      }
      return undefined;
    };
    expect(records.map(lowest)).toEqual([1, undefined, 7, 6, 6, undefined]);
  });

  it("answers for ever what it has answered once", () => {
    const answers = (epoch: number) => records.map((record) => rules.answer(record, epoch).answer);
    expect(answers(6)).toEqual(records.map(() => "unknown"));
    expect(answers(4)).toEqual(["unknown", ...records.slice(1).map(() => "taken")]);
    expect(answers(5)).toEqual(["unknown", "taken", "taken", "never", "never", "taken"]);
    expect(rules.answer(at("accepted"), 5)).toEqual({ answer: "never", write: at("refused") });
    expect(rules.answer(at("refused"), 5)).toEqual({ answer: "never" });
  });

  it.each<[string, unknown, string]>([
    ["nothing", null, ""],
    ["a list", [], ""],
    ["another machine", { ...at("owned"), machine: machine.replace("0", "1") }, "machine"],
    ["no epoch", { machine, state: "owned" }, "epoch"],
    ["epoch 0", at("owned", 0), "epoch"],
    ["a broken epoch", at("owned", 1.5), "epoch"],
    ["an unknown state", { machine, epoch: 1, state: "mine" }, "state"],
    ["an offer of what is not owned", { ...at("released"), offered: true }, "offered"],
    ["an offer that is no offer", { ...at("owned"), offered: false }, "offered"],
    ["a peer that is none", { ...at("owned"), peer: 7 }, "peer"],
    ["a field of another time", { ...at("owned"), colour: "blue" }, "colour"],
  ])("that is %s is refused", (_, value, path) => {
    const check = () => checkedRecord(value, machine);
    expect(check).toThrow(expect.objectContaining({ code: "OWNERSHIP_RECORD" }));
    try {
      check();
    } catch (error) {
      expect((error as { location: { path?: string } }).location.path ?? "").toBe(path);
    }
  });

  it("reads as people say it", () => {
    expect(formatRecord(undefined)).toBe("no record");
    expect(formatRecord({ ...at("owned"), offered: true, peer: "tcp:b:1" })).toBe("owned 5, offered (tcp:b:1)");
  });
});

describe("an operator", () => {
  const sure = { iHaveMadeSure: true } as const;

  it("makes a machine's first record once", async () => {
    const log = memoryOwnershipLog();
    expect(await createOwnership(log, machine)).toEqual(at("owned", 1));
    expect(await log.read(machine)).toEqual(at("owned", 1));
    await expect(createOwnership(log, machine)).rejects.toMatchObject({ code: "OWNERSHIP_CONFLICT", found: "owned 1" });
    await expect(createOwnership(log, "m1")).rejects.toMatchObject({ code: "OWNERSHIP_MACHINE" });
  });

  it("claims what the peer may have had, beyond all that it can have had", async () => {
    for (const state of ["released", "accepted", "refused"] as const) {
      expect(claimed(at(state))).toEqual(at("owned", 7));
      const log = memoryOwnershipLog([at(state)]);
      expect(await claimOwnership(log, machine, sure)).toEqual(at("owned", 7));
      expect(await log.read(machine)).toEqual(at("owned", 7));
    }
    for (const record of [undefined, at("owned")]) {
      const log = memoryOwnershipLog(record === undefined ? [] : [record]);
      await expect(claimOwnership(log, machine, sure)).rejects.toMatchObject({ code: "OWNERSHIP_CONFLICT" });
      expect(await log.read(machine)).toEqual(record);
    }
  });

  it("claims and renounces only in so many words", async () => {
    for (const word of [undefined, {}, { iHaveMadeSure: "yes" }, { iHaveMadeSure: false }]) {
      const log = memoryOwnershipLog([at("released")]);
      await expect(claimOwnership(log, machine, word as never)).rejects.toMatchObject({ code: "OPTION_INVALID" });
      await expect(renounceOwnership(log, machine, word as never)).rejects.toMatchObject({ code: "OPTION_INVALID" });
      expect(await log.read(machine)).toEqual(at("released"));
    }
  });

  it("renounces what somebody else has claimed, and may then take it in again", async () => {
    const log = memoryOwnershipLog([at("owned")]);
    expect(await renounceOwnership(log, machine, sure)).toEqual(at("released"));
    expect(rules.accept(await log.read(machine), machine, 7)).toEqual(at("accepted", 7));
    await expect(renounceOwnership(log, machine, sure)).rejects.toMatchObject({ code: "OWNERSHIP_CONFLICT" });
  });
});

describe("a log in memory", () => {
  it("refuses who has read something else, and records that are none", async () => {
    const log = memoryOwnershipLog([at("owned")]);
    await expect(log.write(at("released"), undefined)).rejects.toMatchObject({ code: "OWNERSHIP_CONFLICT" });
    await expect(log.write(at("released"), at("owned", 4))).rejects.toMatchObject({ code: "OWNERSHIP_CONFLICT" });
    await expect(log.write(at("owned", -1), at("owned"))).rejects.toMatchObject({ code: "OWNERSHIP_RECORD" });
    expect(await log.read(machine)).toEqual(at("owned"));
    await log.write(at("released"), at("owned"));
    expect(await log.read(machine)).toEqual(at("released"));
  });
});

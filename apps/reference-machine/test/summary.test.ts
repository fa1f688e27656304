import { describe, expect, it } from "vitest";
import { Story, summary } from "../src/cli/summary.ts";
import type { Message } from "../src/roles/messages.ts";

const clean = { intact: 5, missing: [], repeated: [], torn: [], unexpected: [] };
const guest = { blocksCompleted: 300, errorCount: 0, errorCode: 0, iommuEnabled: true, remaps: 3 };

function story(options: {
  sent: string;
  loaded: string;
  role?: "source" | "destination";
  missing?: number[];
  trouble?: string;
}): Story {
  const told = new Story(50);
  const { sent, loaded, role = "destination", missing = [], trouble } = options;
  const statistics = {
    status: sent,
    ram: { transferred: 1, remaining: 0, total: 1 },
    "total-time": 100,
    "setup-time": 1,
  };
  told.hear("source", { event: "sent", status: sent, statistics, sections: [] } as unknown as Message);
  told.hear("destination", { event: "loaded", status: loaded });
  const pool = { ...clean, missing };
  const evidence = { blocks: clean, packets: clean, disk: clean, pool };
  told.hear(role, {
    event: "evidence",
    guest,
    blocksBefore: 100,
    evidence,
    clean: missing.length === 0,
    ...(trouble === undefined ? {} : { trouble }),
  } as unknown as Message);
  return told;
}
const last = (told: Story) => summary(told).slice(summary(told).lastIndexOf("") + 1);

describe("the summary", () => {
  it("is good only when everything is", () => {
    expect(last(story({ sent: "completed", loaded: "completed" }))).toEqual([
      "Migrated while it ran: nothing lost, repeated or torn.",
    ]);
  });

  it.each([
    ["a lost page", { sent: "completed", loaded: "completed", missing: [7] }, ["The evidence is NOT whole."]],
    [
      "a guest in trouble",
      { sent: "completed", loaded: "completed", trouble: "the guest stands still at block 9" },
      ["destination: the guest stands still at block 9."],
    ],
    [
      "doubt at the source",
      { sent: "in-doubt", loaded: "completed" },
      ["The source does not know whether the machine arrived."],
    ],
    [
      "a refusal",
      { sent: "failed", loaded: "failed", role: "source" as const },
      ["Not migrated. The machine goes on at the source.", "Its evidence is whole: nothing lost, repeated or torn."],
    ],
    [
      "a refusal that lost something",
      { sent: "failed", loaded: "failed", role: "source" as const, missing: [1] },
      ["Not migrated. The machine goes on at the source.", "The evidence at the source is NOT whole."],
    ],
  ])("tells %s for what it is", (_, options, lines) => {
    const told = story(options);
    expect(told.good).toBe(false);
    expect(last(told)).toEqual(lines);
  });

  it("names the process that was killed, and never prints undefined", () => {
    const told = new Story(50);
    told.hear("destination", { event: "loaded", status: "failed" });
    told.ended("destination", 0);
    told.ended("source", -1);
    expect(last(told)).toEqual(["source: its process was killed", "Not migrated.", "No evidence was examined."]);
    expect(summary(told).join("\n")).not.toContain("undefined");
  });
});

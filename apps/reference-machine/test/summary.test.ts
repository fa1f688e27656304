import { describe, expect, it } from "vitest";
import type { Mode } from "../src/cli/options.ts";
import { Story, summary } from "../src/cli/summary.ts";
import type { FollowedPages, Message } from "../src/roles/messages.ts";

const clean = { intact: 5, missing: [], repeated: [], torn: [], unexpected: [] };
const asked = { downtimeLimitMs: 50, channels: 2, autoConverge: true };
const guest = { blocksCompleted: 300, errorCount: 0, errorCode: 0, iommuEnabled: true, remaps: 3 };

function story(options: {
  sent: string;
  loaded: string;
  role?: "source" | "destination";
  missing?: number[];
  trouble?: string;
  mode?: Mode;
  followed?: FollowedPages;
}): Story {
  const told = new Story({ ...asked, mode: options.mode ?? "precopy" });
  const { sent, loaded, role = "destination", missing = [], trouble } = options;
  const statistics = {
    status: sent,
    ram: { transferred: 1, remaining: 0, total: 1 },
    "total-time": 100,
    "setup-time": 1,
  };
  told.hear("source", { event: "sent", status: sent, statistics, sections: [] } as unknown as Message);
  told.hear("destination", {
    event: "loaded",
    status: loaded,
    ...(options.followed && { followed: options.followed }),
  });
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
      ["The source does not know what became of the machine."],
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

  it("tells where each card was, and that a tree that is torn is not good", () => {
    const told = story({ sent: "completed", loaded: "completed" });
    const torn = { ...clean, torn: [{ at: 1, number: 7, reason: "checksum" }] };
    const heard = told.evidence as Extract<Message, { event: "evidence" }>;
    told.hear("destination", {
      ...heard,
      clean: false,
      evidence: { ...heard.evidence, trees: torn, cardPackets: clean },
      cards: [
        { name: "a", before: { kind: "returned to firmware" }, walks: 2, packets: 1200, now: { kind: "in use" } },
        {
          name: "b",
          before: { kind: "tree half fetched", tokens: 3, of: 9 },
          walks: 0,
          packets: 0,
          now: { kind: "in use" },
        },
      ],
    });
    expect(told.good).toBe(false);
    const lines = summary(told);
    expect(
      lines
        .find((line) => line.startsWith("  device trees fetched"))
        ?.split(/ {2,}/)
        .slice(2),
    ).toEqual(["5", "0", "0", "1", "0"]);
    expect(lines).toContain(
      "  card a: returned to firmware when the machine stood; since then 2 trees whole, 1,200 packets",
    );
    expect(lines).toContain(
      "  card b: 3 of 9 tokens fetched when the machine stood; since then 0 trees whole, 0 packets",
    );
  });

  it("counts channel I/O where the machine has it", () => {
    const told = story({ sent: "completed", loaded: "completed" });
    const heard = told.evidence;
    if (heard === undefined) throw new Error("no evidence");
    const line = () => summary(told).find((text) => text.startsWith("  channel I/O"));
    expect(line()).toBeUndefined();
    const channels = {
      programs: 1234,
      subchannelInterruptions: 2345,
      adapterInterruptions: 456,
      reports: 78,
      withoutStatus: 1,
    };
    told.hear("destination", { ...heard, channels });
    expect(line()).toBe(
      "  channel I/O: 1,234 programs, 2,345 interruptions of subchannels and 456 of adapters, 78 reports",
    );
  });

  const followed: FollowedPages = {
    dirtyPages: 2000,
    absentAtStart: 1900,
    faults: 34,
    requestedPages: 30,
    unaskedPages: 1970,
    latencyMs: { medianMs: 1.25, p95Ms: 20, maxMs: 120 },
  };

  it("tells what followed the guest in post-copy", () => {
    const told = story({ sent: "completed", loaded: "completed", mode: "postcopy", followed });
    expect(told.good).toBe(true);
    expect(summary(told)).toEqual(
      expect.arrayContaining([
        "  1,900 of 2,000 dirty pages (95.0%) were absent at its first instruction there",
        "  34 faults; 30 pages asked for, 1,970 came unasked",
        "  from fault to page: median 1.3 ms, 95% within 20.0 ms, longest 120 ms",
      ]),
    );
  });

  it("does not call it post-copy where most pages were there before", () => {
    const early = { ...followed, absentAtStart: 1799 };
    expect(last(story({ sent: "completed", loaded: "completed", mode: "postcopy", followed: early }))).toEqual([
      "Only 90.0% of the dirty pages were absent when the guest began to run.",
    ]);
    expect(last(story({ sent: "completed", loaded: "completed", mode: "postcopy" }))).toEqual([
      "All pages were there before the guest ran: this was no post-copy.",
    ]);
  });

  it("is not good over TLS unless each side has verified the other, by one authority", () => {
    const told = story({ sent: "completed", loaded: "completed", mode: "tls" });
    const refused = ["The two sides have not verified each other."];
    expect(last(told)).toEqual(refused);
    told.hear("source", { event: "verified", authority: "AA:01" });
    expect(last(told)).toEqual(refused);
    told.hear("destination", { event: "verified", authority: "BB:02" });
    expect(last(told)).toEqual(refused);
    told.hear("destination", { event: "verified", authority: "AA:01" });
    expect(told.good).toBe(true);
    expect(summary(told)).toContain("  the source has verified its peer: signed by AA:01");
  });

  it("tells of a machine that is lost, and of one that arrived without a last word of the source", () => {
    const lost = new Story({ ...asked, mode: "postcopy" });
    lost.hear("destination", { event: "loaded", status: "lost" });
    lost.ended("source", -1);
    expect(last(lost)).toEqual([
      "source: its process was killed",
      "The machine is lost: the connection broke while the only copy of pages was at the source.",
      "No evidence was examined.",
    ]);
    const arrived = story({ sent: "completed", loaded: "completed" });
    arrived.sent = undefined;
    arrived.ended("source", -1);
    expect(last(arrived)).toEqual([
      "source: its process was killed",
      "The machine arrived, and the source has not said so.",
    ]);
  });

  it("names the process that was killed, and never prints undefined", () => {
    const told = new Story({ ...asked, mode: "precopy" });
    told.hear("destination", { event: "loaded", status: "failed" });
    told.ended("destination", 0);
    told.ended("source", -1);
    expect(last(told)).toEqual(["source: its process was killed", "Not migrated.", "No evidence was examined."]);
    expect(summary(told).join("\n")).not.toContain("undefined");
  });
});

// What a run comes to: order of sections, rounds, downtime, evidence, and whether all of it is good.
import type { MigrationErrorJson } from "@godwit/core";
import type { RoundSummary } from "@godwit/migration";
import type { CardReport } from "../card-evidence.ts";
import type { Verdict } from "../evidence.ts";
import type { ChannelCounts } from "../guest/channel-block.ts";
import type { Evidence, FollowedPages, Message, Role } from "../roles/messages.ts";
import { count, mebibytes, milliseconds, percent, table } from "./format.ts";
import type { Options } from "./options.ts";

type Of<E extends Message["event"]> = Extract<Message, { event: E }>;

/** Post-copy is none where most pages were there before the guest. */
const leastAbsent = 0.9;

/** What was asked for. */
type RunOptions = Pick<Options, "downtimeLimitMs" | "mode" | "channels" | "autoConverge">;

/** Collects what a summary needs. */
export class Story {
  readonly rounds: RoundSummary[] = [];
  readonly options: RunOptions;
  sent: Of<"sent"> | undefined;
  loaded: Of<"loaded"> | undefined;
  evidence: (Of<"evidence"> & { role: Role }) | undefined;
  /** Mode tls: who has verified its peer, and by which authority's certificate. */
  readonly verified = new Map<Role, string>();
  failures: string[] = [];

  constructor(options: RunOptions) {
    this.options = options;
  }

  hear(role: Role, message: Message): void {
    if (message.event === "round") this.rounds.push(message.round);
    else if (message.event === "sent") this.sent = message;
    else if (message.event === "verified") this.verified.set(role, message.authority);
    else if (message.event === "loaded") this.loaded = message;
    else if (message.event === "evidence") this.evidence = { ...message, role };
    else if (message.event === "failed") this.failures.push(`${role}: ${message.text}`);
  }

  /** A process was ended from outside, or by its own mistake. */
  ended(role: Role, code: number): void {
    if (code !== 0 && !this.failures.some((text) => text.startsWith(`${role}:`))) {
      this.failures.push(`${role}: its process ${code < 0 ? "was killed" : `ended with code ${code}`}`);
    }
  }

  /** Migrated, and all evidence whole. */
  get good(): boolean {
    return this.problems().length === 0;
  }

  /** By one authority. */
  get #bothVerified(): boolean {
    return this.verified.size === 2 && new Set(this.verified.values()).size === 1;
  }

  /** Everything that keeps this run from being good, in sentences. */
  problems(): string[] {
    const { evidence, sent, loaded } = this;
    const problems = [...this.failures];
    if (evidence?.role === "source") problems.push("Not migrated. The machine goes on at the source.");
    else if (sent?.status === "lost" || loaded?.status === "lost")
      problems.push("The machine is lost: the connection broke while the only copy of pages was at the source.");
    else if (sent?.status === "in-doubt") problems.push("The source does not know what became of the machine.");
    else if (loaded?.status !== "completed") problems.push("Not migrated.");
    else if (sent?.status !== "completed") problems.push("The machine arrived, and the source has not said so.");
    const { followed } = loaded ?? {};
    if (this.options.mode === "postcopy" && loaded?.status === "completed") {
      if (followed === undefined) problems.push("All pages were there before the guest ran: this was no post-copy.");
      else if (shareAbsent(followed) < leastAbsent)
        problems.push(
          `Only ${percent(shareAbsent(followed))} of the dirty pages were absent when the guest began to run.`,
        );
    }
    if (this.options.mode === "tls" && loaded?.status === "completed" && !this.#bothVerified)
      problems.push("The two sides have not verified each other.");
    if (evidence === undefined) problems.push("No evidence was examined.");
    else {
      const where = evidence.role === "source" ? " at the source" : "";
      if (!evidence.clean) problems.push(`The evidence${where} is NOT whole.`);
      if (evidence.trouble !== undefined) problems.push(`${evidence.role}: ${evidence.trouble}.`);
      else if (evidence.guest.errorCount > 0)
        problems.push(`${evidence.role}: the guest reports error ${evidence.guest.errorCode}.`);
      else if (evidence.guest.blocksCompleted <= evidence.blocksBefore)
        problems.push(`${evidence.role}: the guest did not go on.`);
    }
    return problems;
  }

  /** The refusal, as the side that noticed it tells it. */
  get refusal(): MigrationErrorJson | undefined {
    return this.loaded?.error ?? this.sent?.error;
  }
}

export function summary(story: Story): string[] {
  return [
    "",
    ...sections(story),
    ...rounds(story),
    ...downtime(story),
    ...followed(story),
    ...connection(story),
    ...refused(story),
    ...evidence(story),
    ...verdict(story),
  ];
}

function sections({ sent, loaded }: Story): string[] {
  if (sent === undefined) return [];
  const sums = new Map<string, { phases: string[]; bytes: number }>();
  for (const { idstr, phase, bytes } of sent.sections) {
    const known = sums.get(idstr) ?? { phases: [], bytes: 0 };
    if (known.phases.at(-1) !== phase) known.phases.push(phase);
    sums.set(idstr, { phases: known.phases, bytes: known.bytes + bytes });
  }
  const place = (idstr: string): string => {
    // A section of several instances stands where its first one does.
    const at = loaded?.load?.loadOrder.findIndex((key) => key.slice(0, key.lastIndexOf("/")) === idstr) ?? -1;
    return at < 0 ? "-" : String(at + 1);
  };
  const rows = [...sums].map(([idstr, { phases, bytes }]) => [idstr, phases.join(" "), count(bytes), place(idstr)]);
  return [
    "Sections, in the order of the wire",
    ...table([["  section", "phases", "bytes", "loaded as"], ...rows.map(([a = "", ...rest]) => [`  ${a}`, ...rest])]),
    "",
  ];
}

function rounds({ rounds: all, sent, options: { autoConverge } }: Story): string[] {
  if (all.length === 0) return [];
  const pages = (n: number | undefined): string => (n === undefined ? "-" : count(n));
  const rows = all.map((round) => [
    `  ${round.round}`,
    pages(round.normalPages),
    pages(round.duplicatePages),
    mebibytes(round.bytes),
    milliseconds(round.durationMs),
    mebibytes(round.pendingBytes),
    `${round.cpuThrottlePercentage}%`,
  ]);
  const ram = sent?.statistics.ram;
  if (ram !== undefined) {
    const rest = (total: number | undefined, each: (round: RoundSummary) => number | undefined): string =>
      pages(total === undefined ? undefined : all.reduce((left, round) => left - (each(round) ?? 0), total));
    rows.push([
      "  paused",
      rest(ram.normal, (round) => round.normalPages),
      rest(ram.duplicate, (round) => round.duplicatePages),
      mebibytes(ram["downtime-bytes"]),
      "",
      "",
      "",
    ]);
  }
  return [
    "Rounds of pre-copy",
    ...table([["  round", "pages", "zero pages", "sent", "took", "dirty again", "CPU taken"], ...rows]),
    `  ${convergence(all, autoConverge)}`,
    "",
  ];
}

/** Whether the guest had to be slowed down, and whether what was left fitted into the pause. */
function convergence(all: readonly RoundSummary[], autoConverge: boolean): string {
  const most = Math.max(...all.map((round) => round.cpuThrottlePercentage));
  if (most > 0) return `auto-converge took up to ${most}% of the CPU from the guest, and gave it back`;
  return autoConverge ? "the guest was not slowed down" : "auto-converge off: the guest was not to be slowed down";
}

function shareAbsent({ absentAtStart, dirtyPages }: FollowedPages): number {
  return dirtyPages === 0 ? 0 : absentAtStart / dirtyPages;
}

function followed({ loaded }: Story): string[] {
  const pages = loaded?.followed;
  if (pages === undefined) return [];
  const { medianMs, p95Ms, maxMs } = pages.latencyMs;
  return [
    "Post-copy: pages that followed the guest",
    `  ${count(pages.absentAtStart)} of ${count(pages.dirtyPages)} dirty pages (${percent(shareAbsent(pages))}) were absent at its first instruction there`,
    `  ${count(pages.faults)} faults; ${count(pages.requestedPages)} pages asked for, ${count(pages.unaskedPages)} came unasked`,
    `  from fault to page: median ${milliseconds(medianMs)}, 95% within ${milliseconds(p95Ms)}, longest ${milliseconds(maxMs)}`,
    "",
  ];
}

function connection({ options: { mode, channels }, sent, verified }: Story): string[] {
  if (mode === "multifd" && sent !== undefined) {
    const { transferred, "multifd-bytes": bytes } = sent.statistics.ram;
    return [
      `multifd: ${mebibytes(bytes)} of ${mebibytes(transferred)} over ${channels} channels beside the main one`,
      "",
    ];
  }
  if (mode !== "tls") return [];
  return [
    "TLS, with certificates made for this run",
    ...[...verified].map(([role, authority]) => `  the ${role} has verified its peer: signed by ${authority}`),
    "",
  ];
}

function downtime({ sent, rounds: all, options: { downtimeLimitMs, mode } }: Story): string[] {
  const statistics = sent?.statistics;
  if (statistics === undefined || !("downtime" in statistics) || statistics.downtime === undefined) return [];
  const { downtime: total, "downtime-source": source, "downtime-destination": destination } = statistics;
  const parts = [
    ["last data", source],
    ["checks and loads", destination],
  ] as const;
  const known = parts.flatMap(([name, ms]) => (ms === undefined ? [] : [`${name} ${milliseconds(ms)}`]));
  const rest = total - (source ?? 0) - (destination ?? 0);
  const expected = all.at(-1)?.expectedDowntimeMs;
  const limit =
    mode === "postcopy"
      ? "no limit"
      : `limit ${milliseconds(downtimeLimitMs)}${expected === undefined ? "" : `, expected of RAM alone ${milliseconds(expected)}`}`;
  return [
    `Downtime ${milliseconds(total)}: ${[...known, `on the way ${milliseconds(rest)}`].join(", ")}`,
    `  ${limit}; whole migration ${milliseconds(statistics["total-time"])}`,
    "",
  ];
}

function refused({ sent, loaded, refusal }: Story): string[] {
  if (refusal === undefined) return [];
  const { code, detail, section, path, offset } = refusal;
  const place = [section && `section ${section}`, path && `field ${path}`, offset !== undefined && `offset ${offset}`];
  return [
    `Refused or failed: source ${sent?.status ?? "gone"}, destination ${loaded?.status ?? "gone"}`,
    `  ${code}: ${detail}`,
    `  ${place.filter(Boolean).join(", ")}`,
    "",
  ];
}

/** In the order in which they are shown. */
const evidenceNames: Readonly<Record<keyof Evidence, string>> = {
  blocks: "blocks written",
  packets: "packets sent",
  disk: "sectors of the disk",
  pool: "pages of the pool",
  draws: "pieces of entropy drawn",
  linesOut: "lines sent",
  linesIn: "lines taken",
  balloon: "pages of the balloon",
  scsiBlocks: "SCSI blocks written",
  scsiDisk: "sectors of the SCSI disk",
  jobs: "jobs of the accelerator",
  trees: "device trees fetched",
  cardPackets: "packets of the cards",
};

function evidence({ evidence: told }: Story): string[] {
  if (told === undefined) return [];
  const row = (name: string, { intact, missing, repeated, torn, unexpected }: Verdict) => [
    `  ${name}`,
    count(intact),
    count(missing.length),
    count(repeated.length),
    count(torn.length),
    count(unexpected.length),
  ];
  const rows = (Object.keys(evidenceNames) as (keyof Evidence)[]).flatMap((key) => {
    const verdict = told.evidence[key];
    return verdict === undefined ? [] : [row(evidenceNames[key], verdict)];
  });
  const goneOn = told.guest.blocksCompleted - told.blocksBefore;
  return [
    `Evidence, examined on the ${told.role}`,
    ...table([["  what", "intact", "lost", "repeated", "torn", "unknown"], ...rows]),
    `  the guest went on there for ${count(goneOn)} blocks, to block ${count(told.guest.blocksCompleted)}; IOMMU ${told.guest.iommuEnabled ? `on, ${count(told.guest.remaps)} pages remapped` : "off"}`,
    ...(told.cards ?? []).map((card) => `  ${cardLine(card)}`),
    ...(told.channels === undefined ? [] : [`  ${channelLine(told.channels)}`]),
    "",
  ];
}

function channelLine(counts: ChannelCounts): string {
  const { programs, subchannelInterruptions, adapterInterruptions, reports } = counts;
  return `channel I/O: ${count(programs)} programs, ${count(subchannelInterruptions)} interruptions of subchannels and ${count(adapterInterruptions)} of adapters, ${count(reports)} reports`;
}

function cardLine({ name, before, walks, packets }: CardReport): string {
  const found = before.kind === "tree half fetched" ? `${before.tokens} of ${before.of} tokens fetched` : before.kind;
  return `card ${name}: ${found} when the machine stood; since then ${count(walks)} trees whole, ${count(packets)} packets`;
}

function verdict(story: Story): string[] {
  if (story.good) return ["Migrated while it ran: nothing lost, repeated or torn."];
  const whole = story.evidence?.role === "source" && story.evidence.clean;
  return [...story.problems(), ...(whole ? ["Its evidence is whole: nothing lost, repeated or torn."] : [])];
}

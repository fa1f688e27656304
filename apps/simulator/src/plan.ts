// What a seed does to its world: which kinds of disturbances it switches on (swarm testing), and when each one strikes.
import type { Capabilities } from "@godwit/migration";
import type { Line, MessageFate } from "./direction.ts";
import type { DeathLook } from "./network.ts";
import type { Random } from "./random.ts";

/** Every kind of disturbance. A seed has some of them, so that each is seen alone and in many companies. */
export const disturbances = [
  "cut",
  "half-cut",
  "truncate",
  "stall",
  "corrupt",
  "lose",
  "duplicate",
  "reorder",
  "kill-source",
  "kill-destination",
  "freeze",
  "cancel-source",
  "cancel-destination",
  "check-fails",
  "ready-fails",
] as const;

export type Disturbance = (typeof disturbances)[number];

/** When something strikes: after a time, at a step of the process, or a little after a side has got into a state. */
export type Trigger =
  | { readonly at: "time"; readonly ms: number }
  | { readonly at: "step"; readonly steps: number }
  /** While its last record, of the hand-over itself, is being written; or shortly after. */
  | { readonly at: "write"; readonly delayMs: number }
  | { readonly at: "source" | "destination"; readonly status: string; readonly delayMs: number };

export interface Strike {
  readonly what: Exclude<Disturbance, "truncate" | "corrupt" | "lose" | "duplicate" | "reorder">;
  readonly when: Trigger;
}

export interface MessageRule {
  readonly fate: Exclude<MessageFate, "pass">;
  /** One kind of message, always; or any, at a rate. */
  readonly kind: string | undefined;
  readonly rate: number;
}

/** A byte of one connection of the migration, by its number: the main one is the first. */
export interface Place {
  readonly connection: number;
  readonly side: "client" | "server";
  readonly atBytes: number;
}

export interface Plan {
  readonly seed: number;
  readonly kinds: ReadonlySet<Disturbance>;
  readonly line: Line;
  readonly deathLooks: readonly DeathLook[];
  readonly strikes: readonly Strike[];
  readonly messageRules: readonly MessageRule[];
  readonly corrupt: Place | undefined;
  readonly truncate: Place | undefined;
  /** The machine and the migration. */
  readonly stepMs: number;
  readonly requestMs: number;
  readonly readyMs: number;
  readonly failsAt: "check" | "ready" | undefined;
  readonly warmUpMs: number;
  readonly peerTimeoutMs: number;
  readonly switchoverTimeoutMs: number;
  readonly downtimeLimitMs: number;
  readonly sliceBytes: number;
  readonly maxBandwidthBytesPerSecond: number | undefined;
  readonly maxRounds: number;
  readonly whenNotConverging: "continue" | "force" | "fail";
  /** Whether the destination waits before the source connects, and how long the one is later than the other. */
  readonly destinationDelayMs: number;
  /** QEMU's capabilities, the same on both sides. */
  readonly capabilities: Partial<Capabilities>;
  readonly multifdChannels: number;
  /** With postcopy-ram: how long after the first round began the machine goes. */
  readonly postcopyMs: number;
  /** Bytes per second; 0: no limit. */
  readonly maxPostcopyBandwidth: number;
  /** How long an operator takes to bring another connection where one has broken. */
  readonly recoverMs: number;
  /** Both sides keep ownership records. */
  readonly hasRecords: boolean;
  readonly writeMs: number;
  /** After how long a killed process is started again. */
  readonly restartMs: number | undefined;
  /** After a migration that ended at the source, another one to a fresh destination. */
  readonly triesAgain: boolean;
}

const sourceStatuses = [
  "preamble",
  "setup",
  "active",
  "quiescing",
  "device",
  "verifying",
  "releasing",
  "released",
  "completed",
];
/** Around the hand-over, where the windows are. */
const lateSource = ["verifying", "releasing", "released", "released"];
const lateDestination = ["prepared", "committing", "committing", "resuming"];
const aheadStatuses = ["postcopy-active", "postcopy-active", "postcopy-paused", "postcopy-recover"];
const destinationStatuses = [
  "waiting",
  "preamble",
  "active",
  "checking",
  "prepared",
  "committing",
  "resuming",
  "completed",
];
const messageKinds = [
  "offer",
  "accepted",
  "alive",
  "round",
  "received",
  "stream-end",
  "prepared",
  "released",
  "resumed",
  "failed",
  "cancelled",
];
const aheadKinds = [
  "package-end",
  "page-request",
  "complete",
  "resume",
  "resume-accepted",
  "received-bitmap",
  "resume-ack",
];

export function planOf(seed: number, random: Random): Plan {
  const swarm = random.fork("swarm");
  const kinds = new Set<Disturbance>();
  // One seed in ten has a quiet world: it must come through.
  const rate = swarm.chance(0.1) ? 0 : swarm.pick([0.07, 0.12, 0.25]);
  for (const kind of disturbances) if (swarm.chance(rate)) kinds.add(kind);
  const shape = random.fork("shape");
  const capabilities = capabilitiesOf(random.fork("capabilities"));
  const isAhead = capabilities["postcopy-ram"] === true;
  // What post-copy is about is a connection that breaks.
  if (isAhead && rate > 0) kinds.add(swarm.pick(["cut", "cut", "half-cut", "stall"] as const));
  const multifdChannels = shape.pick([1, 2, 4]);
  const connections = capabilities.multifd === true ? 1 + multifdChannels : 1;
  const stepMs = shape.between(1, 8);
  const bytesPerMs = shape.pick([10_000, 30_000, 100_000, 400_000]);
  return {
    seed,
    kinds,
    line: {
      latencyMs: shape.pick([0.1, 1, 5, 20]),
      jitterMs: shape.pick([0, 0, 0.5, 10]),
      bytesPerMs,
      bufferBytes: shape.pick([8 * 1024, 32 * 1024, 256 * 1024]),
    },
    deathLooks: shape.pick([["reset"], ["end"], ["silence"], ["reset", "end", "silence"]]),
    strikes: strikesOf(kinds, isAhead, random.fork("strikes")),
    messageRules: messageRulesOf(kinds, isAhead, random.fork("messages")),
    corrupt: placeOf(kinds.has("corrupt"), connections, random.fork("corrupt")),
    truncate: placeOf(kinds.has("truncate"), connections, random.fork("truncate")),
    capabilities,
    multifdChannels,
    stepMs,
    requestMs: shape.pick([0.5, 3, 40]),
    readyMs: shape.pick([0, 0, 2, 30]),
    failsAt: kinds.has("check-fails") ? "check" : kinds.has("ready-fails") ? "ready" : undefined,
    warmUpMs: shape.between(20, 400),
    peerTimeoutMs: shape.pick([400, 1500, 5000]),
    switchoverTimeoutMs: shape.pick([200, 1000, 5000]),
    downtimeLimitMs: shape.pick([1, 3, 20, 300]),
    sliceBytes: shape.pick([4096, 16 * 1024, 64 * 1024]),
    maxBandwidthBytesPerSecond: shape.chance(0.3) ? shape.pick([1, 4, 20]) * 1_000_000 : undefined,
    maxRounds: shape.pick([2, 5, 12]),
    whenNotConverging: shape.pick(["continue", "force", "force", "fail"]),
    destinationDelayMs: shape.chance(0.2) ? shape.between(0, 100) : 0,
    postcopyMs: shape.between(0, shape.pick([0.5, 2, 20, 100])),
    maxPostcopyBandwidth: shape.pick([0, 200_000, 1_000_000, 4_000_000]),
    recoverMs: shape.between(1, shape.pick([20, 600])),
    hasRecords: shape.chance(0.85),
    writeMs: shape.pick([0.2, 10, 50]),
    restartMs: shape.chance(0.75) ? shape.between(1, shape.pick([50, 2000])) : undefined,
    triesAgain: shape.chance(0.5),
  };
}

function strikesOf(kinds: ReadonlySet<Disturbance>, isAhead: boolean, random: Random): Strike[] {
  const strikes: Strike[] = [];
  const whats = ["cut", "half-cut", "stall", "freeze", "kill-source", "kill-destination"] as const;
  const cancels = ["cancel-source", "cancel-destination"] as const;
  for (const what of [...whats, ...cancels]) {
    if (kinds.has(what)) strikes.push({ what, when: triggerOf(random.fork(what), what.startsWith("kill"), isAhead) });
  }
  return strikes;
}

function triggerOf(random: Random, isKill: boolean, isAhead: boolean): Trigger {
  if (isKill && random.chance(0.5)) return { at: "write", delayMs: random.between(0, random.pick([5, 20, 60])) };
  if (isKill && random.chance(0.4)) return { at: "step", steps: 1 + random.below(random.pick([10, 60, 250])) };
  if (random.chance(0.25)) return { at: "time", ms: random.between(0, 400) };
  const at = random.pick(["source", "destination"] as const);
  const isLate = random.chance(0.4);
  const late = at === "source" ? lateSource : lateDestination;
  const before = isLate ? late : at === "source" ? sourceStatuses : destinationStatuses;
  const status = random.pick(isAhead && random.chance(0.75) ? aheadStatuses : before);
  // Mostly in the very moment, for the windows that matter are short.
  return { at, status, delayMs: random.chance(0.5) ? 0 : random.between(0, random.pick([0.5, 5, 60])) };
}

function messageRulesOf(kinds: ReadonlySet<Disturbance>, isAhead: boolean, random: Random): MessageRule[] {
  const rules: MessageRule[] = [];
  for (const fate of ["lose", "duplicate", "reorder"] as const) {
    if (!kinds.has(fate)) continue;
    const isAimed = random.chance(0.6);
    rules.push({
      fate,
      kind: isAimed ? random.pick(isAhead && random.chance(0.5) ? aheadKinds : messageKinds) : undefined,
      rate: isAimed ? 1 : random.pick([0.02, 0.1, 0.4]),
    });
  }
  return rules;
}

/** Mostly in what the source sends, of which there is more. */
function placeOf(isOn: boolean, connections: number, random: Random): Place | undefined {
  if (!isOn) return undefined;
  const connection = random.below(connections);
  const side = connection > 0 || random.chance(0.8) ? "client" : "server";
  const most = side === "client" ? random.pick([2000, 60_000, 200_000, 400_000]) : random.pick([100, 400]);
  return { connection, side, atBytes: random.below(most) };
}

function capabilitiesOf(random: Random): Partial<Capabilities> {
  const chosen = random.pick(["", "", "", "xbzrle", "auto-converge", "multifd", "postcopy", "postcopy"] as const);
  const held = { "pause-before-switchover": random.chance(0.1) };
  if (chosen === "") return held;
  if (chosen !== "postcopy") return { ...held, [chosen]: true };
  return { ...held, "postcopy-ram": true, "postcopy-preempt": random.chance(0.3), xbzrle: random.chance(0.3) };
}

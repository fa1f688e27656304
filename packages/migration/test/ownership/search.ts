// An explicit-state search: every state that some hosts with one machine, their records and a hostile network can reach.
import type { OwnershipRecord } from "@godwit/migration";
import { mayRun } from "../../src/ownership/record.ts";
import type { OwnershipRules } from "../../src/ownership/rules.ts";

/**
 * Where a host's process stands. `paused`, `releasing`, `waiting` are a source's, with its copy standing still: it has
 * sent all; `released` is durable, the word not said; it is said. `accepted`, `prepared`, `committed` are a
 * destination's: without a copy; with one, and it said so; heard `released`. `starting`: `owned` is durable, nothing runs. `broken`: an old copy runs, which must not be.
 */
const sourceSteps = ["running", "paused", "releasing", "waiting"] as const;
const destinationSteps = ["accepted", "prepared", "committed", "starting"] as const;
const steps = ["dead", "idle", "broken", ...sourceSteps, ...destinationSteps] as const;
type Step = (typeof steps)[number];

const copies = ["none", "current", "old"] as const;
const states = ["owned", "released", "accepted", "refused"] as const;

interface Host {
  readonly record: OwnershipRecord | undefined;
  readonly step: Step;
  /** Of the machine. One that is `old` was true before the machine ran somewhere else, or on. */
  readonly copy: (typeof copies)[number];
  /** The host at the other end of the attempt, or -1. */
  readonly peer: number;
  /** A write of `released` that was given up, and may reach the disk at any later time. */
  readonly late: boolean;
}

/** `taken` stands for `resumed`, too: both say that the epoch is somebody's own. */
const kinds = ["offer", "data", "prepared", "released", "never", "query", "taken"] as const;
type Kind = (typeof kinds)[number];

interface Message {
  readonly kind: Kind;
  readonly to: number;
  readonly from: number;
  readonly epoch: number;
  /** With `data`: the machine ran on since. */
  readonly old: boolean;
}

interface World {
  readonly hosts: readonly Host[];
  /** Sent at some time. Never taken out: what is never delivered was lost, what is delivered again came twice, or late. */
  readonly network: readonly number[];
  /** A process was killed that held the copy that counts. What remains to be seen is that never two run. */
  readonly lost: boolean;
}

interface Move {
  readonly name: string;
  readonly next: World;
  /** One that people and programs can bring about while nobody else fails, and no message of the hand-over arrives. */
  readonly resolves: boolean;
}

export interface Search {
  readonly hosts: number;
  /** No attempt offers more than this. What was begun is brought to its end all the same. */
  readonly maxOfferedEpoch: number;
  readonly rules: OwnershipRules;
  /** Only the first host gives the machine away; otherwise whoever has it may. */
  readonly oneSource?: boolean;
  /** A question is answered in the moment it is asked; the answer may still be lost, or late. It makes a search smaller. */
  readonly promptAnswers?: boolean;
  /** A write of `released` that was given up may still reach the disk. */
  readonly lateWrites?: boolean;
  /** Deliberate mistakes in the order of steps. */
  readonly mistakes?: {
    readonly runBeforeOwned?: boolean;
    readonly sayBeforeReleased?: boolean;
    readonly takeBackUnasked?: boolean;
    readonly answerBeforeRefused?: boolean;
  };
  readonly maxStates?: number;
}

export interface Found {
  readonly states: number;
  readonly moves: number;
  /** What was broken first, with the moves that lead there. */
  readonly violation: { readonly what: string; readonly trace: readonly string[] } | undefined;
  /** States in which nothing that counts was killed, and which no resolution leads out of. */
  readonly stuck: { readonly states: number; readonly trace: readonly string[] | undefined };
  /** How often each kind of state was seen, so that a search that sees nothing is noticed. */
  readonly seen: Readonly<Record<string, number>>;
}

const machine = "0123456789abcdef0123456789abcdef";

export function search(options: Search): Found {
  const first = canonical(firstWorld(options.hosts));
  const worlds: World[] = [first.world];
  const numbers = new Map<string, number>([[first.key, 0]]);
  const cameFrom: { readonly from: number; readonly name: string }[] = [{ from: -1, name: "start" }];
  /** For each state, the states that resolve into it. */
  const resolvesFrom: number[][] = [[]];
  const seen: Record<string, number> = {};
  let moves = 0;
  const found = (violation: Found["violation"], stuck: Found["stuck"] = { states: 0, trace: undefined }): Found => ({
    states: worlds.length,
    moves,
    violation,
    stuck,
    seen,
  });
  const traceTo = (state: number): string[] => {
    const names: string[] = [];
    for (let at = state; at >= 0; at = cameFrom[at]?.from ?? -1) names.push(cameFrom[at]?.name ?? "");
    return names.reverse();
  };

  for (let at = 0; at < worlds.length; at++) {
    const world = worlds[at] as World;
    tally(seen, world);
    const what = violationOf(world);
    if (what !== undefined) return found({ what, trace: traceTo(at) });
    for (const move of movesOf(world, options)) {
      moves++;
      const { world: next, key } = canonical(move.next);
      let number = numbers.get(key);
      if (number === undefined) {
        number = worlds.length;
        if (number >= (options.maxStates ?? 2_000_000)) throw new Error(`more than ${number} states`);
        numbers.set(key, number);
        worlds.push(next);
        cameFrom.push({ from: at, name: move.name });
        resolvesFrom.push([]);
      }
      if (move.resolves && !world.lost) resolvesFrom[number]?.push(at);
    }
  }
  return found(undefined, stuckStates());

  /** Backwards from every state in which exactly one runs, whole: who is not reached is stuck. */
  function stuckStates(): Found["stuck"] {
    const isGood = worlds.map((world) => isWhole(world));
    const todo = isGood.flatMap((good, state) => (good ? [state] : []));
    for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
      for (const before of resolvesFrom[at] ?? []) {
        if (isGood[before]) continue;
        isGood[before] = true;
        todo.push(before);
      }
    }
    const stuck = worlds.flatMap((world, state) => (world.lost || isGood[state] ? [] : [state]));
    return { states: stuck.length, trace: stuck[0] === undefined ? undefined : traceTo(stuck[0]) };
  }
}

function firstWorld(hosts: number): World {
  const none: Host = { record: undefined, step: "idle", copy: "none", peer: -1, late: false };
  const owner: Host = { ...none, record: { machine, epoch: 1, state: "owned" }, step: "running", copy: "current" };
  return { hosts: [owner, ...Array.from({ length: hosts - 1 }, () => none)], network: [], lost: false };
}

/** The promise: at most one host runs the machine, or would if its process restarted now. */
function violationOf({ hosts }: World): string | undefined {
  if (hosts.some(({ step }) => step === "broken")) return "an old copy runs";
  const able = hosts.filter(({ record, step }) => step === "running" || mayRun(record));
  if (able.length > 1) return "two may run";
  const [owner] = hosts.filter(({ record }) => mayRun(record));
  const sharing = hosts.filter(({ record }) => owner !== undefined && record?.epoch === owner.record?.epoch);
  if (sharing.length > 1) return "an epoch is shared";
  const wild = hosts.find(({ record, step, late }) => step === "running" && !mayRun(record) && !late);
  return wild === undefined ? undefined : "one runs that may not";
}

function isWhole({ hosts }: World): boolean {
  const running = hosts.filter(({ step }) => step === "running");
  return running.length === 1 && running[0]?.copy === "current";
}

function* movesOf(world: World, options: Search): Iterable<Move> {
  for (let at = 0; at < world.hosts.length; at++) yield* hostMoves(world, at, options);
  for (const code of world.network) {
    const message = messageOf(code);
    if ((world.hosts[message.to] as Host).step === "dead") continue;
    const next = deliver(world, message, options);
    if (next === undefined) continue;
    const resolves = message.kind === "query" || message.kind === "never" || message.kind === "taken";
    yield { name: `${message.to} hears ${message.kind} ${message.epoch}`, next, resolves };
  }
}

function* hostMoves(world: World, at: number, options: Search): Iterable<Move> {
  const { rules, mistakes = {} } = options;
  const host = world.hosts[at] as Host;
  const { record, step } = host;
  const epoch = record?.epoch ?? 0;
  const move = (name: string, next: World | undefined, resolves = true): Move[] =>
    next === undefined ? [] : [{ name: `${at} ${name}`, next, resolves }];
  if (step === "dead") {
    const revived: Host = {
      ...host,
      step: mayRun(record) ? "running" : "idle",
      copy: mayRun(record) ? "current" : "none",
    };
    yield* move("restarts", put(world, at, revived));
    return;
  }
  yield* move("is killed", kill(world, at), false);
  if (host.late && record?.state === "owned" && record.offered) {
    yield* move("writes released late", put(world, at, { ...host, record: rules.release(record) }), false);
  }
  if (record?.state === "released" && (step === "waiting" || step === "idle" || (step === "running" && host.late))) {
    for (let to = 0; to < world.hosts.length; to++) {
      if (to === at) continue;
      const query: Message = { kind: "query", to, from: at, epoch: epoch + 1, old: false };
      if (!options.promptAnswers) yield* move(`asks ${to}`, say(world, query));
      else if ((world.hosts[to] as Host).step !== "dead") yield* move(`asks ${to}`, deliver(world, query, options));
    }
  }
  if (step === "running" && mayRun(record)) {
    const offering = attempt(() => rules.offer(record));
    const mayOffer = host.peer < 0 && (!options.oneSource || epoch % 2 === 1);
    if (offering !== undefined && mayOffer && offering.epoch < options.maxOfferedEpoch) {
      for (let to = 0; to < world.hosts.length; to++) {
        if (to === at) continue;
        const next = put(world, at, { ...host, record: offering, peer: to, late: false });
        const offer: Message = { kind: "offer", to, from: at, epoch: offering.epoch + 1, old: false };
        yield* move(`offers to ${to}`, say(next, offer), false);
      }
    }
    if (host.peer >= 0) {
      yield* move("gives up", put(world, at, { ...host, peer: -1 }));
      const data: Message = { kind: "data", to: host.peer, from: at, epoch: epoch + 1, old: false };
      yield* move("pauses and sends", say(put(world, at, { ...host, step: "paused" }), data), false);
    }
  }
  if (step === "paused") {
    yield* move("goes on", run(world, at, { ...host, peer: -1 }));
    if (options.lateWrites) {
      yield* move("goes on, a write of released under way", run(world, at, { ...host, peer: -1, late: true }), false);
    }
  }
  if (step === "releasing") {
    const released: Message = { kind: "released", to: host.peer, from: at, epoch: epoch + 1, old: false };
    yield* move("says released", say(put(world, at, { ...host, step: "waiting" }), released), false);
    const back = attempt(() => rules.takeBack(record, epoch + 1));
    if (back !== undefined) {
      yield* move("takes back", put(world, at, { ...host, record: back, step: "starting", peer: -1 }));
    }
  }
  if (step === "waiting" && mistakes.takeBackUnasked) {
    const back = rules.takeBack(record, epoch + 1);
    yield* move("takes back unasked", put(world, at, { ...host, record: back, step: "starting", peer: -1 }));
  }
  if (step === "accepted" || step === "prepared" || step === "committed") {
    const gone: Host = { ...host, step: "idle", copy: "none", peer: -1 };
    yield* move("gives up silently", put(world, at, gone));
    const refusing = attempt(() => rules.refuse(record, epoch));
    if (refusing !== undefined) {
      const never: Message = { kind: "never", to: host.peer, from: at, epoch, old: false };
      yield* move("refuses", say(put(world, at, { ...gone, record: refusing }), never));
    }
  }
  if (step === "committed") {
    const owning = attempt(() => rules.own(record, epoch));
    const next = { ...host, step: "starting" } as const;
    if (mistakes.runBeforeOwned) yield* move("runs unwritten", start(world, at, host));
    else if (owning !== undefined) yield* move("writes owned", put(world, at, { ...next, record: owning }));
  }
  if (step === "starting") yield* move("runs", start(world, at, host));
}

function deliver(world: World, message: Message, { rules, mistakes = {} }: Search): World | undefined {
  const { to, from, epoch } = message;
  const host = world.hosts[to] as Host;
  const { record, step } = host;
  const isDestination = record?.state === "accepted" && record.epoch === epoch;
  const isReleased = record?.state === "released" && record.epoch === epoch - 1;
  switch (message.kind) {
    case "offer": {
      if (step !== "idle" && step !== "accepted" && step !== "prepared") return undefined;
      const accepting = attempt(() => rules.accept(record, machine, epoch));
      if (accepting === undefined) return undefined;
      return put(world, to, { ...host, record: accepting, step: "accepted", copy: "none", peer: from });
    }
    case "data": {
      if (step !== "accepted" || !isDestination) return undefined;
      const next = put(world, to, { ...host, step: "prepared", copy: message.old ? "old" : "current" });
      return say(next, { kind: "prepared", to: from, from: to, epoch, old: false });
    }
    case "prepared": {
      if (step !== "paused" || record?.epoch !== epoch - 1) return undefined;
      if (mistakes.sayBeforeReleased) {
        const released: Message = { kind: "released", to: host.peer, from: to, epoch, old: false };
        return say(put(world, to, { ...host, step: "paused" }), released);
      }
      return put(world, to, { ...host, record: rules.release(record), step: "releasing" });
    }
    case "released":
      return step === "prepared" && isDestination ? put(world, to, { ...host, step: "committed" }) : undefined;
    case "taken":
      if (!isReleased || step !== "waiting") return undefined;
      return put(world, to, { ...host, step: "idle", copy: "none", peer: -1 });
    case "never": {
      if (!isReleased || (step !== "waiting" && !(step === "running" && host.late))) return undefined;
      const back = attempt(() => rules.takeBack(record, epoch));
      if (back === undefined) return undefined;
      if (step === "running") return put(world, to, { ...host, record: back, late: false });
      return put(world, to, { ...host, record: back, step: "starting", peer: -1 });
    }
    case "query": {
      const { answer, write } = rules.answer(record, epoch);
      if (answer === "unknown") return undefined;
      const next =
        write === undefined || mistakes.answerBeforeRefused ? world : put(world, to, { ...host, record: write });
      return say(next, { kind: answer, to: from, from: to, epoch, old: false });
    }
  }
}

/** The machine begins to run here: every other copy, and every one on its way, is old from now on. */
function run(world: World, at: number, host: Host): World {
  const step: Host["step"] = host.copy === "current" ? "running" : "broken";
  const hosts = world.hosts.map((other, i): Host => {
    if (i === at) return { ...host, step };
    return other.copy === "current" ? { ...other, copy: "old" as const } : other;
  });
  const network = world.network.map((code) => {
    const message = messageOf(code);
    return message.kind === "data" ? messageCode({ ...message, old: true }) : code;
  });
  return { ...world, hosts, network };
}

function start(world: World, at: number, host: Host): World {
  const next = run(world, at, { ...host, peer: -1 });
  const epoch = host.record?.epoch ?? 0;
  return host.peer < 0 ? next : say(next, { kind: "taken", to: host.peer, from: at, epoch, old: false });
}

function kill(world: World, at: number): World {
  const { record, copy } = world.hosts[at] as Host;
  const wasGiven = world.hosts.some((other) => {
    const state = other.record?.state;
    return (other.record?.epoch ?? 0) > (record?.epoch ?? 0) && (state === "owned" || state === "released");
  });
  const counts = record?.state === "owned" || (record?.state === "released" && copy !== "none" && !wasGiven);
  const next = put(world, at, { record, step: "dead", copy: "none", peer: -1, late: false });
  return { ...next, lost: world.lost || counts };
}

function put(world: World, at: number, host: Host): World {
  return { ...world, hosts: world.hosts.map((other, i) => (i === at ? host : other)) };
}

function say(world: World, message: Message): World {
  return { ...world, network: [...world.network, messageCode(message)] };
}

function attempt<T>(step: () => T): T | undefined {
  try {
    return step();
  } catch {
    return undefined;
  }
}

/**
 * Hosts in the order of what they are, and no message that can have no effect any more: epochs only grow. Two worlds that
 * differ in nothing else are one state.
 */
function canonical(world: World): { readonly world: World; readonly key: string } {
  const codes = world.hosts.map(hostCode);
  const order = codes.map((_, i) => i).sort((a, b) => (codes[a] as number) - (codes[b] as number));
  const place = order.map((_, i) => order.indexOf(i));
  const renamed = (host: number): number => (host < 0 ? -1 : (place[host] as number));
  const hosts = order.map((i) => {
    const host = world.hosts[i] as Host;
    return host.peer === renamed(host.peer) ? host : { ...host, peer: renamed(host.peer) };
  });
  const kept = new Set<number>();
  for (const code of world.network) {
    const message = messageOf(code);
    if (!canMatter(world, message)) continue;
    kept.add(messageCode({ ...message, to: renamed(message.to), from: renamed(message.from) }));
  }
  const network = [...kept].sort((a, b) => a - b);
  const peers = hosts.map(({ peer }) => peer + 1);
  const key = [...order.map((i) => codes[i]), ...peers, world.lost ? 1 : 0, ...network].join(" ");
  return { world: { hosts, network, lost: world.lost }, key };
}

function canMatter({ hosts }: World, { kind, to, from, epoch }: Message): boolean {
  const here = hosts[to]?.record;
  const reached = here?.epoch ?? 0;
  const isPast = reached > epoch || (reached === epoch && here?.state !== "accepted");
  if (kind === "data" || kind === "released") return !isPast;
  if (kind === "query") return !isPast || (hosts[from]?.record?.epoch ?? 0) < epoch;
  if (kind === "prepared") return reached < epoch && !(reached === epoch - 1 && here?.state === "released");
  return reached < epoch;
}

/** All of a host but its peer. */
function hostCode({ record, step, copy, peer, late }: Host): number {
  const state = record === undefined ? 0 : 1 + states.indexOf(record.state);
  const flags = (record?.offered ? 4 : 0) + (peer < 0 ? 0 : 2) + (late ? 1 : 0);
  return (
    (((state * 64 + (record?.epoch ?? 0)) * steps.length + steps.indexOf(step)) * 3 + copies.indexOf(copy)) * 8 + flags
  );
}

const messages = new Map<number, Message>();

function messageCode(message: Message): number {
  const { kind, to, from, epoch, old } = message;
  const code = ((kinds.indexOf(kind) * 64 + epoch) * 64 + to * 8 + from) * 2 + (old ? 1 : 0);
  if (!messages.has(code)) messages.set(code, message);
  return code;
}

function messageOf(code: number): Message {
  return messages.get(code) as Message;
}

function tally(seen: Record<string, number>, world: World): void {
  const running = world.hosts.filter(({ step }) => step === "running").length;
  const add = (name: string): void => {
    seen[name] = (seen[name] ?? 0) + 1;
  };
  add(`${running} running${world.lost ? ", lost" : ""}`);
  for (const { record } of world.hosts) add(record?.state ?? "no record");
}

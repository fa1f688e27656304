// One seed's world: it is built, disturbed, driven to its end, and judged.
import { createOwnership } from "@godwit/migration";
import { Attempt } from "./attempt.ts";
import { type Canary, runsEarly, runWhenPrepared, skipsRecord } from "./canary.ts";
import { mostOpeningBytes } from "./frame-splitter.ts";
import { Host, machineId } from "./host.ts";
import { SimulatedMachine } from "./machine.ts";
import { type ConnectionFaults, Network, type Port } from "./network.ts";
import { codeOf, findingsOfReport } from "./oracle.ts";
import type { Outcome } from "./outcomes.ts";
import { type Plan, planOf } from "./plan.ts";
import type { SimulatedProcess } from "./process.ts";
import { type Random, randomOf } from "./random.ts";
import { Storage } from "./storage.ts";
import { Trace } from "./trace.ts";
import { settled, VirtualTime } from "./virtual-time.ts";

export interface SeedOptions {
  readonly canary?: Canary | undefined;
  readonly print?: ((line: string) => void) | undefined;
}

export interface SeedResult {
  readonly seed: number;
  readonly outcomes: ReadonlySet<Outcome>;
  /** Empty: the guarantee held. */
  readonly violations: readonly string[];
  readonly hash: string;
  readonly lines: number;
  readonly tail: readonly string[];
  readonly plan: Plan;
}

/** The opening, before the first frame, has no digest: a changed one is another protocol's, or another version's. */
function corruptionCodes({ corrupt }: Plan): readonly string[] {
  const isOpening = corrupt !== undefined && corrupt.atBytes < mostOpeningBytes;
  return isOpening ? ["PEER_KIND", "PROTOCOL_VERSION", "DIGEST_MISMATCH"] : ["DIGEST_MISMATCH"];
}

/** Beyond this nothing waits by right: every wait of the engine has a timeout, and so has the operator. */
const longestMs = 120_000;
/** Connections of the first attempt on which messages may be lost, come twice, or out of order. */
const mostDisturbed = 6;
/** How often an operator has a source in doubt ask, and how long he waits in between. */
const mostQuestions = 12;
const betweenQuestionsMs = 500;
/** How long a machine must be seen alive afterwards. */
const aliveMs = 60;

export async function runSeed(seed: number, options: SeedOptions = {}): Promise<SeedResult> {
  const world = new World(seed, options);
  await world.live();
  return world.result();
}

class World {
  readonly #seed: number;
  readonly #random: Random;
  readonly #plan: Plan;
  readonly #options: SeedOptions;
  readonly #time = new VirtualTime();
  readonly #trace: Trace;
  readonly #storage: Storage;
  readonly #network: Network;
  /** Source, destination, and the destination of a second attempt. */
  readonly #a: Host;
  readonly #b: Host;
  readonly #c: Host;
  readonly #hosts: readonly Host[];
  readonly #machines: SimulatedMachine[] = [];
  readonly #violations: string[] = [];
  readonly #outcomes = new Set<Outcome>();
  /** The first attempt read a byte that was changed on the way; whether the machine was given away by then. */
  #corruption: { readonly wasReleased: boolean } | undefined;
  #first: Attempt | undefined;
  #questions = 0;
  /** Connections of the first attempt. */
  #brought = 0;

  constructor(seed: number, options: SeedOptions) {
    this.#seed = seed;
    this.#options = options;
    this.#random = randomOf(seed);
    this.#plan = planOf(seed, this.#random);
    this.#trace = new Trace(this.#time, options.print);
    this.#storage = new Storage((text) => this.#violated(text));
    const deaths = this.#random.fork("deaths");
    this.#network = new Network({
      time: this.#time,
      trace: this.#trace,
      random: this.#random.fork("network"),
      line: this.#plan.line,
      faults: (client, server, port) => this.#faults(client, server, port),
      deathLook: () => deaths.pick(this.#plan.deathLooks),
    });
    this.#a = this.#host("a");
    this.#b = this.#host("b");
    this.#c = this.#host("c");
    this.#hosts = [this.#a, this.#b, this.#c];
  }

  async live(): Promise<void> {
    const { kinds, hasRecords, warmUpMs, failsAt, triesAgain } = this.#plan;
    this.#trace.add(`disturbances: ${[...kinds].join(" ") || "none"}${hasRecords ? "" : "; no records"}`);
    const source = this.#machine(this.#a, true);
    const destination = this.#machine(this.#b, false, failsAt);
    if (hasRecords) await this.#record();
    source.kernel.resume();
    await this.#drive(() => this.#time.nowMs >= warmUpMs, warmUpMs);
    const first = this.#attempt("first", source, destination, true);
    this.#first = first;
    await this.#finish(first);
    first.disarm();
    this.#classify(first);
    this.#judge(first);
    await this.#resolve(first);
    await this.#inspect();
    if (source.isRunning && triesAgain) await this.#again(source);
  }

  result(): SeedResult {
    return {
      seed: this.#seed,
      outcomes: this.#outcomes,
      violations: this.#violations,
      hash: this.#trace.hash,
      lines: this.#trace.lines,
      tail: this.#trace.tail(),
      plan: this.#plan,
    };
  }

  /** The machine's first record, and everybody answers questions about it. */
  async #record(): Promise<void> {
    let isCreated = false;
    void createOwnership(this.#a.log(), machineId).then(() => {
      isCreated = true;
    });
    await this.#drive(() => isCreated, longestMs);
    for (const host of this.#hosts) host.serve();
  }

  /** The promise about failures: as if nothing had been, and the next migration succeeds. */
  async #again(source: SimulatedMachine): Promise<void> {
    const second = this.#attempt("second", source, this.#machine(this.#c, false), false);
    await this.#finish(second);
    const { sourceReport, destinationReport } = second;
    if (sourceReport?.state.status !== "completed" || destinationReport?.state.status !== "completed") {
      const told = [sourceReport, destinationReport].map((report) => report && codeOf(report.state));
      this.#violated(`the second attempt, which nothing disturbs, ended as ${told.join(" and ")}`);
    }
    this.#outcomes.add("done");
    await this.#inspect();
  }

  #attempt(name: string, source: SimulatedMachine, destination: SimulatedMachine, isDisturbed: boolean): Attempt {
    const calm = { whenNotConverging: "force", maxRounds: 3, maxBandwidthBytesPerSecond: undefined } as const;
    const logOf = (machine: SimulatedMachine) => {
      const host = this.#hosts.find(({ process }) => process === machine.process) as Host;
      return runsEarly(this.#options.canary, host.log(), machine);
    };
    const attempt = new Attempt({
      name,
      time: this.#time,
      trace: this.#trace,
      network: this.#network,
      random: this.#random.fork(name),
      plan: isDisturbed ? this.#plan : { ...this.#plan, ...calm },
      source,
      destination,
      ownership: this.#plan.hasRecords ? { source: logOf(source), destination: logOf(destination) } : undefined,
      strikes: isDisturbed ? this.#plan.strikes : [],
      rejected: (error) => this.#violated(`a run was rejected: ${String(error)}`),
      reported: (which, side) => this.#reported(which, side),
    });
    const taker = this.#hosts.find(({ process }) => process === destination.process);
    if (taker !== undefined) taker.holds = () => attempt.incoming.holds;
    attempt.start();
    return attempt;
  }

  #reported(attempt: Attempt, side: "source" | "destination"): void {
    const report = side === "source" ? attempt.sourceReport : attempt.destinationReport;
    if (report === undefined) return;
    this.#trace.add(`${side} reports ${codeOf(report.state)}`);
    for (const finding of findingsOfReport(attempt, side)) this.#violated(finding);
    if (this.#options.canary === "resume-in-doubt" && report.state.status === "in-doubt")
      attempt.source.kernel.resume();
  }

  #host(name: "a" | "b" | "c"): Host {
    const { canary } = this.#options;
    const { writeMs, peerTimeoutMs, restartMs, hasRecords } = this.#plan;
    return new Host({
      name,
      time: this.#time,
      trace: this.#trace,
      random: this.#random.fork(`host ${name}`),
      network: this.#network,
      writeMs,
      peerTimeoutMs,
      restartMs: hasRecords ? restartMs : undefined,
      peer: () => this.#b,
      wrapLog: (log) => skipsRecord(canary, log),
      booted: () => this.#expectNeverTwo(),
    });
  }

  #machine({ process }: Host, isOrigin: boolean, failsAt?: "check" | "ready"): SimulatedMachine {
    const random = this.#random.fork(`machine ${process.name}`);
    const { stepMs, requestMs, readyMs } = this.#plan;
    const machine = new SimulatedMachine({
      process,
      storage: this.#storage,
      isOrigin,
      stepMs,
      requestMs: () => random.between(0.1, requestMs),
      readyMs: () => readyMs,
      failsAt,
      resumed: () => {
        this.#trace.add(`${process.name}: the machine runs`);
        this.#expectNeverTwo();
      },
      violated: (text) => this.#violated(text),
      forgetsPages: this.#options.canary === "forget-dirty-page",
    });
    if (this.#options.canary === "run-when-prepared") runWhenPrepared(machine);
    this.#machines.push(machine);
    return machine;
  }

  /** The first attempt is disturbed, and the first questions that are asked afterwards. */
  #faults(client: SimulatedProcess, server: SimulatedProcess, port: Port): ConnectionFaults {
    const { messageRules, corrupt, truncate } = this.#plan;
    const isQuestion = port === "ownership";
    const isDisturbed = isQuestion ? this.#questions++ < 2 : server.name === "b";
    const number = isDisturbed && !isQuestion ? this.#brought++ : undefined;
    // In the end somebody must get through.
    const isDisturbing = isDisturbed && (number ?? 0) < mostDisturbed;
    const random = this.#random.fork(`fates ${client.name} ${this.#network.connections.length}`);
    return {
      fate: (_from, kind) => {
        if (!isDisturbing) return "pass";
        for (const rule of messageRules) {
          if ((rule.kind === undefined || rule.kind === kind) && random.chance(rule.rate)) return rule.fate;
        }
        return "pass";
      },
      tookCorrupt: () => {
        this.#corruption ??= { wasReleased: this.#first?.wasReleased === true };
      },
      ...(corrupt?.connection === number && corrupt && { corruptAtBytes: { [corrupt.side]: corrupt.atBytes } }),
      ...(truncate?.connection === number && truncate && { truncateAtBytes: { [truncate.side]: truncate.atBytes } }),
    };
  }

  /** Until both sides have reported or died. */
  async #finish(attempt: Attempt): Promise<void> {
    if (await this.#drive(() => attempt.isOver, longestMs)) return;
    this.#violated(`hung: ${attempt.outgoing.state.status} and ${attempt.incoming.state.status}`);
  }

  #classify(attempt: Attempt): void {
    const { sourceReport, destinationReport, source, destination } = attempt;
    if (attempt.wasPaused) this.#outcomes.add("paused");
    if (attempt.wasRecovered && destination.isRunning) this.#outcomes.add("recovered");
    const status = sourceReport?.state.status;
    if (status === "cancelled") this.#outcomes.add("cancelled");
    if (status === "failed" && source.isRunning) this.#outcomes.add("failed-source-runs");
    if (status === "in-doubt") this.#outcomes.add("in-doubt");
    if (destinationReport?.state.status === "completed" && destination.isRunning) this.#outcomes.add("done");
  }

  #judge({ sourceReport, destinationReport, wasReleased }: Attempt): void {
    const { kinds, whenNotConverging } = this.#plan;
    const told = (): string =>
      [sourceReport, destinationReport].map((report) => report && codeOf(report.state)).join(" and ");
    if (kinds.size === 0 && whenNotConverging === "force" && !this.#outcomes.has("done")) {
      this.#violated(`nothing disturbed the migration, and it ended as ${told()}`);
    }
    const isOnlyCorrupt = kinds.size === 1 && kinds.has("corrupt");
    if (isOnlyCorrupt && this.#corruption?.wasReleased === false) {
      const state = sourceReport?.state;
      const isRefused = state?.status === "failed" && corruptionCodes(this.#plan).includes(state.error.code);
      if (!isRefused || wasReleased) this.#violated(`a byte was changed on the way, and it ended as ${told()}`);
    }
  }

  /** What an operator does about a machine that is in doubt. */
  async #resolve(attempt: Attempt): Promise<void> {
    const { sourceReport, source, outgoing } = attempt;
    if (sourceReport?.state.status !== "in-doubt" || !source.process.isAlive || source.isRunning) return;
    if (!this.#plan.hasRecords) return this.#resolveByReports(attempt);
    for (let question = 1; question <= mostQuestions && outgoing.state.status === "in-doubt"; question++) {
      let isAnswered = false;
      const connect = () => this.#network.connect(source.process, this.#b.process, "ownership");
      outgoing.resolve({ connect }).then(
        ({ outcome, error }) => {
          this.#trace.add(`the doubt: ${outcome}${error === undefined ? "" : ` (${error.code})`}`);
          isAnswered = true;
        },
        (error: unknown) => {
          this.#violated(`the doubt could not be looked into: ${String(error)}`);
          isAnswered = true;
        },
      );
      if (!(await this.#drive(() => isAnswered, longestMs))) this.#violated("a question about ownership hangs");
      await this.#pass(betweenQuestionsMs);
    }
  }

  /** Without records, by both sides' reports: the README's table. */
  #resolveByReports({ destinationReport, source, destination }: Attempt): void {
    if (destinationReport === undefined || destinationReport.state.status === "completed") return;
    if (destination.isRunning) return;
    this.#trace.add("the operator resumes the machine at the source");
    source.kernel.resume();
  }

  /** Exactly one machine lives, with all that it ever did; or none, and that was said. */
  async #inspect(): Promise<void> {
    await this.#drive(() => !this.#machines.some(({ process }) => process.isAlive && process.isFrozen), longestMs);
    const stepsBefore = this.#storage.steps;
    await this.#pass(aliveMs);
    const machine = this.#machines.find(({ isRunning }) => isRunning);
    if (machine === undefined) return this.#bury();
    if (this.#storage.steps <= stepsBefore) this.#violated("a machine runs, and its guest does not");
    let isQuiet = false;
    void machine.kernel.quiesce().then(() => {
      isQuiet = true;
    });
    if (!(await this.#drive(() => isQuiet, longestMs))) this.#violated("the machine does not quiesce");
    machine.kernel.pause();
    const { steps, requests } = this.#storage;
    for (const finding of machine.findings(steps, requests)) this.#violated(finding);
    this.#trace.add(`${machine.process.name}: ${steps} steps and ${requests} requests are looked at`);
    machine.kernel.resume();
  }

  /** No machine lives with what it did. Somebody who had it must have been killed, and whoever is left must say so. */
  async #bury(): Promise<void> {
    const [a, b] = [this.#a, this.#b];
    const first = this.#first;
    if (first === undefined) return this.#violated("no machine lives, and nothing has happened");
    // A process that was started again may still be asking.
    await this.#drive(() => a.resolution !== undefined && a.resolution !== "in-doubt", longestMs / 2);
    const taken = this.#plan.hasRecords
      ? (await b.disk.read(machineId))?.state === "owned"
      : first.destination.resumes > 0;
    // Pages that had not followed yet are with the source alone.
    const isGivenUp = first.incoming.state.status === "lost";
    const holder = taken && !isGivenUp ? b : a;
    const said = first.outgoing.state.status;
    const canAsk = b.process.isAlive && this.#plan.hasRecords;
    if (!holder.wasKilled) {
      const isRightlyInDoubt = !canAsk && said === "in-doubt";
      if (!isRightlyInDoubt)
        this.#violated(`no machine lives, although ${holder.name} has it; the source says ${said}`);
      return;
    }
    this.#outcomes.add("lost");
    if (isGivenUp) return;
    if (!a.wasKilled) {
      const truths = canAsk ? ["lost", "completed"] : ["in-doubt", "completed"];
      if (!truths.includes(said))
        this.#violated(`the machine is lost with ${holder.name}, and the source says ${said}`);
    } else if (a.process.isAlive && !a.runsAnew) {
      // Who asked while the other side still had it has heard the truth of that moment.
      const truths = canAsk ? ["lost", ...(taken ? ["taken"] : [])] : ["in-doubt"];
      const found = a.resolution ?? "nothing";
      if (!truths.includes(found))
        this.#violated(`the machine is lost with ${holder.name}, and ${a.name} says ${found}`);
    }
  }

  async #pass(forMs: number): Promise<void> {
    const untilMs = this.#time.nowMs + forMs;
    await this.#drive(() => this.#time.nowMs >= untilMs, forMs);
  }

  /** Lets the world go on, one timer at a time. True: it came to what was asked for. */
  async #drive(isThere: () => boolean, mostMs: number): Promise<boolean> {
    const untilMs = this.#time.nowMs + mostMs;
    for (;;) {
      await settled();
      this.#expectNeverTwo();
      if (isThere()) return true;
      if (this.#time.nowMs > untilMs || !this.#time.fireNext()) return false;
    }
  }

  /** Asked at every step: it must cost nothing. */
  #expectNeverTwo(): void {
    let running = 0;
    for (const machine of this.#machines) if (machine.isRunning) running++;
    for (const host of this.#hosts) if (host.runsAnew) running++;
    if (running < 2) return;
    const machines = this.#machines.filter(({ isRunning }) => isRunning);
    const anew = this.#hosts.filter(({ runsAnew }) => runsAnew);
    this.#violated(`two machines run: ${[...machines, ...anew].map(({ process }) => process.name).join(" and ")}`);
  }

  #violated(text: string): void {
    if (this.#violations.includes(text)) return;
    this.#violations.push(text);
    this.#trace.add(`VIOLATION: ${text}`);
    this.#trace.mark();
  }
}

// A host: a disk that lasts, a process that may be killed and started again, and what each of them does about ownership.
import { answerOwnership, mayRun, type OwnershipLog, resolveOwnership } from "@godwit/migration";
import { SimulatedDisk } from "./disk.ts";
import type { Network } from "./network.ts";
import { SimulatedProcess } from "./process.ts";
import type { Random } from "./random.ts";
import type { Trace } from "./trace.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** The one machine of this world. */
export const machineId = "0123456789abcdef0123456789abcdef";

export interface HostInit {
  readonly name: string;
  readonly time: VirtualTime;
  readonly trace: Trace;
  readonly random: Random;
  readonly network: Network;
  readonly writeMs: number;
  readonly peerTimeoutMs: number;
  /** How long after its process was killed another one is started. Undefined: never. */
  readonly restartMs: number | undefined;
  /** Whom a restarted process asks what became of the machine that it gave away. */
  readonly peer: () => Host;
  /** A canary's hand between the engine and the disk. */
  readonly wrapLog: (log: OwnershipLog) => OwnershipLog;
  /** A restarted process may run the machine, and does. */
  readonly booted: () => void;
}

/** A restarted process asks this often before it leaves the doubt to an operator. */
const mostQuestions = 8;
const pauseMs = 300;

export class Host {
  readonly name: string;
  readonly disk: SimulatedDisk;
  process: SimulatedProcess;
  /** A restarted process has begun to run the machine, from whatever it had saved. */
  #booted: SimulatedProcess | undefined;
  /** What a restarted process has found out about the machine that it gave away. */
  resolution: "lost" | "taken" | "in-doubt" | undefined;
  /** Whether its first process has all of the machine that it owns: in post-copy pages may still be elsewhere. */
  holds: () => boolean = () => true;
  readonly #init: HostInit;
  #generation = 0;

  constructor(init: HostInit) {
    this.#init = init;
    this.name = init.name;
    const { trace, random, writeMs } = init;
    this.disk = new SimulatedDisk({ name: init.name, trace, random: random.fork("disk"), writeMs });
    this.process = this.#start();
  }

  /** The machine runs here, in a process that has nothing of the one before. */
  get runsAnew(): boolean {
    return this.#booted?.isAlive === true;
  }

  get wasKilled(): boolean {
    return this.#generation > 1 || !this.process.isAlive;
  }

  log(): OwnershipLog {
    return this.#init.wrapLog(this.disk.logOf(this.process));
  }

  /** Answers whoever asks, at any time, one after the other. */
  serve(): void {
    const { network, peerTimeoutMs, trace } = this.#init;
    const { process } = this;
    const isFirst = this.#generation === 1;
    const next = (): void => {
      if (!process.isAlive) return;
      answerOwnership({
        accept: () => network.accept(process, "ownership"),
        log: this.log(),
        clock: process.clock,
        peerTimeoutMs,
        holds: () => isFirst && this.holds(),
      }).then(
        ({ epoch, answer }) => {
          trace.add(`${process.name}: answers ${answer} of epoch ${epoch}`);
          next();
        },
        () => next(),
      );
    };
    next();
  }

  #start(): SimulatedProcess {
    const { name, time, trace, random, restartMs } = this.#init;
    const process = new SimulatedProcess({
      name: name + "'".repeat(this.#generation),
      time,
      trace,
      startMs: Math.floor(random.between(0, 1e6)),
    });
    this.#generation++;
    process.onEnd(() => {
      if (restartMs !== undefined) time.after(restartMs, () => this.#restart());
    });
    return process;
  }

  #restart(): void {
    this.process = this.#start();
    this.#init.trace.add(`${this.process.name}: started`);
    this.serve();
    void this.#begin(this.process, this.log());
  }

  async #begin(process: SimulatedProcess, log: OwnershipLog): Promise<void> {
    const record = await log.read(machineId);
    if (mayRun(record)) {
      this.#booted = process;
      this.#init.trace.add(`${process.name}: owns the machine, and runs it from what it has saved`);
      this.#init.booted();
    } else if (record?.state === "released") await this.#ask(process, log);
  }

  async #ask(process: SimulatedProcess, log: OwnershipLog): Promise<void> {
    const { network, peerTimeoutMs, trace, peer } = this.#init;
    for (let question = 1; question <= mostQuestions; question++) {
      const { outcome } = await resolveOwnership({
        connect: () => network.connect(process, peer().process, "ownership"),
        machine: machineId,
        log,
        clock: process.clock,
        peerTimeoutMs,
        copy: "gone",
      });
      trace.add(`${process.name}: what it gave away is ${outcome}`);
      if (outcome === "owned") throw new Error("a process without a copy owns one");
      this.resolution = outcome;
      if (outcome !== "in-doubt") return;
      await new Promise<void>((resolve) => process.clock.after(pauseMs, resolve));
    }
  }
}

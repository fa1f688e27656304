// Two hosts, each with a process and a log that outlives it; a process can be killed at each thing that it does.
import {
  answerOwnership,
  type Channel,
  type DestinationState,
  type HostClock,
  incomingMigration,
  mayRun,
  memoryOwnershipLog,
  type OutgoingMigration,
  type OwnershipLog,
  type OwnershipResolution,
  outgoingMigration,
  resolveOwnership,
  type SourceState,
} from "@godwit/migration";
import { memoryPair } from "@godwit/transport";
import { ManualClock, turn } from "../support/clock.ts";
import { type MachineOptions, TestMachine } from "../support/machine.ts";

export const machine = "00112233445566778899aabbccddeeff";
const peerTimeoutMs = 1000;
const stepMs = 100;

export type Role = "source" | "destination";

/** What is done to one side's n-th deed: a write of its record, a message, a step of its machine. */
export interface Fault {
  readonly at: Role;
  readonly deed: number;
  /**
   * The process dies before the deed, or when it is done; a message is lost, or sent twice; the connection breaks; a
   * write of the record fails without effect, fails although it is there, is slower than anybody waits, or comes back when
   * nobody thinks of it any more.
   */
  readonly what: "die-before" | "die-after" | "lose" | "twice" | "cut" | "fail" | "fail-done" | "slow" | "hang";
}

class Process {
  isAlive = true;
  deeds = 0;
  readonly machine: TestMachine;
  readonly log: OwnershipLog;
  readonly clock: HostClock;
  readonly #world: World;
  readonly #role: Role;
  readonly #channels: Channel[] = [];

  constructor(world: World, role: Role, disk: OwnershipLog, options: MachineOptions) {
    this.#world = world;
    this.#role = role;
    const { clock } = world;
    this.clock = {
      nowMs: () => clock.nowMs(),
      after: (delayMs, callback) => clock.after(delayMs, () => void (this.isAlive && callback())),
    };
    this.machine = new TestMachine({ pages: 16, dirtyPagesPerTick: 1, ...options });
    for (const step of ["pause", "resume"] as const) {
      const act = this.machine[step].bind(this.machine);
      this.machine[step] = () => this.deed(step, act);
    }
    const incoming = this.machine.incoming.bind(this.machine);
    this.machine.incoming = () => {
      const attempt = incoming();
      const commit = attempt.commit.bind(attempt);
      attempt.commit = () => this.deed("commit", commit);
      return attempt;
    };
    this.log = {
      read: (id) => (this.isAlive ? disk.read(id) : never),
      write: (record, previous) =>
        this.deed(`write ${record.state} ${record.epoch}`, () => disk.write(record, previous)),
    };
  }

  die(): void {
    this.isAlive = false;
    this.machine.isRunning = false;
    for (const channel of this.#channels) channel.abort(new Error("the process is gone"));
  }

  /** One thing that the process does, if it still does anything. */
  deed<T>(name: string, act: () => T): T {
    if (!this.isAlive) return never as T;
    const { fault } = this.#world;
    const number = this.deeds++;
    const what = fault?.at === this.#role && fault.deed === number ? fault.what : undefined;
    this.#world.trace.push(`${this.#role} ${name}`);
    if (what !== undefined) this.#world.struck = `${this.#role} ${name}`;
    const isWrite = name.startsWith("write");
    const isMessage = name.startsWith("send");
    if (what === "die-before") {
      this.die();
      return never as T;
    }
    if (what === "cut") for (const channel of this.#channels) channel.abort(new Error("the cable is cut"));
    if (isMessage && what === "lose") return Promise.resolve() as T;
    if (isMessage && what === "twice") act();
    if (isWrite && what === "fail") return Promise.reject(new Error("the disk is full")) as T;
    if (isWrite && (what === "slow" || what === "hang")) {
      return new Promise<void>((resolve, reject) => {
        const delayMs = (what === "slow" ? 1.5 : 3.5) * peerTimeoutMs;
        this.#world.clock.after(delayMs, () => void (act() as Promise<void>).then(resolve, reject));
      }) as T;
    }
    const done = act();
    if (what === "die-after") {
      // What was handed to the transport or the disk is there, although who did it is not any more.
      this.isAlive = false;
      this.machine.isRunning = false;
      void turn().then(() => this.die());
      return never as T;
    }
    if (isWrite && what === "fail-done")
      return (done as Promise<void>).then(() => Promise.reject(new Error("EIO"))) as T;
    return done;
  }

  channel(channel: Channel): Channel {
    this.#channels.push(channel);
    return {
      send: (bytes) => (bytes[0] === 1 ? this.deed("send", () => channel.send(bytes)) : channel.send(bytes)),
      receive: () => channel.receive(),
      close: () => (this.isAlive ? channel.close() : never),
      abort: (error) => channel.abort(error),
    };
  }
}

// biome-ignore lint/suspicious/noExplicitAny: it never is anything.
const never: Promise<any> = new Promise(() => {});

export class World {
  readonly clock = new ManualClock();
  readonly fault: Fault | undefined;
  /** All deeds of both sides, in the order in which they were done. */
  readonly trace: string[] = [];
  /** The deed that the fault hit. */
  struck: string | undefined;
  readonly disks = {
    source: memoryOwnershipLog([{ machine, epoch: 1, state: "owned" }]),
    destination: memoryOwnershipLog(),
  };
  readonly source: Process;
  readonly destination: Process;
  readonly outgoing: OutgoingMigration;
  sourceState: SourceState | undefined;
  destinationState: DestinationState | undefined;

  constructor(fault?: Fault) {
    this.fault = fault;
    this.source = new Process(this, "source", this.disks.source, {});
    this.destination = new Process(this, "destination", this.disks.destination, { running: false });
    this.source.machine.fill(5);
    const [here, there] = memoryPair();
    const { source, destination } = this;
    this.outgoing = outgoingMigration({
      machine: source.machine,
      clock: source.clock,
      connect: async () => source.channel(here),
      yieldToHost: async () => {
        this.clock.advance(1);
        source.machine.tick();
        await (source.isAlive ? turn() : never);
      },
      ownership: { machine, log: source.log, peer: "there" },
      sliceBytes: 32 * 1024,
      peerTimeoutMs,
    });
    const incoming = incomingMigration({
      machine: destination.machine,
      clock: destination.clock,
      accept: async () => destination.channel(there),
      ownership: { log: destination.log, peer: "here" },
      peerTimeoutMs,
    });
    void this.outgoing.run().then(({ state }) => {
      this.sourceState = state;
    });
    void incoming.run().then(({ state }) => {
      this.destinationState = state;
    });
  }

  /** Until both sides that still live are at an end. */
  async run(): Promise<void> {
    await this.#until(
      () =>
        (this.sourceState !== undefined || !this.source.isAlive) &&
        (this.destinationState !== undefined || !this.destination.isAlive),
    );
    this.clock.advance(10 * peerTimeoutMs);
    for (let i = 0; i < 20; i++) await turn();
  }

  /** The source, or a new process in its place, asks; the destination's, old or new, answers. */
  async resolve(): Promise<OwnershipResolution> {
    const [here, there] = memoryPair();
    const { clock, disks } = this;
    let resolution: OwnershipResolution | undefined;
    const asking = this.source.isAlive
      ? this.outgoing.resolve({ connect: async () => here })
      : resolveOwnership({ connect: async () => here, machine, log: disks.source, clock, copy: "gone" });
    const answering = answerOwnership({
      accept: async () => there,
      clock,
      log: disks.destination,
      holds: () => this.destination.isAlive,
    });
    answering.catch(() => {});
    asking.then(
      (found) => {
        resolution = found;
      },
      () => {},
    );
    let isOver = false;
    asking
      .finally(() => {
        isOver = true;
      })
      .catch(() => {});
    await this.#until(() => isOver);
    return resolution ?? asking;
  }

  /** Everywhere that the machine runs now, or would if each dead process were started again. */
  async running(): Promise<Role[]> {
    const found: Role[] = [];
    for (const role of ["source", "destination"] as const) {
      const process = this[role];
      const may = mayRun(await this.disks[role].read(machine));
      if (process.isAlive ? process.machine.isRunning : may) found.push(role);
    }
    return found;
  }

  /** And the same, had both been killed just now. */
  async mayRun(): Promise<Role[]> {
    const found: Role[] = [];
    for (const role of ["source", "destination"] as const) {
      if (mayRun(await this.disks[role].read(machine))) found.push(role);
    }
    return found;
  }

  async #until(isDone: () => boolean): Promise<void> {
    for (let i = 0; !isDone(); i++) {
      if (i > 2000) throw new Error(`nothing happens any more: ${this.trace.slice(-8).join(", ")}`);
      const beforeMs = this.clock.nowMs();
      for (let j = 0; j < 10 && !isDone(); j++) await turn();
      if (this.clock.nowMs() === beforeMs) this.clock.advance(stepMs);
    }
  }
}

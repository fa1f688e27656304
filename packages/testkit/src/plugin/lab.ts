// Where a check's machines live: made, driven, saved, loaded, and torn down at the end.
import { type AnyRecord, type Dependency, isMigrationError, type LoadReport, type MigrationError } from "@godwit/core";
import { sourceTimes } from "../clocks/cuts.ts";
import { equal, type Save } from "../clocks/differences.ts";
import { type HostTimes, type SimulatedHost, simulatedHost } from "../clocks/host.ts";
import { saveOf } from "../clocks/run.ts";
import { Workbench } from "./bench.ts";
import type { Findings, PluginCode } from "./findings.ts";
import { randomOf } from "./random.ts";
import type { Recorded, RecordedDevice } from "./recorded.ts";
import type { PluginTest } from "./test.ts";

export interface Made<M> {
  readonly bench: Workbench;
  readonly machine: M;
}

export interface MakeOptions {
  readonly times?: HostTimes;
  /** A host that is there already. */
  readonly host?: SimulatedHost;
  readonly after?: ReadonlyMap<number, readonly Dependency[]>;
}

/** What the test's own functions threw: nothing can be said of the plugin. */
export class SetupFailure extends Error {
  constructor(what: string, cause: unknown) {
    super(`${what} threw: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.name = "SetupFailure";
  }
}

export type Outcome =
  | { readonly is: "loaded"; readonly report: LoadReport }
  | { readonly is: "refused"; readonly error: MigrationError }
  | { readonly is: "failed"; readonly code: PluginCode; readonly section: string | undefined; readonly cause: unknown };

/** So much virtual time has gone by before `exercise`: no moment of a test is 0 by chance. Nanoseconds. */
const beforeExerciseNs = 1_000_003n;

const defaultStates = 50;
/** No registration of a machine on the bench has come so far. */
const pluggedSectionId = 0x7ffe;

export class Lab<M> {
  readonly test: PluginTest<M>;
  readonly #made: M[] = [];

  constructor(test: PluginTest<M>) {
    this.test = test;
  }

  get seed(): number {
    return this.test.seed ?? 1;
  }

  /** How many states of each section are generated. */
  get states(): number {
    return this.test.states ?? defaultStates;
  }

  /** What is done `times` by default, in proportion to the states that are asked for; at least so often, at most as by default. */
  scaled(times: number, least: number): number {
    return Math.max(least, Math.min(times, Math.ceil((times * this.states) / defaultStates)));
  }

  make({ times = sourceTimes, host = simulatedHost(times), after }: MakeOptions = {}): Made<M> {
    const { kernel } = this.test;
    const bench = new Workbench({ host, ...(kernel && { kernel }), ...(after && { after }) });
    try {
      const machine = this.test.setup(bench);
      this.#made.push(machine);
      return { bench, machine };
    } catch (error) {
      throw new SetupFailure("setup", error);
    }
  }

  /** A machine that has run for a while, as `exercise` drove it; it stands. */
  async exercised(seed = this.seed, options: MakeOptions = {}): Promise<Made<M>> {
    const made = this.make(options);
    await this.exercise(made, seed);
    return made;
  }

  async exercise(made: Made<M>, seed = this.seed): Promise<void> {
    await this.#run("exercise", made, async ({ bench, machine }) => {
      bench.host.advance(beforeExerciseNs);
      await this.test.exercise?.(machine, randomOf(seed), bench);
    });
  }

  async goOn(made: Made<M>, seed: number): Promise<void> {
    await this.#run("goOn", made, ({ bench, machine }) => this.test.goOn?.(machine, randomOf(seed), bench));
  }

  async #run(what: string, made: Made<M>, work: (made: Made<M>) => void | Promise<void>): Promise<void> {
    const { kernel } = made.bench;
    try {
      kernel.resume();
      await work(made);
      await kernel.quiesce();
      kernel.pause();
    } catch (error) {
      throw new SetupFailure(what, error);
    }
  }

  async close(): Promise<void> {
    const failures: unknown[] = [];
    for (const machine of this.#made.splice(0)) {
      try {
        await this.test.teardown?.(machine);
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new SetupFailure("teardown", failures[0]);
  }
}

/** The plugin's devices that have a description. */
export function devicesOf({ recorded }: Workbench): RecordedDevice[] {
  return testedOf(recorded).filter(
    (one): one is RecordedDevice => one.description !== undefined && one.form !== "kind",
  );
}

/** A device of each kind that the plugin can make, as a stream would name it: at `plugged`, or by the name alone. */
export function pluggableOf(
  { test: { plugged = {} } }: Pick<Lab<unknown>, "test">,
  { recorded }: Workbench,
): RecordedDevice[] {
  const taken = new Set(recorded.map(({ key }) => key));
  return testedOf(recorded).flatMap((one) => {
    const { form, description } = one;
    if (form !== "kind" || description === undefined) return [];
    const idstr = plugged[description.name] ?? description.name;
    let instance = 0;
    while (taken.has(`${idstr}/${instance}`)) instance++;
    return [{ ...one, description, idstr, instance, key: `${idstr}/${instance}`, sectionId: pluggedSectionId }];
  });
}

export function testedOf(recorded: readonly Recorded[]): Recorded[] {
  return recorded.filter(({ isTested }) => isTested);
}

/** The whole machine; what its save throws is a finding, and then there is none. */
export async function saveWith(findings: Findings, { bench }: Made<unknown>, when: string): Promise<Save | undefined> {
  try {
    return await saveOf(bench.kernel);
  } catch (error) {
    refuseSave(findings, error, when);
    return undefined;
  }
}

function refuseSave(findings: Findings, error: unknown, when: string): void {
  const isOurs = isMigrationError(error);
  const { section, path } = isOurs ? error.location : {};
  const code = isOurs && error.code === "ABSENT_MISMATCH" ? "SUBSECTION_LOST" : "SAVE_FAILED";
  findings.add(code, { section, path, text: `${when}: ${messageOf(error)}`, cause: error });
}

/** Undefined where a save throws: another check says so. */
export function snapshotOf({ bench }: Made<unknown>): Uint8Array | undefined {
  try {
    return bench.kernel.snapshot();
  } catch {
    return undefined;
  }
}

/** Whether a save leaves the machine as it is. Where it does not, `saves` says so, and comparisons say nothing. */
export function isSteady(made: Made<unknown>): boolean {
  return isSame(snapshotOf(made), snapshotOf(made));
}

export function isSame(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined ? a === b : equal(a, b);
}

/** Loads a whole stream, and says what became of it. */
export async function loadInto({ bench }: Made<unknown>, stream: Uint8Array): Promise<Outcome> {
  bench.forget();
  try {
    return { is: "loaded", report: await bench.kernel.load(stream) };
  } catch (error) {
    return outcomeOf(bench, error);
  }
}

/** Decodes and checks a whole stream, and throws the attempt away: nothing of the machine may have changed. */
export async function prepareOnly({ bench }: Made<unknown>, stream: Uint8Array): Promise<void> {
  const attempt = bench.kernel.incoming();
  try {
    attempt.push(stream);
    attempt.end();
    await attempt.prepare();
  } catch {
    // What a refusal says, the load of the same stream tells.
  } finally {
    attempt.discard();
  }
}

export function outcomeOf({ calls }: Workbench, error: unknown): Outcome {
  if (!isMigrationError(error)) return { is: "failed", code: "DECODER_FAILED", section: undefined, cause: error };
  const { section } = error.location;
  if (error.code === "MACHINE_TORN") return { is: "failed", code: "MACHINE_TORN", section, cause: error };
  if (error.code !== "DEVICE_FAILED") return { is: "refused", error };
  const [first] = calls.thrown;
  const inLoad = first !== undefined && (first.what === "load" || first.what === "ready");
  const code = inLoad
    ? "LOAD_FAILED"
    : first === undefined
      ? "DECODER_FAILED"
      : first.what === "save"
        ? "SAVE_FAILED"
        : "CHECK_FAILED";
  return { is: "failed", code, section: first?.section ?? section, cause: error };
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The state that the last load gave to a device; undefined where it was not loaded. */
export function givenTo({ bench }: Made<unknown>, key: string): AnyRecord | undefined {
  return bench.calls.given.get(key);
}

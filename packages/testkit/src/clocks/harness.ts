// The runs that the clock harness makes, and the comparisons between them.
import { type Cut, cutsOf, type Destination, destinations, sourceTimes } from "./cuts.ts";
import { differences, equal, type Save } from "./differences.ts";
import { type ClockFinding, Findings } from "./finding.ts";
import { compareFirings } from "./firings.ts";
import type { HostTimes } from "./host.ts";
import type { TimedSetup } from "./machine.ts";
import { begin, copied, type Running, saved, type Times } from "./run.ts";

export interface ClockOptions {
  readonly setup: TimedSetup;
  /** How long a run goes, virtual nanoseconds: long enough for each device to fire a few times. */
  readonly untilNs: bigint;
  /**
   * Fields that hold the host's wall time because they mean it (a real-time clock that follows it): `rtc/0 wall`, the
   * section and a field's path as the stream's vmdesc spells it; what is nested in it is meant, too. Monotonic host
   * time is never excused.
   */
  readonly wallFields?: readonly string[];
  /** How many deadlines are cut around: the first, the last, and evenly between. The default is 3. */
  readonly deadlines?: number;
}

/** What the second half of a run looked like. */
interface Rest {
  readonly fired: Times;
  /** The guest's wall time just after the cut, and at the end. */
  readonly wall: { readonly mode: "follow" | "freeze"; readonly times: readonly [bigint, bigint] } | undefined;
}

export class Harness {
  readonly #options: ClockOptions;
  readonly #findings = new Findings();

  constructor(options: ClockOptions) {
    this.#options = options;
  }

  async run(): Promise<readonly ClockFinding[]> {
    const { setup, untilNs, deadlines = 3 } = this.#options;
    const whole = await this.#guarded("without a migration", async () => {
      const { machine } = await begin(setup, sourceTimes);
      await machine.start();
      await machine.run(untilNs);
      return machine.fired();
    });
    if (whole === undefined || this.#silent(whole)) return this.#findings.all();
    const times = [...new Set(Object.values(whole).flat())].sort((a, b) => (a < b ? -1 : 1));
    for (const cut of cutsOf(times, untilNs, deadlines)) await this.#cut(cut);
    return this.#findings.all();
  }

  /** A device that never fires proves nothing. */
  #silent(fired: Times): boolean {
    const silent = Object.entries(fired).filter(([, times]) => times.length === 0);
    if (Object.keys(fired).length === 0) silent.push(["the machine", []]);
    for (const [device] of silent) {
      const text = `${device} does not fire within ${this.#options.untilNs} ns, migrated or not`;
      this.#findings.add({ code: "NOTHING_FIRED", device, text });
    }
    return silent.length > 0;
  }

  async #cut(cut: Cut): Promise<void> {
    const at = `saved ${cut.text}`;
    const expected = await this.#guarded(`${at}; not migrated`, async () =>
      this.#rest(await this.#firstHalf(cut, sourceTimes), cut),
    );
    const source = await this.#guarded(at, () => this.#firstHalf(cut, sourceTimes));
    const save = source && (await this.#guarded(at, () => saved(source)));
    if (expected === undefined || source === undefined || save === undefined) return;
    const savedTimes: HostTimes = { now: source.host.now(), wallNow: source.host.wallNow() };

    await this.#compareSaves(cut, save);
    await this.#carry(`${at}; the source itself goes on`, cut, expected, 0n, async () => source);
    for (const to of destinations) {
      const times = to.times(savedTimes);
      const aheadNs = times.wallNow - savedTimes.wallNow;
      const load = () => this.#loaded(save, cut, to, times);
      await this.#carry(`${at}; loaded with ${to.text}`, cut, expected, aheadNs, load);
    }
  }

  async #firstHalf(cut: Cut, times: HostTimes): Promise<Running> {
    const running = await begin(this.#options.setup, times);
    if (cut.started) await running.machine.start();
    await running.machine.run(cut.runToNs);
    running.host.advance(cut.atNs - cut.runToNs);
    return running;
  }

  /** Goes on from the cut to the end; `before` is what had fired up to the load. */
  async #rest({ machine }: Running, cut: Cut, before: Times = copied(machine.fired())): Promise<Rest> {
    const { wall, kernel } = machine;
    const wallThen = wall?.now();
    if (!cut.started) {
      // What was not armed must not fire either, until the guest arms it.
      await machine.run(cut.goOnNs);
      await machine.start();
    }
    await machine.run(cut.goOnNs + this.#options.untilNs);
    if (!kernel.clock.running) throw new Error("the virtual clock stands behind the run");
    const fired: Record<string, readonly bigint[]> = {};
    for (const [device, times] of Object.entries(machine.fired())) {
      fired[device] = times.slice(before[device]?.length ?? 0);
    }
    return { fired, wall: wall && { mode: wall.mode, times: [wallThen as bigint, wall.now()] } };
  }

  /** A machine that has taken the state over, its host's clocks at `times` at that moment. */
  async #loaded(save: Save, cut: Cut, to: Destination, times: HostTimes): Promise<Running & { before: Times }> {
    const { setup, untilNs } = this.#options;
    const ownNs = to.used ? untilNs / 2n + 1n : 0n;
    const running = await begin(setup, { now: times.now - ownNs, wallNow: times.wallNow - ownNs });
    const { machine } = running;
    if (to.used) {
      await machine.start();
      await machine.run(ownNs);
    }
    machine.kernel.pause();
    const before = copied(machine.fired());
    await machine.kernel.load(save.bytes);
    machine.kernel.resume();
    const now = machine.kernel.clock.now();
    if (now !== cut.atNs) throw new Error(`the virtual clock shows ${now} ns after the load, not ${cut.atNs} ns`);
    return { ...running, before };
  }

  async #carry(
    at: string,
    cut: Cut,
    expected: Rest,
    wallAheadNs: bigint,
    begun: () => Promise<Running & { before?: Times }>,
  ): Promise<void> {
    const found = await this.#guarded(at, async () => {
      const running = await begun();
      return this.#rest(running, cut, running.before);
    });
    if (found === undefined) return;
    const loadedNs = cut.atNs;
    const untilNs = cut.goOnNs + this.#options.untilNs;
    for (const device of new Set([...Object.keys(expected.fired), ...Object.keys(found.fired)])) {
      const verdict = compareFirings(expected.fired[device] ?? [], found.fired[device] ?? [], { loadedNs, untilNs });
      if (verdict) this.#findings.add({ ...verdict, device, text: `${device} ${verdict.text} (${at})` });
    }
    this.#compareWall(at, expected, found, wallAheadNs);
  }

  #compareWall(at: string, expected: Rest, found: Rest, wallAheadNs: bigint): void {
    if (expected.wall === undefined || found.wall === undefined) return;
    const { mode } = expected.wall;
    const shift = mode === "follow" ? wallAheadNs : 0n;
    for (const [i, when] of (["right after the load", "at the end of the run"] as const).entries()) {
      const lateNs = (found.wall.times[i] as bigint) - ((expected.wall.times[i] as bigint) + shift);
      if (lateNs === 0n) continue;
      const text =
        `the guest's clock (${mode}) is ${lateNs < 0n ? -lateNs : lateNs} ns ` +
        `${lateNs < 0n ? "behind" : "ahead"} ${when} (${at})`;
      this.#findings.add({ code: "WALL_CLOCK_WRONG", device: "wall clock", text, lateNs });
      return;
    }
  }

  /** The same moment on other hosts must give the same bytes. */
  async #compareSaves(cut: Cut, save: Save): Promise<void> {
    const again = await this.#saveOn(cut, sourceTimes);
    if (again === undefined) return;
    if (!equal(save.bytes, again.bytes)) {
      const [first] = differences(save, again);
      const device = first?.section ?? "stream";
      const text = `two runs on equal hosts save different bytes: ${place(device, first?.path)} (saved ${cut.text})`;
      this.#findings.add({ code: "NOT_DETERMINISTIC", device, text });
      return;
    }
    const awayNs = 604_800_123_456_789n;
    const { now, wallNow } = sourceTimes;
    for (const clock of ["monotonic", "wall"] as const) {
      const times = clock === "wall" ? { now, wallNow: wallNow + awayNs } : { now: now + awayNs, wallNow };
      const other = await this.#saveOn(cut, times);
      if (other === undefined) continue;
      for (const { section, path, values } of differences(save, other)) {
        if (clock === "wall" && this.#excused(section, path)) continue;
        const moved = values && values[1] - values[0];
        const how =
          moved === awayNs
            ? ", by exactly as much as the clocks"
            : moved === undefined
              ? ""
              : `: ${values?.[0]} and ${values?.[1]}`;
        const text =
          `${place(section, path)} depends on the host's ${clock} clock: saved at the same virtual time on two hosts ` +
          `whose ${clock} clocks are ${awayNs} ns apart, it differs${how} (saved ${cut.text})`;
        this.#findings.add({
          code: "HOST_TIME_STORED",
          device: section,
          ...(path === undefined ? {} : { path }),
          text,
        });
      }
    }
  }

  #excused(section: string, path: string | undefined): boolean {
    if (path === undefined) return false;
    const place = `${section} ${path}`;
    return (this.#options.wallFields ?? []).some(
      (one) => place === one || place.startsWith(`${one}.`) || place.startsWith(`${one}[`),
    );
  }

  #saveOn(cut: Cut, times: HostTimes): Promise<Save | undefined> {
    return this.#guarded(`saved ${cut.text}`, async () => saved(await this.#firstHalf(cut, times)));
  }

  async #guarded<T>(at: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (cause) {
      const text = `${cause instanceof Error ? cause.message : String(cause)} (${at})`;
      this.#findings.add({ code: "MACHINE_FAILED", device: "the machine", text, cause });
      return undefined;
    }
  }
}

function place(section: string, path: string | undefined): string {
  return path === undefined ? `section ${section}` : `section ${section}, field ${path},`;
}

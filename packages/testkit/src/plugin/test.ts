// What the author of a plugin writes: how a machine with it is made, and what else the checks need to know.
import type { Kernel, KernelOptions, Plugin, TimerQueue, VirtualClock } from "@godwit/core";
import type { Arbitrary } from "fast-check";
import type { SimulatedHost } from "../clocks/host.ts";
import type { CheckName } from "./findings.ts";
import type { Random } from "./random.ts";

/** One fresh machine, not running, on a simulated host: no time passes but by `host.advance`. */
export interface Bench {
  /** For companions that the plugin needs: `bench.kernel.use(ram(...))`, `bench.kernel.device(...)`. */
  readonly kernel: Kernel;
  readonly clock: VirtualClock;
  readonly timers: TimerQueue;
  readonly host: SimulatedHost;
  /** Takes the plugin under test in, once or several times, and gives its offer. */
  use<Offer>(plugin: Plugin<Offer>): Offer;
}

/** By a section's `idstr`, or a description's name: the arbitrary of its states, made from the one that it describes. */
// biome-ignore lint/suspicious/noExplicitAny: the states of all sections stand in one record, and each is the author's to know
export type Arbitraries = Readonly<Record<string, (base: Arbitrary<any>) => Arbitrary<any>>>;

/** For a plugin with timers or a clock: what `checkClocks` of `@godwit/testkit/clocks` needs to know beyond the bench. */
export interface PluginClocks<M> {
  /** How long a run goes, virtual nanoseconds: long enough for each timer to fire a few times. */
  readonly untilNs: bigint;
  /** What the guest does first: it programs the devices. */
  start(machine: M): void | Promise<void>;
  /** By device, the virtual times at which it fired, in order, since the machine was made. */
  fired(machine: M): Readonly<Record<string, readonly bigint[]>>;
  /** Lets the machine run up to `untilNs`; the default fires what is due in the bench's timers. */
  run?(machine: M, untilNs: bigint): void | Promise<void>;
  /** The guest's real-time clock; a `wallClock` of `@godwit/core` fits. */
  wall?(machine: M): { readonly mode: "follow" | "freeze"; now(): bigint };
}

/** A check that is left out. Its reason is printed in its place. */
export interface LeftOut {
  readonly check: CheckName;
  readonly because: string;
}

/** A path, or a `URL` such as `new URL("goldens/", import.meta.url)`; its type is not in every author's library. */
export type Folder = string | { readonly href: string };

export interface PluginTest<M = unknown> {
  /** Makes one machine: its companions, by `bench.kernel`, and the plugin under test, by `bench.use`. */
  setup(bench: Bench): M;
  teardown?(machine: M): void | Promise<void>;
  /** The folder of the committed golden files. */
  readonly goldens: Folder;
  /** The folder of what is published (`src` or `dist`): it is scanned for names of a runtime. */
  readonly sources: Folder;
  /** Drives the devices into a state worth saving. Takes every decision from `random`. */
  exercise?(machine: M, random: Random, bench: Bench): void | Promise<void>;
  /**
   * By a kind's name, the idstr at which one of its devices is plugged, such as `0000:00:02.0/nic`; the default is the
   * name alone.
   */
  readonly plugged?: Readonly<Record<string, string>>;
  /**
   * What a guest goes on with, on a machine that was saved and on one that has loaded its save: both must be the same
   * after it. Only with it is a state found that is in no description. Takes all that it knows from the devices.
   */
  goOn?(machine: M, random: Random, bench: Bench): void | Promise<void>;
  /** For fields that are tied to each other, or to other devices, in a way that the description does not say. */
  readonly arbitrary?: Arbitraries;
  readonly clocks?: PluginClocks<M>;
  /**
   * Fields that hold the host's wall time because they mean it, as `rtc/0 wall`: section, and the path as the stream's
   * vmdesc spells it.
   */
  readonly wallFields?: readonly string[];
  readonly without?: readonly LeftOut[];
  /** What the machine's kernel is made with, where it matters: page size, machine type, the machine's own functions. */
  readonly kernel?: Partial<Omit<KernelOptions, "clock">>;
  /**
   * How many states of each section are generated; the default is 50. All that is done often follows it (cuts, damaged
   * bytes, hostile numbers): fewer are for sections of many kilobytes.
   */
  readonly states?: number;
  /** The default is 1. */
  readonly seed?: number;
}

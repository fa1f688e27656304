// The kernel: devices and plugins register, the machine is saved, loaded, snapshot and restored.
import { EventEmitter } from "eventemitter3";
import {
  contract,
  type DeviceInit,
  type DevicePart,
  type FormerPart,
  type IncomingAttempt,
  type IncomingInit,
  type IterableInit,
  type KernelForPlugins,
  type LoadReport,
  type Machine,
  type Manifest,
  type ManifestInit,
  type MergedInit,
  type OutgoingAttempt,
  type OutgoingInit,
  type PluggedDevice,
  type Plugin,
  type Producer,
  type Registration,
  type RetiredInit,
  type SectionSummary,
  type SplitInit,
} from "../contract.ts";
import { isMigrationError, MigrationError, type Side } from "../errors.ts";
import { type SuccessionInit, succession } from "../registry/former.ts";
import { deviceEntry, type Entry, type NewEntry, Registry } from "../registry/registry.ts";
import { schedule } from "../registry/schedule.ts";
import type { Configuration } from "../stream/configuration.ts";
import { sectionKey } from "../stream/sections.ts";
import type { StreamWriterOptions } from "../stream/writer.ts";
import type { VmdescDialect } from "../vmstate/nodes/node.ts";
import type { AnyRecord, Description, StateOf } from "../vmstate/types.ts";
import { Writer } from "../writer.ts";
import { timerDescription, type VirtualClock } from "./clock.ts";
import { Incoming, type IncomingHost } from "./incoming.ts";
import { type Kind, Kinds, plugAll } from "./kinds.ts";
import { manifestOf } from "./manifest.ts";
import { Outgoing, preambleOf } from "./outgoing.ts";
import { Plugins } from "./plugins.ts";
import { merging, retirement, splitting } from "./successions.ts";
import { atOnce } from "./synchronous.ts";
import { failureOf } from "./thrown.ts";

export interface KernelOptions {
  /** The machine type, such as `pc-q35-7.2`: both ends must name the same. */
  readonly machineType: string;
  readonly machine: Machine;
  readonly clock: VirtualClock;
  /** The target's page size. Bytes; the default is 4096. */
  readonly pageBytes?: number;
  /** Which QEMU's vmdesc is written; the default is 10.0. */
  readonly dialect?: VmdescDialect;
  readonly uuid?: Uint8Array;
  /** What both ends must have switched on, by QEMU's names, such as `x-ignore-shared`; it stands in the configuration. */
  readonly capabilities?: readonly string[];
  /** The emulator and its release, for the manifest that saves carry. */
  readonly producer?: Producer;
  /** The range of plugin contracts that are accepted; the default is from `oldestContract` to `contract`. */
  readonly acceptedContracts?: { readonly oldest: number; readonly newest: number };
}

export interface KernelEvents {
  saved: [sections: readonly SectionSummary[]];
  loaded: [report: LoadReport];
  paused: [];
  resumed: [];
  /** A plugin works, but was built for an older contract. */
  "plugin-contract": [plugin: { readonly name: string; readonly contract: number }, kernelContract: number];
}

/** Bytes of a stream, whole or as they come. */
export type StreamSource = Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

export interface Kernel extends KernelForPlugins {
  readonly events: EventEmitter<KernelEvents>;
  readonly machine: Machine;
  /** Registers a device. `INSTANCE_AMBIGUOUS`, `SECTION_DUPLICATE`, `REGISTRY_FROZEN`. */
  device<D extends Description>(description: D, init: DeviceInit<StateOf<D>>): Registration<StateOf<D>>;
  /** Takes a plugin in and gives its offer. `PLUGIN_CONTRACT` where it was built for another contract. */
  use<Offer>(plugin: Plugin<Offer>): Offer;
  manifest(init?: ManifestInit): Manifest;
  /** Makes, by their kinds, the devices that a manifest names and this machine lacks: all or none of them. */
  plug(manifest: Manifest): readonly Registration[];
  /** Waits for what devices must not have cut in two. */
  quiesce(): Promise<void>;
  /** Stops the machine, then its clock. */
  pause(): void;
  /** Starts the clock, then the machine, and tells the devices. */
  resume(): void;
  /** The machine's, where it has one: slows its CPUs by this fraction, 0 to 1. */
  readonly throttle: ((fraction: number) => void) | undefined;
  /** The whole machine as a stream. It is paused meanwhile, and runs on afterwards if it ran before. */
  save(): AsyncIterable<Uint8Array>;
  /**
   * Loads a whole stream; the machine is paused afterwards. Nothing has changed if it throws, but for `MACHINE_TORN`: the
   * machine stands then, and must not run on.
   */
  load(source: StreamSource): Promise<LoadReport>;
  /**
   * One instant of the machine as a stream without a vmdesc, written into `into` where it fits. Waits for nothing:
   * requests in flight are what devices' own states say. What `into` held before is gone, also where it was too small
   * (the result is another buffer then) or the snapshot failed: take turns with two buffers where an older slot must
   * stay. `ATTEMPT_ACTIVE` while the machine is saved or sent, or a state is put in place.
   */
  snapshot(into?: Uint8Array): Uint8Array;
  /**
   * Loads a snapshot in place; `ready` is not waited for. A running machine runs on, but for `MACHINE_TORN`: it stands
   * then. Not while the machine is saved or sent: `ATTEMPT_ACTIVE`.
   */
  restore(bytes: Uint8Array): LoadReport;
  /** The engine's side of a live migration. `ATTEMPT_ACTIVE` while the machine is being saved or sent. */
  outgoing(init?: OutgoingInit): OutgoingAttempt;
  incoming(init?: IncomingInit): IncomingAttempt;
}

export function createKernel(options: KernelOptions): Kernel {
  return new KernelImplementation(options);
}

class KernelImplementation implements Kernel {
  readonly events = new EventEmitter<KernelEvents>();
  readonly clock: VirtualClock;
  readonly machine: Machine;
  readonly #options: KernelOptions;
  readonly #registry = new Registry();
  readonly #kinds = new Kinds();
  readonly #plugins: Plugins;
  /** The one that is being set up. */
  #plugin: string | undefined;
  readonly #clockEntry: Entry;
  readonly #entries = new WeakMap<Registration, Entry>();
  #order: readonly Entry[] = [];
  #scheduledRevision = -1;
  #attempts = 0;
  #sending = false;
  /** A save is between its first chunk and its last: the machine must not move. */
  #saving = false;
  /** A state is being put in place. */
  #takingOver = false;
  #preambleBytes: Uint8Array | undefined;
  /** Room for the next snapshot: as much as the last one took. */
  #snapshotBytes = 4096;
  readonly #scratch = new Writer();

  constructor(options: KernelOptions) {
    if (options.uuid !== undefined && options.uuid.length !== 16) {
      throw new MigrationError("DEFINITION_INVALID", "a machine's uuid has 16 bytes", {
        side: "define",
        found: String(options.uuid.length),
      });
    }
    this.#options = options;
    this.#plugins = new Plugins(options.acceptedContracts);
    this.clock = options.clock;
    this.machine = options.machine;
    const device = timerDevice(this.clock) as DeviceInit<AnyRecord>;
    this.#clockEntry = this.#registry.add(deviceEntry(timerDescription, device));
  }

  device<D extends Description>(description: D, init: DeviceInit<StateOf<D>>): Registration<StateOf<D>> {
    return this.#register(deviceEntry(description, init as unknown as DeviceInit<AnyRecord>));
  }

  iterable<D extends Description>(
    init: IterableInit,
    also?: { readonly description: D; readonly device: DevicePart<StateOf<D>> },
  ): Registration {
    if (also !== undefined && also.description.version !== init.version) {
      throw new MigrationError("DEFINITION_INVALID", `"${init.idstr}" and its record have different versions`, {
        side: "define",
        expected: String(init.version),
        found: String(also.description.version),
      });
    }
    return this.#register({
      name: init.idstr,
      path: undefined,
      instance: init.instance,
      alias: undefined,
      version: init.version,
      priority: "default",
      after: [...(init.after ?? []), ...(also?.device.after ?? [])],
      description: also?.description,
      device: also?.device as unknown as DeviceInit<AnyRecord> | undefined,
      iterable: init,
    });
  }

  kind<D extends Description>(
    description: D,
    create: (idstr: string, instance: number) => PluggedDevice<StateOf<D>>,
  ): void {
    this.#refuseFrozen();
    this.#kinds.add(description, create as unknown as Kind["create"]);
  }

  retired<D extends Description>(description: D, init: RetiredInit<StateOf<D>> = {}): void {
    this.#succeed(retirement(description, init));
  }

  split<D extends Description, const Into extends Readonly<Record<string, Registration>>>(
    description: D,
    init: SplitInit<StateOf<D>, Into>,
  ): void {
    this.#succeed(splitting(description, init, (registration) => this.#entryOf(registration)));
  }

  merged<S, const From extends Readonly<Record<string, FormerPart>>>(
    into: Registration<S>,
    init: MergedInit<From, S>,
  ): void {
    this.#succeed(merging(this.#entryOf(into), init));
  }

  #succeed(init: SuccessionInit): void {
    this.#refuseFrozen();
    this.#registry.succeed(succession(init));
  }

  #entryOf(registration: Registration): Entry {
    // By identity: another machine's registration may have the same name.
    const entry = this.#entries.get(registration);
    if (entry?.description !== undefined && this.#registry.named(entry) === entry) return entry;
    throw new MigrationError("DEFINITION_INVALID", "only a registered device succeeds an earlier one", {
      side: "define",
      section: sectionKey(registration),
    });
  }

  use<Offer>(plugin: Plugin<Offer>): Offer {
    const isOld = this.#plugins.admit(plugin);
    const outer = this.#plugin;
    this.#plugin = `${plugin.name} ${plugin.version}`;
    let offer: Offer;
    try {
      offer = plugin.setup(this);
    } finally {
      this.#plugin = outer;
    }
    this.#plugins.add(plugin);
    if (isOld) this.#tell(() => this.events.emit("plugin-contract", plugin, contract));
    return offer;
  }

  manifest(init?: ManifestInit): Manifest {
    return manifestOf(this.#registry, this.#kinds, this.#options, this.#plugins.list(), init);
  }

  plug(manifest: Manifest): readonly Registration[] {
    this.#refuseFrozen();
    // Frozen meanwhile, as during a load: what a factory registered by itself could not be taken back.
    this.#attempts++;
    try {
      return plugAll(manifest, this.#registry, this.#kinds, (entry, undo) => this.#adopt(entry, undo));
    } finally {
      this.#attempts--;
    }
  }

  async quiesce(): Promise<void> {
    const waits = [...this.#registry.inSaveOrder()].map(async (entry) => {
      try {
        await entry.device?.quiesce?.();
      } catch (error) {
        throw failureOf(error, "a device did not quiesce", { section: sectionKey(entry) });
      }
    });
    await Promise.all(waits);
  }

  get throttle(): ((fraction: number) => void) | undefined {
    const { machine } = this;
    return machine.throttle === undefined ? undefined : (fraction) => machine.throttle?.(fraction);
  }

  pause(): void {
    this.machine.pause();
    this.clock.stop();
    this.#tell(() => this.events.emit("paused"));
  }

  resume(): void {
    if (this.#saving || this.#takingOver) {
      throw new MigrationError("ATTEMPT_ACTIVE", "the machine stands until it is saved, or its state is in place");
    }
    this.clock.start();
    this.machine.resume();
    this.#tellResumed();
    this.#tell(() => this.events.emit("resumed"));
  }

  async *save(): AsyncIterable<Uint8Array> {
    const ran = this.clock.running;
    const attempt = this.outgoing();
    let completed = false;
    try {
      await this.quiesce();
      this.pause();
      this.#saving = true;
      yield* attempt.setup();
      yield* attempt.complete();
      completed = true;
      this.#tell(() => this.events.emit("saved", attempt.sections));
    } finally {
      this.#saving = false;
      try {
        attempt.end(completed);
      } finally {
        // Also where quiesce failed half way: what other devices hold back must go on.
        if (ran) this.resume();
      }
    }
  }

  async load(source: StreamSource): Promise<LoadReport> {
    const attempt = this.#incoming();
    try {
      for await (const chunk of source instanceof Uint8Array ? [source] : source) attempt.push(chunk);
      attempt.end();
      await attempt.prepare();
      const report = await this.#stopped(() => attempt.commit());
      return this.#loaded(report);
    } finally {
      attempt.discard();
    }
  }

  snapshot(into?: Uint8Array): Uint8Array {
    const ran = this.clock.running;
    const attempt = this.#outgoing({ describe: false, into, roomBytes: this.#snapshotBytes });
    if (ran) this.clock.stop();
    let completed = false;
    try {
      const bytes = attempt.whole(this.#preamble());
      this.#snapshotBytes = bytes.length;
      completed = true;
      return bytes;
    } finally {
      attempt.end(completed);
      if (ran) this.clock.start();
    }
  }

  restore(bytes: Uint8Array): LoadReport {
    const ran = this.clock.running;
    const attempt = this.#incoming();
    try {
      attempt.push(bytes);
      attempt.end();
      attempt.prepareNow();
      if (ran) this.clock.stop();
      const report = attempt.commitNow(this.#scratch);
      if (ran) this.clock.start();
      if (ran) this.#tellResumed();
      return this.#loaded(report);
    } catch (error) {
      if (isTorn(error)) this.machine.pause();
      else if (ran) this.clock.start();
      throw error;
    } finally {
      attempt.discard();
    }
  }

  /** Every device is told, whatever one of them throws. */
  #tellResumed(): void {
    let failure: MigrationError | undefined;
    for (const entry of this.#registry.inSaveOrder()) {
      try {
        entry.device?.resumed?.();
      } catch (cause) {
        const detail = "the machine goes on, but a device's resumed threw";
        failure ??= new MigrationError("DEVICE_FAILED", detail, { section: sectionKey(entry), cause });
      }
    }
    if (failure !== undefined) throw failure;
  }

  /** What a listener throws is its own affair, and as loud as any error that nobody catches; the work goes on. */
  #tell(emit: () => void): void {
    try {
      emit();
    } catch (error) {
      void Promise.reject(error);
    }
  }

  outgoing(init: OutgoingInit = {}): OutgoingAttempt {
    return this.#outgoing(init);
  }

  #outgoing(writer: StreamWriterOptions & OutgoingInit): Outgoing {
    // Iterable handlers keep one attempt's account of what was sent; a second would end the first.
    this.#refuseBusy("source");
    this.#checkDependencies();
    this.#sending = true;
    this.#attempts++;
    const { dialect = "10.0", pageBytes = 4096 } = this.#options;
    return new Outgoing(
      this.#registry,
      this.clock,
      this.#configuration(),
      { dialect, pageBytes, manifest: () => this.manifest(), ...writer },
      () => {
        this.#attempts--;
        this.#sending = false;
      },
    );
  }

  incoming(init: IncomingInit = {}): IncomingAttempt {
    return this.#incoming(init);
  }

  /** A dependency that cannot be is told before the first byte, on either side. */
  #checkDependencies(): void {
    if (this.#scheduledRevision === this.#registry.revision) return;
    this.#order = schedule(this.#registry, this.#clockEntry).order;
    this.#scheduledRevision = this.#registry.revision;
  }

  #incoming(init: IncomingInit = {}): Incoming {
    this.#checkDependencies();
    this.#attempts++;
    const host: IncomingHost = {
      registry: this.#registry,
      configuration: this.#configuration(),
      machine: this.machine,
      clock: this.clock,
      first: this.#clockEntry,
      order: this.#order,
      preamble: this.#preamble(),
      plug: (head, registry) => this.#kinds.make(head, registry),
      adopt: (entry, undo) => void this.#adopt(entry, undo),
      takeOver: () => this.#beginTakeover(),
      onEnd: () => {
        this.#attempts--;
      },
    };
    return new Incoming(host, init);
  }

  /** Two states at once would be neither of them, and one that is being sent must stay what it is. */
  #beginTakeover(): () => void {
    this.#refuseBusy("destination");
    this.#takingOver = true;
    return () => {
      this.#takingOver = false;
    };
  }

  #refuseBusy(side: Side): void {
    if (!this.#sending && !this.#takingOver) return;
    const detail = this.#sending ? "the machine is being saved or sent" : "a state is being put in place";
    throw new MigrationError("ATTEMPT_ACTIVE", detail, { side });
  }

  /** State is applied to a machine that stands; if that fails, it goes on as it did. */
  async #stopped<T>(work: () => Promise<T>): Promise<T> {
    const ran = this.clock.running;
    try {
      if (ran) {
        await this.quiesce();
        this.pause();
      }
      return await work();
    } catch (error) {
      // Half of two states must not run on, against its disks.
      if (ran && !isTorn(error)) this.resume();
      throw error;
    }
  }

  #loaded(report: LoadReport): LoadReport {
    this.#tell(() => this.events.emit("loaded", report));
    return report;
  }

  #preamble(): Uint8Array {
    this.#preambleBytes ??= preambleOf(this.#configuration());
    return this.#preambleBytes;
  }

  #configuration(): Configuration {
    const { machineType, capabilities = [], uuid } = this.#options;
    return { machineType, pageBits: 0, capabilities, uuid };
  }

  #register(init: NewEntry): Registration<never> {
    this.#refuseFrozen(init.name);
    return this.#registrationOf(this.#registry.add({ ...init, plugin: this.#plugin }));
  }

  /** A plugged device is in. What takes it out again is in `undo` before the device is told. */
  #adopt(entry: Entry, undo: (() => void)[]): Registration {
    const device = entry.device as PluggedDevice<AnyRecord>;
    const leave = this.#registry.adopt(entry);
    undo.push(() => {
      leave();
      atOnce(device.unplugged?.() as unknown, "DEVICE_ASYNC", "unplugged");
    });
    const registration = this.#registrationOf(entry);
    atOnce(device.plugged?.(registration) as unknown, "DEVICE_ASYNC", "plugged");
    return registration;
  }

  #registrationOf(entry: Entry): Registration<never> {
    const registration: Registration<never> = {
      idstr: entry.idstr,
      instance: entry.instance,
      sectionId: entry.sectionId,
      remove: () => {
        this.#refuseFrozen(entry.idstr);
        this.#registry.remove(entry);
      },
    };
    this.#entries.set(registration, entry);
    return registration;
  }

  #refuseFrozen(found?: string): void {
    if (this.#attempts === 0) return;
    const detail = "devices may not come or go while the machine is saved or loaded";
    throw new MigrationError("REGISTRY_FROZEN", detail, { side: "define", found });
  }
}

function isTorn(error: unknown): boolean {
  return isMigrationError(error) && error.code === "MACHINE_TORN";
}

function timerDevice(clock: VirtualClock): DeviceInit<StateOf<typeof timerDescription>> {
  return {
    save: () => ({ cpu_ticks_offset: clock.now(), cpu_clock_offset: clock.now() }),
    load: ({ cpu_clock_offset }) => clock.adjust(cpu_clock_offset),
  };
}

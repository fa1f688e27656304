// What devices, iterable handlers, plugins and machines are to the kernel. Interfaces only: nothing here is nominal.
import type { VirtualClock } from "./kernel/clock.ts";
import type { BodyDecoder } from "./vmstate/codec.ts";
import type { AnyRecord, Description, StateOf } from "./vmstate/types.ts";
import type { Writer } from "./writer.ts";

/** A device or iterable that must be there first: its idstr (every instance), or one registration. */
export type Dependency = string | { readonly idstr: string; readonly instance: number };

/** What the incoming attempt offers to a check: never a device, only what follows from states that arrived. */
export interface View {
  /**
   * The offer of a dependency: built from its incoming state once that has been checked, else from the state that the
   * local device has now. `DEPENDENCY_UNKNOWN` where nothing of that name is registered or it offers nothing.
   */
  offer<T>(of: Dependency): T;
}

/**
 * A check's answer. Nothing: the state is good. `amended`: load this instead. `missing`: memory that has not arrived
 * yet (post-copy); the check is asked again when it has. A refusal is a thrown `MigrationError`.
 */
export type CheckResult<S> =
  // biome-ignore lint/suspicious/noConfusingVoidType: before TypeScript 5.5 a check that returns nothing is of this type
  | void
  | undefined
  | { readonly amended: S; readonly note: string }
  | { readonly missing: { readonly block: string; readonly offset: number } };

/** One device. `save` and `load` are synchronous, so that a snapshot is one instant. */
export interface DeviceInit<S> {
  /** Explicit instance id; "auto" numbers as QEMU does. The default is 0, and a second one is `INSTANCE_AMBIGUOUS`. */
  readonly instance?: number | "auto";
  /** The device's place, such as `0000:00:02.0`: the idstr becomes `path/name`, unique by itself. */
  readonly path?: string;
  /** A legacy instance id that streams may carry instead. */
  readonly alias?: number;
  /** How earlier releases knew this device: a section of theirs becomes this device's state. See `Former`. */
  readonly formerly?: readonly (string | Former<S>)[];
  readonly after?: readonly Dependency[];
  /** Waits for what must not be cut in two (a request at the back end), before the clock stops. */
  quiesce?(): Promise<void>;
  /**
   * The complete state. May hold live views: they are copied before control returns. Changes nothing. A live migration
   * also asks as it begins, before `quiesce`, which subsections the state needs; a device that cannot say so then throws.
   */
  save(): S;
  /** What the checks of dependents see of a state. Must not touch the device. */
  offer?(state: S, view: View): unknown;
  /** Looks at an incoming state before any `load`, in dependency order. Touches neither the device nor the state. */
  check?(state: S, view: View): CheckResult<S>;
  /** Takes over a checked state; its arrays are the device's own. Must not fail on what a stream can hold. */
  load(state: S): void;
  /** Waits for what the device needs before the machine resumes. */
  ready?(): Promise<void>;
  /** The machine runs, again or for the first time here: what `quiesce` held back, or a load brought, goes on. */
  resumed?(): void;
}

/**
 * A section that earlier releases wrote. A name alone is a rename: the fields are the present description's, and the
 * names of its subsections begin with the old name, as they did. `former(oldDescription, ...)` is anything else.
 */
export interface Former<S> {
  /** What reads the old section; without it, the present description under its old name. */
  readonly description?: Description;
  /** The old name, where `description` does not say it. */
  readonly name?: string;
  /** The device's old place; without one, the section's idstr was the bare name. */
  readonly path?: string;
  /** Its old instance id; the default is 0 with a `path`, else the device's own `instance` (0 if it has just a path). */
  readonly instance?: number;
  /** Pure: the present state. `version` is what the section was written in. */
  readonly convert?: (state: AnyRecord, version: number) => S;
}

/** Where a section of an earlier release stood. */
export interface FormerPlace {
  readonly path?: string;
  /** The default is 0. */
  readonly instance?: number;
}

/** A device that this machine has no more: its state is dropped, or handed on. */
export interface RetiredInit<S> extends FormerPlace {
  /**
   * Takes the old state when all devices have loaded theirs, and gives the function that undoes it: a later failure must
   * leave the machine as before.
   */
  readonly handOn?: (state: S, version: number) => () => void;
}

/** One old section that feeds several devices. */
export interface SplitInit<S, Into extends Readonly<Record<string, Registration>>> extends FormerPlace {
  readonly into: Into;
  /** Pure. Each device gets copies of its own. */
  readonly convert: (state: S, version: number) => { readonly [K in keyof Into]: RegisteredState<Into[K]> };
}

/** Old sections that feed one device. All must come, but for those whose description says what their absence means. */
export interface MergedInit<From extends Readonly<Record<string, FormerPart>>, S> {
  readonly from: From;
  /** Pure. */
  readonly convert: (states: { readonly [K in keyof From]: StateOf<From[K]["description"]> }) => S;
}

export interface FormerPart extends FormerPlace {
  readonly description: Description;
}

/** A device that a `kind` made because a stream or a manifest names it. Its place is what was named. */
export interface PluggedDevice<S> extends Omit<DeviceInit<S>, "instance" | "path" | "alias"> {
  /** It is part of the machine from now on; `load` follows. */
  plugged?(registration: Registration<S>): void;
  /** It is not, after all: the load failed, and the machine is as before. */
  unplugged?(): void;
}

/** The record of a handler that is iterable as well: its name and place are the handler's. */
export type DevicePart<S> = Omit<DeviceInit<S>, "instance" | "path" | "alias" | "formerly" | "offer">;

/** `S` is the state of the device that was registered. */
export interface Registration<S = unknown> {
  readonly idstr: string;
  readonly instance: number;
  /** The source's registration counter; it travels in section headers. */
  readonly sectionId: number;
  /** Takes the device out (hot-unplug). `REGISTRY_FROZEN` during a save or load. */
  remove(): void;
  /** Exists in the type system only. */
  readonly "~state"?: S;
}

export type RegisteredState<R> = R extends { readonly "~state"?: infer S } ? Exclude<S, undefined> : never;

/** Bytes that are still to be sent. */
export interface Pending {
  /** Must be sent while the source is stopped, at the latest. */
  readonly mustPrecopyBytes: number;
  /** Could also follow on demand. */
  readonly canPostcopyBytes: number;
}

/** A handler whose state is sent while the machine runs (RAM, VFIO): QEMU's save_live_* life-cycle. */
export interface IterableInit {
  readonly idstr: string;
  readonly version: number;
  readonly instance?: number;
  readonly after?: readonly Dependency[];
  /** The data of the START section, which begins at `offset` of the stream. Begins a fresh attempt. */
  setup(out: Writer, offset: number): void;
  /** `exact` synchronises the dirty state first; otherwise an estimate is enough. */
  pending(exact: boolean): Pending;
  /** The data of one PART section, about `budgetBytes` of it. True: nothing is left to send at the moment. */
  iterate(out: Writer, budgetBytes: number): boolean;
  /** The data of the END section, the machine being stopped; called again until it answers true. */
  complete(out: Writer, budgetBytes: number): boolean;
  /** The attempt is over; `completed` tells how. What an unfinished one had taken for sent is dirty again. */
  cleanup(completed: boolean): void;
  /** A fresh receiving side. Nothing of it touches the machine before `commit`. */
  stage(): StagedIterable;
  /**
   * Post-copy: what is left of it may follow when the machine runs on the other side. From the package on, `iterate` and
   * `complete` are called for such handlers alone.
   */
  readonly postcopy?: true;
  /** The RAM blocks that it carries, for a manifest. */
  ramBlocks?(): readonly { readonly idstr: string; readonly bytes: number }[];
}

export interface StagedIterable {
  /** Reads the data of one section; `previous` is the value of the one before it, undefined at START. */
  decoder(phase: "start" | "part" | "end", version: number, previous: unknown): BodyDecoder;
  /** What checks see: for RAM, the memory that has arrived. */
  offer?(): unknown;
  /** Takes over what arrived, by reference. In post-copy its decoders go on, and what they bring goes to the machine. */
  commit(): void;
  /** `revert` will not be called any more. */
  settled?(): void;
  /** Post-copy: asks for what a check misses, and resolves when it is there. Rejects where it never will be. */
  present?(block: string, offset: number): Promise<void>;
  /** Post-copy: nothing comes any more. `STREAM_TRUNCATED` where something is missing. */
  finish?(): void;
  /** Undoes a commit: a device's load failed, and the machine must be as before. */
  revert(): void;
  /** Also behind a commit, in post-copy: what has not come never will. */
  discard(): void;
}

/** What the machine itself does. */
export interface Machine {
  pause(): void;
  resume(): void;
  reset(): void;
  /** Slows the CPUs by this fraction, 0 to 1. */
  throttle?(fraction: number): void;
  /** Holds interrupts back, or lets them go: none is delivered between the first load and the last. */
  holdInterrupts?(held: boolean): void;
}

/**
 * The contract that this core offers to plugins: 2 added `formerly`, `retired`, `split`, `merged` and `kind`, 3 an
 * iterable's `postcopy`. It grows with what a plugin may use; a kernel says which older ones it still serves. A plugin
 * writes the number itself (`contract: 3`) and never this constant: with it, it would claim whatever core it meets.
 */
export const contract = 3;
/** The oldest contract whose plugins still work with this core. */
export const oldestContract = 1;

/** What a plugin may ask of a kernel. */
export interface KernelForPlugins {
  readonly clock: VirtualClock;
  device<D extends Description>(description: D, init: DeviceInit<StateOf<D>>): Registration<StateOf<D>>;
  /** `also`: the same handler has a record of its own, sent with the devices (QEMU: VFIO's save_state). */
  iterable<D extends Description>(
    init: IterableInit,
    also?: { readonly description: D; readonly device: DevicePart<StateOf<D>> },
  ): Registration;
  /**
   * Hot-plug: where a stream or a manifest names a device of this description that is not registered, `create` makes it.
   * It must not touch the machine: that waits for `plugged`. `SECTION_DUPLICATE` for a second kind of the same name,
   * `REGISTRY_FROZEN` during a save or load. A description with `needed` is refused: what is not sent would be lost. A
   * section that `formerly`, `retired`, `split` or `merged` names is theirs, whatever kinds there are.
   */
  kind<D extends Description>(
    description: D,
    create: (idstr: string, instance: number) => PluggedDevice<StateOf<D>>,
  ): void;
  /**
   * A device of earlier releases that is gone: its section is read, and dropped or handed on. `SECTION_DUPLICATE` where
   * the name is taken, `REGISTRY_FROZEN` during a save or load.
   */
  retired<D extends Description>(description: D, init?: RetiredInit<StateOf<D>>): void;
  /** A device of earlier releases that has become several. Errors as `retired`, and `DEFINITION_INVALID`. */
  split<D extends Description, const Into extends Readonly<Record<string, Registration>>>(
    description: D,
    init: SplitInit<StateOf<D>, Into>,
  ): void;
  /** Devices of earlier releases that have become one. Errors as `split`. */
  merged<S, const From extends Readonly<Record<string, FormerPart>>>(
    into: Registration<S>,
    init: MergedInit<From, S>,
  ): void;
}

/** Packaging around devices: options in, an offer for the assembler of the machine out. */
export interface Plugin<Offer> {
  readonly name: string;
  readonly version: string;
  /** The contract that it was written for, as a number of its own: never the `contract` of the core that is there. */
  readonly contract: number;
  setup(kernel: KernelForPlugins): Offer;
}

/** A section that a machine writes or reads. */
export interface ManifestSection {
  readonly idstr: string;
  readonly instance: number;
  readonly version: number;
  readonly minimumVersion: number;
  /** Their names, and those of subsections in them and in structs. */
  readonly subsections: readonly string[];
  /** Those of them that the state needs to send as it is now. Absent where nobody asked, or the device cannot say. */
  readonly needed?: readonly string[];
  /** The section is sent only when its state needs it, and means something when it is not. */
  readonly optional: boolean;
}

/** Who made a save: the emulator and its release. */
export interface Producer {
  readonly name: string;
  readonly version: string;
}

export interface ManifestInit {
  /** Asks every device that has subsections for its state, and tells which of them that needs. */
  readonly needed?: true;
}

/**
 * What a machine is made of, as far as a migration must know before the first page, and a save tells for ever. Plain
 * data. It travels in the preamble between Godwit peers, and in a save behind the key `godwit` of its vmdesc.
 */
export interface Manifest {
  readonly producer?: Producer | undefined;
  /** The contract of the core that wrote it. */
  readonly contract: number;
  readonly machineType: string;
  readonly sections: readonly ManifestSection[];
  /**
   * Sections that this machine reads beside its own: those of earlier releases, and its own under an alias or without a
   * path. With the present ones that each becomes, and the old ones that must come with it (both as `idstr/instance`).
   */
  readonly reads: readonly (ManifestSection & { readonly into: readonly string[]; readonly with: readonly string[] })[];
  /** Devices that this machine makes where a stream names them; `name` is the last part of the idstr. */
  readonly kinds: readonly (Omit<ManifestSection, "idstr" | "instance" | "optional"> & { readonly name: string })[];
  readonly ramBlocks: readonly { readonly idstr: string; readonly bytes: number }[];
  readonly plugins: readonly { readonly name: string; readonly version: string; readonly contract: number }[];
}

/** One section as it went over the wire. */
export interface SectionSummary {
  readonly idstr: string;
  readonly instance: number;
  readonly version: number;
  readonly phase: "start" | "part" | "end" | "full";
  /** From the section's type byte to the end of its footer. Bytes. */
  readonly bytes: number;
  readonly offset: number;
}

/** A command between sections, by QEMU's number (wire reference 9.1). */
export interface StreamCommand {
  readonly command: number;
  readonly payload: Uint8Array;
}

export interface OutgoingInit {
  /** A chunk is the caller's only until it asks for the next one: no memory is made for each. */
  readonly reuse?: boolean;
}

/**
 * One attempt to send this machine; the registry is frozen from its beginning to its end. The phases are called in this
 * order, `complete` or, for post-copy, `switchOver`, `package`, `iterate` and `finish`; each yields the stream's next
 * bytes.
 */
export interface OutgoingAttempt {
  /** Header, configuration, the commands, early_setup sections, START sections. */
  setup(commands?: readonly StreamCommand[]): Iterable<Uint8Array>;
  pending(exact: boolean): Pending;
  /** One PART section a handler that has something to send, about `budgetBytes` in all. */
  iterate(budgetBytes: number): Iterable<Uint8Array>;
  /** A command between two sections. `SECTION_ORDER` inside of one. */
  command(command: StreamCommand): Uint8Array;
  /**
   * END sections, FULL sections, EOF, vmdesc. The machine is paused and its clock stands. The last chunk begins with EOF:
   * all that decides over the machine stands before it.
   */
  complete(): Iterable<Uint8Array>;
  /** Post-copy: the END sections of handlers without `postcopy`. The machine is paused and its clock stands. */
  switchOver(): Iterable<Uint8Array>;
  /** Post-copy: the PACKAGED command and its content: `before`, FULL sections, `after`. */
  package(before: readonly StreamCommand[], after: readonly StreamCommand[]): Uint8Array;
  /**
   * Post-copy: END sections of handlers with `postcopy`, and, as the last chunk, EOF. After a lost connection `iterate`
   * and this may be called again.
   */
  finish(): Iterable<Uint8Array>;
  /** Over, one way or the other: handlers clean up, the registry thaws. Safe to call twice. */
  end(completed: boolean): void;
  readonly sections: readonly SectionSummary[];
}

export interface IncomingInit {
  /**
   * A command came: called at its place, when all before it has been taken in, and before anything behind it is read.
   * What it throws is the stream's fault. Without it, commands that ask for something are `COMMAND_UNEXPECTED`.
   */
  onCommand?(command: StreamCommand & { readonly name: string; readonly offset: number }): void;
}

/**
 * One attempt to receive. Nothing of the machine changes before `commit`; `discard` throws everything away.
 *
 * Post-copy begins with the command POSTCOPY_LISTEN: when the package has come, `prepare` and `commit` may be called, and
 * `push` goes on meanwhile and afterwards, until `end`. Of handlers with `postcopy` only START must have come by then. A
 * bad stream behind `commit` throws and does not end the attempt: `restart` takes up a new connection.
 */
export interface IncomingAttempt {
  /** Decodes. Keeps no reference to `chunk`. A bad stream throws and ends the attempt. */
  push(chunk: Uint8Array): void;
  /**
   * No more bytes come. `STREAM_TRUNCATED` with the place, if the stream is not at its end, or post-copy has not brought
   * everything.
   */
  end(): void;
  /** How far the stream has come: at `eof` nothing more must come, and its own description may; `whole`: nothing can. */
  readonly streamEnd: "open" | "eof" | "whole";
  /** Post-copy: the connection is a new one. What had come of an unfinished section is forgotten. */
  restart(): void;
  /**
   * Checks every state in dependency order, against staged memory. Still nothing is applied. In post-copy a check that
   * misses memory (`missing`, or a `PAGE_ABSENT` from staged memory) waits for it, and is asked again.
   */
  prepare(): Promise<void>;
  /**
   * Restores the clock, loads every device in dependency order, waits for `ready`. The machine does not run yet. A
   * failure is `DEVICE_FAILED` and the machine is as before, or `MACHINE_TORN` where the way back failed, too.
   */
  commit(): Promise<LoadReport>;
  discard(): void;
  /** Allocated on the stream's word so far, staged memory not counted: that is of the local blocks' size. Bytes. */
  readonly allocatedBytes: number;
  /**
   * An attempt at the same place of the stream, to be ended there, or fed. Staged memory is shared: a fork cannot be
   * committed, nor can its parent once a fork was fed. It ends with its parent.
   */
  fork(): IncomingAttempt;
}

export interface LoadReport {
  readonly machineType: string | undefined;
  readonly sections: readonly SectionSummary[];
  /** Sections in the order in which they were checked and loaded, as `idstr/instance`. */
  readonly loadOrder: readonly string[];
  /**
   * `no-vmdesc`: the stream ends without a description of itself. `plugged`: a kind made the device because the stream
   * names it. `former`: the state was made of an earlier release's sections. `retired`: a device that is gone was in the
   * stream, and dropped or handed on. `amended`: the device's check changed it.
   */
  readonly notes: readonly { readonly code: string; readonly section?: string; readonly text: string }[];
  readonly bytes: number;
}

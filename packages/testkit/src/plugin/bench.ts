// One fresh machine on a simulated host. What is registered while the plugin under test sets itself up is known as its
// own; everything else is a companion.
import {
  type AnyRecord,
  createKernel,
  type Dependency,
  type Description,
  type DeviceInit,
  type DevicePart,
  type IterableInit,
  type Kernel,
  type PluggedDevice,
  type Plugin,
  type Registration,
  type TimerQueue,
  timerQueue,
  type VirtualClock,
  virtualClock,
} from "@godwit/core";
import type { SimulatedHost } from "../clocks/host.ts";
import { noCalls, type Recorded, recordedOf, watched } from "./recorded.ts";
import type { Bench, PluginTest } from "./test.ts";

export interface BenchOptions {
  readonly kernel?: PluginTest["kernel"];
  readonly host: SimulatedHost;
  /** What the device that is registered as the n-th waits for besides what it says itself. */
  readonly after?: ReadonlyMap<number, readonly Dependency[]>;
}

/** `DeviceInit` and its like, whatever the state. */
type AnyDevice = DeviceInit<AnyRecord>;

export class Workbench implements Bench {
  readonly kernel: Kernel;
  readonly clock: VirtualClock;
  readonly timers: TimerQueue;
  readonly host: SimulatedHost;
  readonly recorded: Recorded[] = [];
  readonly plugins: Plugin<unknown>[] = [];
  calls = noCalls();
  #isTested = false;
  readonly #after: ReadonlyMap<number, readonly Dependency[]>;

  constructor({ kernel: options, host, after = new Map() }: BenchOptions) {
    this.host = host;
    this.clock = virtualClock(host.now);
    this.timers = timerQueue(this.clock);
    this.#after = after;
    const machine = { pause: () => {}, resume: () => {}, reset: () => {} };
    this.kernel = createKernel({ machineType: "testkit-1.0", machine, ...options, clock: this.clock });
    this.#record(this.kernel);
  }

  /** May be handed around alone, as the kernel's own. */
  readonly use = <Offer>(plugin: Plugin<Offer>): Offer => {
    this.plugins.push(plugin);
    const setup: Plugin<Offer>["setup"] = (kernel) => {
      this.#isTested = true;
      try {
        return plugin.setup(kernel);
      } finally {
        this.#isTested = false;
      }
    };
    const { name, version, contract } = plugin;
    return this.kernel.use({ name, version, contract, setup });
  };

  forget(): void {
    this.calls = noCalls();
  }

  /** Plugins get the kernel itself, so that its own properties are what they, and companions, call. */
  #record(kernel: Kernel): void {
    const add = (...args: Parameters<typeof recordedOf>): void => void this.recorded.push(recordedOf(...args));
    const device = kernel.device.bind(kernel) as (description: Description, init: AnyDevice) => Registration<never>;
    const iterable = kernel.iterable.bind(kernel) as (init: IterableInit, also?: unknown) => Registration<never>;
    const kind = kernel.kind.bind(kernel) as Kernel["kind"];
    const own = {
      device: (description: Description, init: AnyDevice) => {
        const registration: Registration<never> = device(
          description,
          this.#watched(init, () => registration),
        );
        add("device", this.#isTested, description, init, undefined, registration);
        return registration;
      },
      iterable: (init: IterableInit, also?: { description: Description; device: DevicePart<AnyRecord> }) => {
        const record = also && { ...also, device: this.#watched(also.device, () => registration) };
        const registration: Registration<never> = iterable(init, record);
        add("iterable", this.#isTested, also?.description, also?.device ?? {}, init, registration);
        return registration;
      },
      kind: (description: Description, create: (idstr: string, instance: number) => PluggedDevice<AnyRecord>) => {
        const plug = (idstr: string, instance: number): PluggedDevice<AnyRecord> => {
          const device = create(idstr, instance);
          const isDevice = typeof device?.save === "function" && typeof device.load === "function";
          // What is none is refused by the kernel itself.
          return isDevice ? this.#watched(device, () => ({ idstr, instance })) : device;
        };
        kind(description, plug as never);
        add("kind", this.#isTested, description, {}, undefined, undefined);
      },
    };
    Object.assign(kernel, own);
  }

  #watched<I extends AnyDevice | DevicePart<AnyRecord> | PluggedDevice<AnyRecord>>(
    init: I,
    registration: () => Pick<Registration, "idstr" | "instance">,
  ): I {
    const sectionOf = () => `${registration().idstr}/${registration().instance}`;
    const calls = () => this.calls;
    const current = {
      get given() {
        return calls().given;
      },
      get thrown() {
        return calls().thrown;
      },
      get wroteTo() {
        return calls().wroteTo;
      },
    };
    // A device that a kind makes comes behind all that are registered: nothing is said of its place.
    return watched(init, sectionOf, current, this.#after.get(this.recorded.length) ?? []);
  }
}

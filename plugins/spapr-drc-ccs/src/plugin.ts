// The plugin: registers the connectors' sections and the machine's own, and hands out what guest and machine do.
import { type KernelForPlugins, MigrationError, type Plugin, type Registration } from "@godwit/core";
import { type Connector, indicatorAtRest } from "./connector.ts";
import { Connectors } from "./connectors.ts";
import type { HotplugEvent, HotplugTarget } from "./event-log.ts";
import { type HotplugSource, PendingEvents } from "./events.ts";
import type { DeviceTree, FdtPosition } from "./fdt/tree.ts";
import type { GuestMemory } from "./memory.ts";
import { checkCapabilities, type Platform, plainPlatform, platformState } from "./platform.ts";
import { Rtas, type RtasCall } from "./rtas.ts";
import { drc, drcPhysical } from "./sections/connector.ts";
import { type SpaprParameters, type SpaprState, spaprSection, spaprStandard } from "./sections/spapr.ts";
import { version } from "./version.ts";

export interface SpaprDrcOptions {
  /** Where RTAS calls find work areas and buffers. */
  readonly memory: GuestMemory;
  /** The indexes of all connectors, whether something is attached or not: `drcIndex("pci", 0x10)`. */
  readonly connectors: readonly number[];
  /** The guest's real-time clock, for events. Nanoseconds since the Epoch. */
  readonly rtc: { now(): bigint };
  /**
   * Walks of device trees travel. The default is false, as in QEMU: a walk that was under way begins anew on the
   * destination, and a stream with walks is `SUBSECTION_UNKNOWN`. Both ends must be Godwit for true.
   */
  readonly ccs?: boolean;
  /** What else the section "spapr" depends on; the default is `spaprStandard`. */
  readonly parameters?: Partial<Omit<SpaprParameters, "ccs">>;
  /** What of the section is not the connectors'. The default keeps a `platformState(parameters)`. */
  readonly platform?: Platform;
  /** By which source the guest is told of hot-plug. The default is "epow", which every guest knows. */
  readonly hotplugSource?: HotplugSource;
  /** Events are pending: interrupts the guest. Called for every new event, and where the machine goes on with some. */
  readonly signal?: () => void;
  /** The guest gave a device back whose removal was asked for: the connector is empty. */
  readonly released?: (index: number) => void;
}

/** How the machine sees one connector. */
export interface ConnectorView {
  readonly index: number;
  /** As `drcState` numbers them. */
  readonly state: number;
  readonly attached: boolean;
  readonly unplugRequested: boolean;
  readonly indicator: number;
  /** Where the guest's walk of the device tree stands, if one is under way. */
  readonly walk: FdtPosition | undefined;
}

export interface SpaprDrcOffer {
  readonly registration: Registration<SpaprState>;
  /** The answer of an RTAS call: its status, then what it returns. `MEMORY_UNMAPPED`. */
  rtas(call: RtasCall, words: readonly number[]): number[];
  /**
   * Puts a device on an empty connector. `cold`: the guest finds it at boot; else it is to be announced.
   * `DEFINITION_INVALID` where the connector is taken, or the tree is not one that can be given out.
   */
  attach(index: number, tree: DeviceTree, choice?: { readonly cold?: boolean }): void;
  /** An event for the guest. */
  announce(action: HotplugEvent["action"], target: HotplugTarget): void;
  /** Attaches, and announces it by its index. */
  plug(index: number, tree: DeviceTree): void;
  /** Asks the guest to give a device back: it leaves when the guest has, or at once where the guest never took it. */
  requestUnplug(index: number): void;
  /** Takes a device out, whatever the guest thinks of it. */
  detach(index: number): void;
  connector(index: number): ConnectorView | undefined;
  /** Bytes of every event that the guest has not fetched, oldest first. */
  pendingEvents(): SpaprState["pendingEvents"]["pending_events"];
  /** As after a reset: attached devices are configured or, where that was asked for, gone; events and walks are over. */
  reset(): void;
}

/**
 * The dynamic-reconfiguration connectors of a pseries machine. Registers `spapr_drc` and `spapr_drc/physical` for each
 * connector and, behind them, `spapr`. Errors on load: `ccs-fdt-mismatch`, `DEVICE_CHECK`, `SUBSECTION_UNKNOWN`.
 */
export function spaprDrc(options: SpaprDrcOptions): Plugin<SpaprDrcOffer> {
  return {
    name: "@godwit/spapr-drc-ccs",
    version,
    contract: 2,
    setup: (kernel) => assemble(kernel, options),
  };
}

function assemble(kernel: KernelForPlugins, options: SpaprDrcOptions): SpaprDrcOffer {
  const { memory, ccs = false, rtc, hotplugSource = "epow", signal, released } = options;
  const parameters = { ...spaprStandard, ...options.parameters, ccs };
  const platform = options.platform ?? plainPlatform(platformState(parameters));
  const connectors = new Connectors(options.connectors, (index) => released?.(index));
  const events = new PendingEvents(hotplugSource);
  const rtas = new Rtas(connectors, events, memory);

  const announce: SpaprDrcOffer["announce"] = (action, target) => {
    events.add({ action, target, time: rtc.now() });
    signal?.();
  };
  const registration = registerAll(kernel, connectors, () =>
    kernel.device(spaprSection(parameters), {
      save: (): SpaprState => ({
        ...platform.save(),
        pendingEvents: { pending_events: [...events.entries] },
        ...(ccs && { spaprccslist: { ccs_list: connectors.saveWalks() } }),
      }),
      check: (state) => {
        checkCapabilities(state, platform.save());
        connectors.checkWalks(state.spaprccslist?.ccs_list ?? []);
      },
      load: ({ pendingEvents, spaprccslist, ...rest }) => {
        platform.load(rest);
        events.load(pendingEvents.pending_events);
        connectors.loadWalks(spaprccslist?.ccs_list ?? []);
      },
      resumed: () => {
        if (events.entries.length > 0) signal?.();
      },
    }),
  );

  return {
    registration,
    rtas: (call, words) => rtas.call(call, words),
    attach: (index, tree, { cold = false } = {}) => connectors.attach(index, tree, cold),
    announce,
    plug(index, tree) {
      connectors.attach(index, tree, false);
      announce("add", { index });
    },
    requestUnplug(index) {
      if (connectors.expect(index, false).requestUnplug()) announce("remove", { index });
    },
    detach: (index) => connectors.expect(index, false).detach(),
    connector: (index) => viewOf(connectors.get(index)),
    pendingEvents: () => events.entries.map((entry) => ({ ...entry, extended_log: entry.extended_log.slice() })),
    reset() {
      events.clear();
      for (const connector of connectors.values()) connector.reset();
    },
  };
}

/** All sections or none: what was registered before one that cannot be is taken out again. */
function registerAll<T extends Registration>(kernel: KernelForPlugins, connectors: Connectors, last: () => T): T {
  const done: Registration[] = [];
  try {
    for (const connector of connectors.values()) {
      done.push(registerConnector(kernel, connector));
      if (connector.isPhysical) done.push(registerIndicator(kernel, connector));
    }
    return last();
  } catch (error) {
    for (const one of done.reverse()) one.remove();
    throw error;
  }
}

function registerConnector(kernel: KernelForPlugins, connector: Connector): Registration {
  return kernel.device(drc, {
    instance: connector.index,
    save: () => connector.save(),
    check: ({ state }) => {
      if (state === 0) return;
      if (connector.tree === undefined) {
        throw refused("state", "the source's connector has a device, and this one has none", "a device", "none");
      }
      if (!connector.states.all.includes(state)) {
        throw refused("state", "not a state of this kind of connector", connector.states.all.join(", "), String(state));
      }
    },
    load: ({ state, unplugRequested }) => connector.load(state, unplugRequested.unplug_requested),
  });
}

function registerIndicator(kernel: KernelForPlugins, connector: Connector): Registration {
  return kernel.device(drcPhysical, {
    instance: connector.index,
    save: () => ({ dr_indicator: connector.saveIndicator() }),
    check: ({ dr_indicator }) => {
      if (dr_indicator <= 3 || dr_indicator === indicatorAtRest) return;
      throw refused("dr_indicator", "not a value of the indicator", "0 to 3", String(dr_indicator));
    },
    load: ({ dr_indicator }) => connector.loadIndicator(dr_indicator),
  });
}

function refused(path: string, why: string, expected: string, found: string): MigrationError {
  return new MigrationError("DEVICE_CHECK", why, { path, expected, found });
}

function viewOf(connector: Connector | undefined): ConnectorView | undefined {
  if (connector === undefined) return undefined;
  const { index, state, tree, unplugRequested, indicator, walk } = connector;
  return { index, state, attached: tree !== undefined, unplugRequested, indicator, walk };
}

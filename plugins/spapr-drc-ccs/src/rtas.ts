// The RTAS calls of connectors and events. Sources: PAPR 7.3.3 (event-scan, check-exception), 7.3.5.4 (set-indicator),
// 7.3.5.5 (get-sensor-state), 13.5.3.5 (ibm,configure-connector).
import { configureConnector } from "./configure.ts";
import type { Connector } from "./connector.ts";
import type { Connectors } from "./connectors.ts";
import type { PendingEvents } from "./events.ts";
import type { GuestMemory } from "./memory.ts";
import { drSensor, rtasStatus } from "./rtas-status.ts";

/** The calls by their names in the device tree's /rtas. */
export type RtasCall =
  | "set-indicator"
  | "get-sensor-state"
  | "ibm,configure-connector"
  | "check-exception"
  | "event-scan";

const { PARAMETER, SUCCESS } = rtasStatus;
const argumentCounts: Readonly<Record<RtasCall, readonly number[]>> = {
  "set-indicator": [3],
  "get-sensor-state": [2],
  "ibm,configure-connector": [2],
  "check-exception": [6, 7],
  "event-scan": [4],
};

export class Rtas {
  readonly #connectors: Connectors;
  readonly #events: PendingEvents;
  readonly #memory: GuestMemory;

  constructor(connectors: Connectors, events: PendingEvents, memory: GuestMemory) {
    this.#connectors = connectors;
    this.#events = events;
    this.#memory = memory;
  }

  /**
   * What a call answers: its status, and for get-sensor-state the state after it. Arguments are 32-bit words. A wrong
   * number of them is -3, as what is not a call's to answer. `MEMORY_UNMAPPED` where a buffer is not in memory.
   */
  call(name: RtasCall, words: readonly number[]): number[] {
    const [a = 0, b = 0, c = 0, , e = 0, f = 0] = words.map((word) => word >>> 0);
    if (!argumentCounts[name].includes(words.length)) return name === "get-sensor-state" ? [PARAMETER, 0] : [PARAMETER];
    switch (name) {
      case "set-indicator":
        return [this.#setIndicator(a, b, c)];
      case "get-sensor-state":
        return this.#senseState(a, b);
      case "ibm,configure-connector":
        return [configureConnector((index) => this.#connectors.get(index), this.#memory, a)];
      case "check-exception":
        return [this.#events.check(this.#memory, c, e, f)];
      case "event-scan":
        // As QEMU has it: events are told by interrupts, and fetched by check-exception.
        return [rtasStatus.NO_EVENT];
    }
  }

  #setIndicator(type: number, index: number, value: number): number {
    const connector = this.#connectors.get(index);
    if (connector === undefined) return PARAMETER;
    const act = actions(connector)[type];
    return act?.(value) ?? PARAMETER;
  }

  #senseState(type: number, index: number): number[] {
    const connector = this.#connectors.get(index);
    if (connector === undefined || type !== drSensor.ENTITY_SENSE) return [PARAMETER, 0];
    return [SUCCESS, connector.senseEntity()];
  }
}

/** By the indicator's type; undefined where the value is not one of its. */
function actions(connector: Connector): Readonly<Record<number, (value: number) => number | undefined>> {
  const choose = (off: () => number, on: () => number) => (value: number) =>
    value === 0 ? off() : value === 1 ? on() : undefined;
  return {
    [drSensor.ISOLATION]: choose(
      () => connector.isolate(),
      () => connector.unisolate(),
    ),
    [drSensor.INDICATOR]: (value) => connector.setIndicator(value),
    [drSensor.ALLOCATION]: choose(
      () => connector.makeUnusable(),
      () => connector.makeUsable(),
    ),
  };
}

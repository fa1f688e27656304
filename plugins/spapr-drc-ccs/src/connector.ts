// One connector: what the guest may do with it, and what its sections carry.
// Source of the transitions: PAPR 13.5.3 and 13.7; where it leaves a choice, what QEMU 7.2 was seen to answer.

import { type DrcType, drcType, isPhysical } from "./drc-index.ts";
import { type DrcStates, drcState, statesOf } from "./drc-state.ts";
import type { ConnectorTree, FdtPosition } from "./fdt/tree.ts";
import { entitySense, rtasStatus } from "./rtas-status.ts";

const { SUCCESS, PARAMETER } = rtasStatus;
/** In a state: the indicator is as a connector of this machine has it at rest. On no wire. */
export const indicatorAtRest = 0xffff_ffff;

/**
 * ```mermaid
 * stateDiagram-v2
 *   state "UNUSABLE (logical), POWERON (physical)" as empty
 *   empty --> AVAILABLE: usable (logical)
 *   AVAILABLE --> empty: unusable
 *   AVAILABLE --> UNISOLATE: unisolate
 *   empty --> UNISOLATE: unisolate (physical)
 *   UNISOLATE --> CONFIGURED: the tree's last token
 *   CONFIGURED --> AVAILABLE: isolate (logical)
 *   CONFIGURED --> empty: isolate (physical)
 * ```
 * A device whose removal was asked for leaves where the connector becomes empty.
 */
export class Connector {
  readonly index: number;
  readonly type: DrcType;
  readonly isPhysical: boolean;
  readonly states: DrcStates;
  /** What is attached. */
  tree: ConnectorTree | undefined;
  /** Where the guest's walk of the tree stands, between its first call and its last. */
  walk: FdtPosition | undefined;
  state: number;
  unplugRequested = false;
  indicator = 0;
  readonly #released: (index: number) => void;

  constructor(index: number, released: (index: number) => void) {
    this.index = index;
    this.type = drcType(index);
    this.isPhysical = isPhysical(this.type);
    this.states = statesOf(this.type);
    this.state = this.states.empty;
    this.#released = released;
  }

  /** `isCold`: the guest finds the device in its own device tree at boot, and it is configured. */
  attach(tree: ConnectorTree, isCold: boolean): void {
    this.tree = tree;
    this.walk = undefined;
    this.unplugRequested = false;
    this.state = isCold ? this.states.configured : this.states.empty;
    this.indicator = isCold ? this.#restingIndicator() : 0;
  }

  /** True: the guest must be asked. What it has not taken yet leaves at once. */
  requestUnplug(): boolean {
    this.unplugRequested = true;
    if (this.state !== this.states.empty) return true;
    this.#releaseIfAsked();
    return false;
  }

  isolate(): number {
    const { empty, isolated, unisolated, configured } = this.states;
    if (this.state === unisolated) return PARAMETER;
    if (this.state !== configured) return SUCCESS;
    this.walk = undefined;
    this.state = isolated;
    if (isolated === empty) this.#releaseIfAsked();
    return SUCCESS;
  }

  unisolate(): number {
    const { isolated, unisolated, configured } = this.states;
    if (this.state === unisolated || this.state === configured) {
      // A guest refuses the removal of a logical resource this way.
      if (this.state === configured && !this.isPhysical) this.unplugRequested = false;
      return SUCCESS;
    }
    if (this.state !== isolated || this.tree === undefined) return PARAMETER;
    this.state = unisolated;
    this.walk = undefined;
    return SUCCESS;
  }

  makeUsable(): number {
    if (this.isPhysical) return PARAMETER;
    if (this.state !== this.states.empty) return SUCCESS;
    if (this.tree === undefined) return PARAMETER;
    this.state = this.states.isolated;
    return SUCCESS;
  }

  makeUnusable(): number {
    const { empty, isolated } = this.states;
    if (this.isPhysical || (this.state !== empty && this.state !== isolated)) return PARAMETER;
    if (this.state === empty) return SUCCESS;
    this.state = empty;
    this.#releaseIfAsked();
    return SUCCESS;
  }

  setIndicator(value: number): number {
    if (!this.isPhysical || value > 3) return PARAMETER;
    this.indicator = value;
    return SUCCESS;
  }

  senseEntity(): number {
    if (!this.isPhysical) return this.state === this.states.empty ? entitySense.UNUSABLE : entitySense.PRESENT;
    return this.tree === undefined ? entitySense.EMPTY : entitySense.PRESENT;
  }

  /** The guest has had the last token. */
  configured(): void {
    this.walk = undefined;
    this.state = this.states.configured;
  }

  #releaseIfAsked(): void {
    if (!this.unplugRequested) return;
    this.detach();
    this.#released(this.index);
  }

  /** The connector is empty from now on; its indicator stays, as the guest set it. */
  detach(): void {
    this.tree = undefined;
    this.walk = undefined;
    this.unplugRequested = false;
    this.state = this.states.empty;
  }

  reset(): void {
    this.#releaseIfAsked();
    this.walk = undefined;
    this.state = this.tree === undefined ? this.states.empty : this.states.configured;
    this.indicator = this.#restingIndicator();
  }

  /** Whether there is nothing to say of it: what QEMU's `needed` asks. */
  get isAtRest(): boolean {
    return this.tree === undefined || (this.state === this.states.configured && !this.unplugRequested);
  }

  #restingIndicator(): number {
    return this.isPhysical && this.tree !== undefined ? 1 : 0;
  }

  save(): { state: number; unplugRequested: { unplug_requested: boolean } } {
    if (this.isAtRest) return { state: drcState.INVALID, unplugRequested: { unplug_requested: false } };
    return { state: this.state, unplugRequested: { unplug_requested: this.unplugRequested } };
  }

  /** `walk` is not touched: it travels with the machine's section. */
  load(state: number, unplugRequested: boolean): void {
    const rest = this.tree === undefined ? this.states.empty : this.states.configured;
    this.state = state === drcState.INVALID ? rest : state;
    this.unplugRequested = unplugRequested;
  }

  saveIndicator(): number {
    return this.indicator === this.#restingIndicator() ? indicatorAtRest : this.indicator;
  }

  loadIndicator(value: number): void {
    this.indicator = value === indicatorAtRest ? this.#restingIndicator() : value;
  }
}

// The states of a connector, and in which of them it rests: a resting connector's section does not travel.
// Source: wire reference 16.2; QEMU: SpaprDrcState. The transitions stand in connector.ts.
import { type DrcType, isPhysical } from "./drc-index.ts";

export const drcState = {
  /** On no wire. In a state it says: as a connector of this machine rests. */
  INVALID: 0,
  LOGICAL_UNUSABLE: 1,
  LOGICAL_AVAILABLE: 2,
  LOGICAL_UNISOLATE: 3,
  LOGICAL_CONFIGURED: 4,
  PHYSICAL_AVAILABLE: 5,
  PHYSICAL_POWERON: 6,
  PHYSICAL_UNISOLATE: 7,
  PHYSICAL_CONFIGURED: 8,
} as const;

export interface DrcStates {
  /** Nothing is attached, or what is attached was not asked for yet. */
  readonly empty: number;
  /** A logical resource that the guest has, isolated. Where there is no such state, the empty one. */
  readonly isolated: number;
  readonly unisolated: number;
  readonly configured: number;
  /** All that a stream may bring. */
  readonly all: readonly number[];
}

const logical: DrcStates = {
  empty: drcState.LOGICAL_UNUSABLE,
  isolated: drcState.LOGICAL_AVAILABLE,
  unisolated: drcState.LOGICAL_UNISOLATE,
  configured: drcState.LOGICAL_CONFIGURED,
  all: [1, 2, 3, 4],
};
const physical: DrcStates = {
  empty: drcState.PHYSICAL_POWERON,
  isolated: drcState.PHYSICAL_POWERON,
  unisolated: drcState.PHYSICAL_UNISOLATE,
  configured: drcState.PHYSICAL_CONFIGURED,
  all: [5, 6, 7, 8],
};

export function statesOf(type: DrcType): DrcStates {
  return isPhysical(type) ? physical : logical;
}

// What RTAS calls answer. Sources: PAPR 7.3 and 13.5.3; the choice among the errors is what QEMU 7.2 was seen to answer.

export const rtasStatus = {
  SUCCESS: 0,
  /** check-exception, event-scan: nothing to tell. */
  NO_EVENT: 1,
  /** Wrong arguments, no such connector, or not in this state. */
  PARAMETER: -3,
} as const;

/** What ibm,configure-connector answers. */
export const configureStatus = {
  COMPLETE: 0,
  NEXT_CHILD: 2,
  NEXT_PROPERTY: 3,
  PREVIOUS_PARENT: 4,
  /** No such connector, or wrong arguments. */
  PARAMETER: -3,
  /** The connector is neither unisolated nor configured. */
  NOT_CONFIGURABLE: -9003,
} as const;

/** Sensor and indicator types of connectors. */
export const drSensor = { ISOLATION: 9001, INDICATOR: 9002, ALLOCATION: 9003, ENTITY_SENSE: 9003 } as const;

/** What dr-entity-sense reads. */
export const entitySense = { EMPTY: 0, PRESENT: 1, UNUSABLE: 2 } as const;

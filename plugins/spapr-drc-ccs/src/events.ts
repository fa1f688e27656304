// The events that the guest has not fetched yet, and the calls that fetch them.
// Source: PAPR 7.3.3 (event-scan, check-exception); QEMU: pending_events of SpaprMachineState.
import { type EventLogEntry, type HotplugEvent, hotplugLog, logBytes } from "./event-log.ts";
import type { GuestMemory } from "./memory.ts";
import { rtasStatus } from "./rtas-status.ts";

/** Bits of a check-exception's event mask. */
export const eventMask = { EPOW: 0x4000_0000, HOTPLUG: 0x1000_0000 } as const;

/** The type in an error log's summary. */
const logType = { EPOW: 0x40, HOTPLUG: 0xe5 } as const;

/** How a guest is told of hot-plug: by the EPOW source, or by one of its own where guest and machine agreed on it. */
export type HotplugSource = "epow" | "hot-plug";

export class PendingEvents {
  #entries: EventLogEntry[] = [];
  #nextLogId = 0;
  readonly #source: HotplugSource;

  constructor(source: HotplugSource) {
    this.#source = source;
  }

  get entries(): readonly EventLogEntry[] {
    return this.#entries;
  }

  add(event: Omit<HotplugEvent, "logId">): void {
    this.#entries.push(hotplugLog({ ...event, logId: this.#nextLogId++ }));
  }

  load(entries: readonly EventLogEntry[]): void {
    this.#entries = [...entries];
  }

  clear(): void {
    this.#entries = [];
  }

  /** The oldest event whose source is in the mask goes to the guest, cut where the guest's buffer ends. */
  check(memory: GuestMemory, mask: number, address: number, bufferBytes: number): number {
    const at = this.#entries.findIndex((entry) => (this.#maskOf(entry) & mask) !== 0);
    const entry = this.#entries[at];
    if (entry === undefined) return rtasStatus.NO_EVENT;
    // First the guest's memory, which may not be there: the event is not lost then.
    memory.write(address, logBytes(entry).subarray(0, bufferBytes));
    this.#entries.splice(at, 1);
    return rtasStatus.SUCCESS;
  }

  #maskOf({ summary }: EventLogEntry): number {
    const type = summary & 0xff;
    if (type === logType.EPOW) return eventMask.EPOW;
    if (type !== logType.HOTPLUG) return 0;
    return this.#source === "epow" ? eventMask.EPOW : eventMask.HOTPLUG;
  }
}

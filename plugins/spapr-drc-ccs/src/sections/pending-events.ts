// The events that a guest has not fetched yet, as a QTAILQ. Source: wire reference 16.1; QEMU: SpaprEventLogEntry.
import { type Subsection, subsection, u32, vbuffer, vmstate } from "@godwit/core";
import { qtailq } from "@godwit/qtailq-codec";
import type { EventLogEntry } from "../event-log.ts";

/** `extended_log` is as the guest reads it; `hotplugLog` writes those of hot-plug. */
export const eventLogEntry = vmstate({
  name: "spapr_event_log_entry",
  version: 1,
  fields: { summary: u32, extended_length: u32, extended_log: vbuffer("extended_length", { max: 64 * 1024 }) },
});

export interface PendingEventsState {
  pending_events: EventLogEntry[];
}

export const pendingEvents: Subsection<PendingEventsState> = subsection({
  name: "spapr_pending_events",
  version: 1,
  fields: { pending_events: qtailq(eventLogEntry) },
  needed: ({ pending_events }) => pending_events.length > 0,
  absent: { pending_events: [] },
});

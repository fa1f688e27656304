// What can become of a machine and of its migration. A seed may see several.

/**
 * - `done`: it runs at the destination.
 * - `cancelled`, `failed-source-runs`: it runs at the source, as if nothing had been.
 * - `lost`: whoever held the only copy was killed.
 * - `in-doubt`: the source gave it away, and could not learn whether it arrived.
 * - `paused`, `recovered`: its connection broke while pages were still to follow; and it came back.
 */
export const outcomes = ["done", "cancelled", "failed-source-runs", "lost", "in-doubt", "paused", "recovered"] as const;

export type Outcome = (typeof outcomes)[number];

// The end of connections of pages that have done their work.
import type { Side } from "@godwit/core";
import { overFor } from "../codes.ts";
import type { Channel, HostClock } from "../host.ts";
import { closingGraceMs } from "../options.ts";

/** Resolves when all are closed, or broken off: those whose peer does not let them close in time. */
export async function closeAll(channels: readonly Channel[], clock: HostClock, side: Side): Promise<void> {
  if (channels.length === 0) return;
  let stop = (): void => {};
  const late = new Promise<void>((resolve) => {
    stop = clock.after(closingGraceMs, () => {
      for (const channel of channels) channel.abort(overFor(side));
      resolve();
    });
  });
  await Promise.race([Promise.allSettled(channels.map((channel) => channel.close())), late]);
  stop();
}

// Connections that are on their way: one that comes when nobody waits for it any more is closed again.
import type { Channel } from "./host.ts";

/** `tooLate` says why nobody waits any more, once that is so; asked when the connection is there. */
export function orAborted(opening: Promise<Channel>, tooLate: () => unknown): Promise<Channel> {
  opening.then(
    (channel) => {
      const reason = tooLate();
      if (reason !== undefined) channel.abort(reason);
    },
    () => {},
  );
  return opening;
}

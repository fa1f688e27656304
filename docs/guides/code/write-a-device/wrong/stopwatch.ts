// A device that is wrong about time.
import { type Plugin, u64, vmstate } from "@godwit/core";

// #region stopwatch
const stopwatch = vmstate({ name: "stopwatch", version: 1, fields: { started_at: u64 } });

export function stopwatchPlugin(hostNow: () => bigint): Plugin<{ start(): void }> {
  return {
    name: "example-stopwatch",
    version: "0.1.0",
    contract: 3,
    setup(kernel) {
      let startedAt = 0n;
      kernel.device(stopwatch, {
        save: () => ({ started_at: startedAt }),
        load: (state) => {
          startedAt = state.started_at;
        },
      });
      return {
        start() {
          startedAt = hostNow(); // another host's clock stands elsewhere
        },
      };
    },
  };
}
// #endregion

// The destination process: takes the machine in, lets the guest go on, stops it, and examines the evidence.
import { incomingMigration, type MigratableMachine } from "@godwit/migration";
import { listen } from "@godwit/transport/tcp";
import type { Verdict } from "../evidence.ts";
import { examinePool } from "./examine.ts";
import { goOn } from "./go-on.ts";
import { hostClock, openHost } from "./host.ts";
import { type RoleOptions, tell } from "./messages.ts";

export async function runDestination(options: RoleOptions): Promise<void> {
  const host = await openHost(options);
  const { machine } = host;
  const listener = await listen("tcp:127.0.0.1:0");
  tell({ event: "listening", uri: listener.uri });
  let pool: Verdict | undefined;
  let blocksBefore = 0;
  const { kernel } = machine;
  const arriving: MigratableMachine = {
    manifest: () => kernel.manifest(),
    outgoing: () => kernel.outgoing(),
    incoming: () => kernel.incoming(),
    quiesce: () => kernel.quiesce(),
    pause: () => kernel.pause(),
    // The pool is looked at before the guest's first instruction here, which would begin to write over it.
    resume() {
      pool = examinePool(machine.ram());
      blocksBefore = host.guest()?.blocksCompleted ?? 0;
      kernel.resume();
    },
  };
  const migration = incomingMigration({
    machine: arriving,
    clock: hostClock,
    accept: async () => {
      const channel = await listener.accept();
      await listener.close();
      return channel;
    },
  });
  migration.events.on("progress", (statistics) => tell({ event: "received", statistics }));
  migration.events.on("status", ({ status }) => tell({ event: "status", status }));
  const { state, load } = await migration.run();
  tell({
    event: "loaded",
    status: state.status,
    ...(load === undefined ? {} : { load }),
    ...("error" in state ? { error: state.error.toJSON() } : {}),
  });
  if (state.status === "completed" && pool !== undefined) await goOn(host, options, blocksBefore, pool);
  await host.close();
}

// The destination process: takes the machine in, lets the guest go on, stops it, and examines the evidence.
import { incomingMigration } from "@godwit/migration";
import { listen } from "@godwit/transport/tcp";
import { examine } from "./examine.ts";
import { hostClock, openHost } from "./host.ts";
import { type RoleOptions, tell } from "./messages.ts";

/** The guest must get this much further here, and run this long. */
const blocksAfter = 100;
const runMs = 700;

export async function runDestination(options: RoleOptions): Promise<void> {
  const host = await openHost(options);
  const { machine } = host;
  const listener = await listen("tcp:127.0.0.1:0");
  tell({ event: "listening", uri: listener.uri });
  const migration = incomingMigration({
    machine: machine.kernel,
    clock: hostClock,
    accept: async () => {
      const channel = await listener.accept();
      await listener.close();
      return channel;
    },
  });
  let blocksBefore = 0;
  let resumedMs = 0;
  migration.events.on("progress", (statistics) => tell({ event: "received", statistics }));
  migration.events.on("status", ({ status }) => {
    tell({ event: "status", status });
    if (status !== "completed") return;
    blocksBefore = host.guest()?.blocksCompleted ?? 0;
    resumedMs = performance.now();
  });
  const { state, load } = await migration.run();
  tell({
    event: "loaded",
    status: state.status,
    ...(load === undefined ? {} : { load }),
    ...("error" in state ? { error: state.error.toJSON() } : {}),
  });
  if (state.status === "completed") {
    await host.until(
      (guest) => guest.blocksCompleted >= blocksBefore + blocksAfter && performance.now() - resumedMs >= runMs,
    );
    const guest = await host.stop();
    tell({
      event: "evidence",
      guest,
      blocksBefore,
      ...(await examine(options.folder, machine.ram(), guest, options.seed)),
    });
  }
  await host.close();
}

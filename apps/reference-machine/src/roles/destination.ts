// The destination process: takes the machine in, lets the guest go on, stops it, and examines the evidence.
import { incomingMigration, type MigratableMachine } from "@godwit/migration";
import { listen } from "@godwit/transport/tcp";
import type { CardStatus } from "../guest/card-block.ts";
import { cardNames } from "../profiles/cards.ts";
import { type Arrived, examineMachine } from "./examine.ts";
import { goOn } from "./go-on.ts";
import { hostClock, openHost } from "./host.ts";
import { type RoleOptions, tell } from "./messages.ts";

export async function runDestination(options: RoleOptions): Promise<void> {
  // What came to the source while it ran is given to the destination from the start.
  const host = await openHost(options, options.profile === "pseries" ? cardNames : []);
  const { machine } = host;
  const listener = await listen("tcp:127.0.0.1:0");
  tell({ event: "listening", uri: listener.uri });
  let arrived: Arrived | undefined;
  let blocksBefore = 0;
  let cardsBefore: CardStatus[] = [];
  const { kernel } = machine;
  const arriving: MigratableMachine = {
    manifest: () => kernel.manifest(),
    outgoing: () => kernel.outgoing(),
    incoming: () => kernel.incoming(),
    quiesce: () => kernel.quiesce(),
    pause: () => kernel.pause(),
    // Memory is looked at before the guest's first instruction here, which would begin to write over it.
    resume() {
      arrived = examineMachine(machine);
      blocksBefore = host.guest()?.blocksCompleted ?? 0;
      cardsBefore = host.cards();
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
  if (state.status === "completed" && arrived !== undefined)
    await goOn(host, options, { blocks: blocksBefore, cards: cardsBefore }, arrived);
  await host.close();
}

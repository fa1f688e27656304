// The destination process: takes the machine in, lets the guest go on, stops it, and examines the evidence.
import { incomingMigration, type MigratableMachine } from "@godwit/migration";
import type { CardStatus } from "../guest/card-block.ts";
import type { ReferenceMachine } from "../machine/machine.ts";
import { cardNames } from "../profiles/cards.ts";
import { listenFor } from "./connections.ts";
import { capabilitiesOf, parametersOf } from "./engine.ts";
import { type Arrived, examineMachine } from "./examine.ts";
import { goOn } from "./go-on.ts";
import { withGuestsAccount } from "./guests-account.ts";
import { hostClock, openHost } from "./host.ts";
import { type FollowedPages, type RoleOptions, tell } from "./messages.ts";

export async function runDestination(options: RoleOptions): Promise<void> {
  // What came to the source while it ran is given to the destination from the start.
  const host = await openHost(options, options.profile === "pseries" ? cardNames : []);
  const { machine } = host;
  if (options.mode === "multifd") machine.memory.receiveBy({ multifd: { channels: options.channels, sync: "round" } });
  const listener = await listenFor(options);
  tell({ event: "listening", uri: listener.uri });
  let arrived: Arrived | undefined;
  let blocksBefore = 0;
  let absentAtStart = 0;
  let cardsBefore: CardStatus[] = [];
  const { kernel } = machine;
  const arriving: MigratableMachine = {
    manifest: () => kernel.manifest(),
    outgoing: () => kernel.outgoing(),
    incoming: (init) => withGuestsAccount(kernel.incoming(init), machine.memory),
    quiesce: () => kernel.quiesce(),
    pause: () => kernel.pause(),
    // Memory is looked at before the guest's first instruction here, which would begin to write over it; after post-copy, as
    // soon as all of it is here.
    resume() {
      absentAtStart = machine.memory.absent()?.pages ?? 0;
      if (absentAtStart === 0) arrived = examineMachine(machine);
      blocksBefore = host.guest()?.blocksCompleted ?? 0;
      cardsBefore = host.cards();
      kernel.resume();
    },
  };
  const migration = incomingMigration({
    machine: arriving,
    ram: machine.memory,
    clock: hostClock,
    capabilities: capabilitiesOf(options),
    parameters: parametersOf(options),
    accept: () => listener.accept(),
  });
  migration.events.on("progress", (statistics) => tell({ event: "received", statistics }));
  migration.events.on("status", ({ status }) => {
    tell({ event: "status", status });
    // Its connection is gone because the other process is, and with it the only copy of pages: nobody will bring another one.
    if (status === "postcopy-paused") queueMicrotask(() => migration.abandon());
  });
  const { state, load } = await migration.run();
  if (state.status === "completed") arrived ??= examineMachine(machine);
  await listener.close();
  tell({
    event: "loaded",
    status: state.status,
    ...(load === undefined ? {} : { load }),
    ...(state.status === "completed" &&
      absentAtStart > 0 && { followed: pagesThatFollowed(machine.memory, absentAtStart) }),
    ...("error" in state ? { error: state.error.toJSON() } : {}),
  });
  if (state.status === "completed" && arrived !== undefined)
    await goOn(host, options, { blocks: blocksBefore, cards: cardsBefore }, arrived);
  await host.close();
}

/** When all of them are here. */
function pagesThatFollowed({ postcopyDestination }: ReferenceMachine["memory"], absentAtStart: number): FollowedPages {
  const { faults, requestedPages, unaskedPages, latenciesMs } = postcopyDestination.statistics();
  const { medianMs, p95Ms, maxMs } = latenciesMs();
  const dirtyPages = requestedPages + unaskedPages;
  return { dirtyPages, absentAtStart, faults, requestedPages, unaskedPages, latencyMs: { medianMs, p95Ms, maxMs } };
}

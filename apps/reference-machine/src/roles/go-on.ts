// What a machine that has arrived, or stayed, must show: the guest goes on, and its evidence is whole.
import { haveGoneOn, reportCards } from "../card-evidence.ts";
import type { CardStatus } from "../guest/card-block.ts";
import { readChannelBlock } from "../guest/channel-block.ts";
import { type Arrived, examine } from "./examine.ts";
import { GuestTrouble, type Host } from "./host.ts";
import { type RoleOptions, tell } from "./messages.ts";

/** The guest must get this much further, and run this long: its own watch for lost interrupts needs two seconds. */
const blocksAfter = 100;
const runMs = 2200;
/** What the host has asked for last must be done by then. */
const settlePatienceMs = 10_000;
/** Its cards must have gone on by then. */
const cardPatienceMs = 20_000;

/** Where the guest stood when it began to run here. */
interface Before {
  readonly blocks: number;
  readonly cards: readonly CardStatus[];
}

/** Lets the guest run, stops it, and tells what it left behind. `arrived` was examined before it ran on. */
export async function goOn(host: Host, options: RoleOptions, before: Before, arrived: Arrived): Promise<void> {
  const beganMs = performance.now();
  const cardsHaveGoneOn = (ranMs: number): boolean => {
    if (host.machine.hotplug === undefined) return true;
    const reports = reportCards(before.cards, host.cards());
    if (haveGoneOn(reports)) return true;
    if (ranMs < cardPatienceMs) return false;
    const stuck = reports.find((report) => !haveGoneOn([report]));
    throw new GuestTrouble(`the guest does not get on with card ${stuck?.name}: ${JSON.stringify(stuck?.now)}`);
  };
  let trouble: string | undefined;
  try {
    await host.until((guest) => {
      const ranMs = performance.now() - beganMs;
      return guest.blocksCompleted >= before.blocks + blocksAfter && ranMs >= runMs && cardsHaveGoneOn(ranMs);
    });
    host.work.finish();
    const askedMs = performance.now();
    await host.until(() => {
      if (host.work.isSettled()) return true;
      if (performance.now() - askedMs < settlePatienceMs) return false;
      throw new GuestTrouble("the guest does not do what the host has asked for: pages for the balloon, or lines");
    });
  } catch (error) {
    if (!(error instanceof GuestTrouble)) throw error;
    trouble = error.message;
  }
  const guest = await host.stop();
  const plugged = host.machine.hotplug === undefined ? {} : { cards: host.cards() };
  const examined = await examine(options.folder, host.machine, guest, arrived, options.seed, plugged.cards);
  tell({
    event: "evidence",
    guest,
    blocksBefore: before.blocks,
    ...examined,
    ...(plugged.cards === undefined ? {} : { cards: reportCards(before.cards, plugged.cards) }),
    ...(host.machine.channels === undefined ? {} : { channels: readChannelBlock(host.machine.ram()) }),
    ...(trouble === undefined ? {} : { trouble }),
  });
}

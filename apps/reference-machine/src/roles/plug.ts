// Hot-plug under load: brings the guest to where a migration must find it, by the guest's own account.
import { CARD_STAGE_IN_USE, CARD_STAGE_RELEASED, CARD_STAGE_WALKING } from "../memory-map.ts";
import { type CardName, cards } from "../profiles/cards.ts";
import type { Hotplug } from "../profiles/pseries.ts";
import type { Host } from "./host.ts";

/**
 * At once: card a was in use and is returned to firmware; of card b's tree the guest has half, as firmware is slow with
 * the rest; card c's event is pending, since the guest does one thing at a time. So it stays however long pre-copy takes,
 * until `firmwareGoesOn`, or on a destination, whose firmware is not slow.
 */
export async function plugUnderLoad(host: Host, hotplug: Hotplug): Promise<void> {
  const card = (name: CardName) => host.cards().find(({ connector }) => connector === cards[name].connector);
  hotplug.plug("a");
  await host.until(() => card("a")?.stage === CARD_STAGE_IN_USE && (card("a")?.packetsCompleted ?? 0) > 0);
  const half = Math.floor(cards.b.figures.tokens / 2);
  hotplug.ready("b", half);
  hotplug.plug("b");
  await host.until(() => {
    const b = card("b");
    return b?.stage === CARD_STAGE_WALKING && b.tokens === half && card("a")?.stage === CARD_STAGE_RELEASED;
  });
  hotplug.plug("c");
}

/** The machine stays: the guest gets the rest. */
export function firmwareGoesOn(hotplug: Hotplug | undefined): void {
  hotplug?.ready("b", undefined);
}

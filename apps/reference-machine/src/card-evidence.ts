/**
 * What the guest's cards leave behind, judged: the device trees that it fetched, and each card's own numbered packets.
 * Nothing here does I/O.
 */
import { checkPacket, checkSequence, emptyTally, tallyArrival, type Verdict } from "./evidence.ts";
import type { CardStatus } from "./guest/card-block.ts";
import { CARD_STAGE_FAILED, CARD_STAGE_RELEASED, CARD_STAGE_WALKING } from "./memory-map.ts";
import { type Card, type CardName, cardNames, cards } from "./profiles/cards.ts";

const sourceAddress = { start: 6, end: 12 } as const;

/** The card that sent a frame; `undefined`: another, or its address is torn. */
export function cardOf(frame: Uint8Array): Card | undefined {
  const address = frame.subarray(sourceAddress.start, sourceAddress.end);
  return cardNames.map((name) => cards[name]).find(({ mac }) => mac.every((byte, index) => byte === address[index]));
}

function statusOf(all: readonly CardStatus[], { connector }: Card): CardStatus | undefined {
  return all.find((one) => one.connector === connector);
}

/**
 * The trees that the guest of a machine has fetched, of which `plugged` are in their slots. `intact`: whole ones.
 * `missing` and `repeated`: connectors whose card was announced to the guest never, or twice; `torn`: connectors of whose
 * tree the guest had something else than the host gave; `unexpected`: connectors that no card is in.
 */
export function checkTrees(all: readonly CardStatus[], plugged: readonly CardName[]): Verdict {
  const verdict: Verdict = { intact: 0, missing: [], repeated: [], torn: [], unexpected: [] };
  const known = plugged.map((name) => cards[name]);
  for (const { connector } of all) {
    if (!known.some((card) => card.connector === connector)) verdict.unexpected.push(connector);
  }
  for (const [at, card] of known.entries()) {
    const { connector } = card;
    const status = statusOf(all, card);
    if (status === undefined) continue;
    if (status.events < 1) verdict.missing.push(connector);
    if (status.events > 1) verdict.repeated.push(connector);
    const reason = tornBy(status, card);
    if (reason !== undefined) verdict.torn.push({ at, number: connector, reason });
    else verdict.intact += status.walks;
  }
  return verdict;
}

function tornBy(status: CardStatus, { devfn, figures }: Card): string | undefined {
  if (status.stage === CARD_STAGE_FAILED) return "refused by the guest";
  if (status.tokens > figures.tokens) return "tokens";
  if (status.walks === 0) return undefined;
  if (status.nodes !== figures.nodes) return "nodes";
  if (status.properties !== figures.properties) return "properties";
  if (status.checksum !== figures.checksum) return "checksum";
  return status.slot === devfn ? undefined : "slot";
}

/** The packets of all cards, each card's in the order of its own numbers. */
export function checkCardPackets(frames: readonly Uint8Array[], all: readonly CardStatus[], seed: number): Verdict {
  const verdicts = cardNames.map((name) => {
    const card = cards[name];
    const tally = emptyTally();
    for (const frame of frames) {
      if (cardOf(frame) === card) tallyArrival(tally, checkPacket(frame, seed, card.mac));
    }
    const { packetsCompleted = 0, packetsSubmitted = 0 } = statusOf(all, card) ?? {};
    return checkSequence(tally, { completed: packetsCompleted, submitted: packetsSubmitted });
  });
  return {
    intact: verdicts.reduce((sum, { intact }) => sum + intact, 0),
    missing: verdicts.flatMap(({ missing }) => missing),
    repeated: verdicts.flatMap(({ repeated }) => repeated),
    torn: verdicts.flatMap(({ torn }) => torn),
    unexpected: verdicts.flatMap(({ unexpected }) => unexpected),
  };
}

/** One card's way: where the guest stood with it when the machine began to run here, and what it has done since. */
export interface CardReport {
  readonly name: CardName;
  readonly before: CardSituation;
  /** Trees fetched to their end here. */
  readonly walks: number;
  /** Packets completed here. */
  readonly packets: number;
  /** Where the guest stands with it now. */
  readonly now: CardSituation;
}

type CardSituation =
  /** Its event has not been fetched. */
  | { readonly kind: "event pending" }
  | { readonly kind: "tree half fetched"; readonly tokens: number; readonly of: number }
  | { readonly kind: "returned to firmware" }
  | { readonly kind: "in use" };

function situation(status: CardStatus | undefined, { figures }: Card): CardSituation {
  if (status === undefined) return { kind: "event pending" };
  if (status.stage === CARD_STAGE_WALKING)
    return { kind: "tree half fetched", tokens: status.tokens, of: figures.tokens };
  return { kind: status.stage === CARD_STAGE_RELEASED ? "returned to firmware" : "in use" };
}

export function reportCards(before: readonly CardStatus[], now: readonly CardStatus[]): CardReport[] {
  return cardNames.map((name) => {
    const card = cards[name];
    const [then, since] = [statusOf(before, card), statusOf(now, card)];
    return {
      name,
      before: situation(then, card),
      walks: (since?.walks ?? 0) - (then?.walks ?? 0),
      packets: (since?.packetsCompleted ?? 0) - (then?.packetsCompleted ?? 0),
      now: situation(since, card),
    };
  });
}

/** Every card's tree was fetched to its end here, and packets went through it. */
export function haveGoneOn(reports: readonly CardReport[]): boolean {
  return reports.every(({ walks, packets }) => walks > 0 && packets > 0);
}

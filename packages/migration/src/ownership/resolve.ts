// A doubt is resolved by a question over a new connection: one side asks, the other answers what it can never go back on.
import { isMigrationError, type MigrationError, type Side } from "@godwit/core";
import { asMigrationError, migrationError } from "../codes.ts";
import type { ControlMessage, OwnershipWord } from "../godwit/control.ts";
import { Conversation } from "../godwit/conversation.ts";
import { loadDigests } from "../godwit/digest.ts";
import type { Channel, HostClock } from "../host.ts";
import { Interrupt } from "../interrupt.ts";
import { orAborted } from "../opening.ts";
import { defaults, timeout } from "../options.ts";
import { BoundedRecord, type OwnershipOffer } from "./holder.ts";
import type { OwnershipLog } from "./log.ts";
import { checkedMachine, formatRecord, type OwnershipRecord } from "./record.ts";
import { ownershipRules as rules } from "./rules.ts";

/** It does not matter who calls whom: the question is always asked by the side that released. */
export type OwnershipConnection =
  | { readonly connect: () => Promise<Channel>; readonly accept?: undefined }
  | { readonly accept: () => Promise<Channel>; readonly connect?: undefined };

interface CommonOptions {
  readonly log: OwnershipLog;
  readonly clock: HostClock;
  /** How long the peer, and the log, may take for each step. Milliseconds, default 30,000. */
  readonly peerTimeoutMs?: number;
}

export type ResolveOptions = CommonOptions &
  OwnershipConnection & {
    readonly machine: string;
    /** Whether this process still has the machine as it was when it was released: a process that was restarted has not. */
    readonly copy: "kept" | "gone";
  };

export interface OwnershipResolution {
  /**
   * `owned`: the destination never will, and the record here says `owned` again: the copy may run. `taken`: the
   * destination has the machine. `lost`: it had, and is gone; or it never will, and the copy here is gone. `in-doubt`: it
   * could not be asked, or did not know.
   */
  readonly outcome: "owned" | "taken" | "lost" | "in-doubt";
  readonly record: OwnershipRecord;
  /** Why it is still in doubt. `OWNERSHIP_UNKNOWN` where the wrong host was asked. */
  readonly error: MigrationError | undefined;
}

/**
 * Asks the destination of a hand-over what became of it: for a source that is in doubt (`OutgoingMigration.resolve` does
 * it), and for a process that restarts and finds `released`. The other side runs `answerOwnership`. To be repeated as
 * long as it is in doubt; the answer is the same for ever.
 *
 * Rejects before anything is asked with `OWNERSHIP_RECORD` and `OWNERSHIP_LOG`, and with `OWNERSHIP_CONFLICT` where the
 * record is not `released`: then there is no doubt.
 */
export async function resolveOwnership(options: ResolveOptions): Promise<OwnershipResolution> {
  const machine = checkedMachine(options.machine);
  const timeoutMs = timeout("peerTimeoutMs", options.peerTimeoutMs, defaults.peerTimeoutMs);
  const log = new BoundedRecord(options.log, undefined, "source", { clock: options.clock, timeoutMs });
  const record = await log.read(machine);
  if (record === undefined) throw migrationError("OWNERSHIP_RECORD", "there is no record of this machine");
  if (record.state !== "released") {
    throw migrationError("OWNERSHIP_CONFLICT", "there is no doubt to resolve", {
      side: "source",
      expected: "a record that says released",
      found: formatRecord(record),
    });
  }
  const asked: OwnershipOffer = { machine, epoch: record.epoch + 1 };
  try {
    const answer = await converse("source", options, timeoutMs, (peer) => ask(peer, asked));
    if (answer === "unknown") throw unknownThere(asked);
    if (answer === "taken" || answer === "lost") return { outcome: answer, record, error: undefined };
    if (options.copy === "gone") return { outcome: "lost", record, error: undefined };
    const owned = await log.step(machine, (found) => rules.takeBack(found, asked.epoch));
    return { outcome: "owned", record: owned, error: undefined };
  } catch (error) {
    return { outcome: "in-doubt", record, error: asMigrationError(error, "source") };
  }
}

export type AnswerOptions = CommonOptions &
  OwnershipConnection & {
    /**
     * Whether this process has the machine, running or not: one that was restarted has not, unless it has saved it, and
     * neither has one that has given up pages which are still at the source, after a post-copy that broke off.
     */
    holds(machine: string): boolean;
  };

export interface OwnershipAnswered extends OwnershipOffer {
  readonly answer: OwnershipWord;
}

/**
 * Answers one question, over one connection. "never" is durable before it is said: a hand-over that is still under way
 * here cannot own the machine after it (`OWNERSHIP_CONFLICT` there). Rejects, and has said nothing, where the record
 * cannot be read or written, and where the connection brings no question.
 */
export async function answerOwnership(options: AnswerOptions): Promise<OwnershipAnswered> {
  const timeoutMs = timeout("peerTimeoutMs", options.peerTimeoutMs, defaults.peerTimeoutMs);
  const log = new BoundedRecord(options.log, undefined, "destination", { clock: options.clock, timeoutMs });
  return converse("destination", options, timeoutMs, async (peer) => {
    const { machine, epoch } = await peer.expectSoon("ownership-query");
    const answered = { machine, epoch, answer: await answerOf(log, options, { machine, epoch }) };
    await peer.say({ kind: "ownership-answer", ...answered });
    return answered;
  });
}

/** How often the record may change under the answer: once by the hand-over that it is about, once by its end. */
const maxDecisions = 4;

async function answerOf(log: BoundedRecord, options: AnswerOptions, asked: OwnershipOffer): Promise<OwnershipWord> {
  for (let decision = 1; ; decision++) {
    const found = await log.read(asked.machine);
    const { answer, write } = rules.answer(found, asked.epoch);
    if (write === undefined) {
      return answer === "taken" && found?.state === "owned" && !options.holds(asked.machine) ? "lost" : answer;
    }
    try {
      await log.step(asked.machine, (now) => rules.refuse(now, asked.epoch));
      return answer;
    } catch (error) {
      const isDecidedAnew = isMigrationError(error) && error.code === "OWNERSHIP_CONFLICT" && decision < maxDecisions;
      if (!isDecidedAnew) throw error;
    }
  }
}

async function ask(peer: Conversation, asked: OwnershipOffer): Promise<OwnershipWord> {
  await peer.link.sendMagic();
  await peer.say({ kind: "ownership-query", ...asked });
  const found = await peer.expectSoon("ownership-answer");
  if (found.machine === asked.machine && found.epoch === asked.epoch) return found.answer;
  throw migrationError("PROTOCOL_ORDER", "the answer is to another question", {
    side: "source",
    expected: `epoch ${asked.epoch} of ${asked.machine}`,
    found: `epoch ${found.epoch} of ${found.machine}`,
  });
}

async function converse<T>(
  side: Side,
  options: CommonOptions & OwnershipConnection,
  timeoutMs: number,
  talk: (peer: Conversation) => Promise<T>,
): Promise<T> {
  const { clock } = options;
  const interrupt = new Interrupt();
  const digests = await loadDigests();
  const detail = `nobody answers for ${timeoutMs} ms`;
  // Who waits to be called has no reason to expect it at a certain time.
  const stop =
    options.connect === undefined
      ? undefined
      : clock.after(timeoutMs, () => interrupt.raise(migrationError("PEER_SILENT", detail, { side })));
  const opening = orAborted((options.connect ?? options.accept)(), () => interrupt.reason);
  const channel = await interrupt.wait(opening).finally(stop);
  const peer: Conversation = new Conversation({
    channel,
    clock,
    side,
    peerTimeoutMs: timeoutMs,
    interrupt,
    digests,
    opened: () => {
      if (side === "source") return;
      peer.link.sendMagic().catch((error: unknown) => interrupt.raise(asMigrationError(error, side)));
    },
    stream: () => {
      throw migrationError("PROTOCOL_FRAME", "a question of ownership brings no stream", { side });
    },
    atOnce: (_message: ControlMessage) => false,
  });
  try {
    return await talk(peer);
  } finally {
    await peer.close();
  }
}

function unknownThere({ machine, epoch }: OwnershipOffer) {
  return migrationError("OWNERSHIP_UNKNOWN", `who was asked was never promised ${machine} in epoch ${epoch}`, {
    side: "source",
  });
}

// The ownership record: what one process has durably promised about one machine, and whether it may run it.
import { migrationError } from "../codes.ts";

/**
 * Who may run a machine, as it stands on a disk beside each process that ever had to do with it.
 *
 * ## The trap
 *
 * A machine that moves has two copies for a moment, and between the source's last word and the destination's answer
 * neither side can know what the other one did. A timer cannot help: whoever is silent may be slow. What helps is that
 * a side writes down what it is about to do before it does it, and that the *other* side, when it asks, gets an answer
 * which the asked one can never go back on, not even after it was killed and started again.
 *
 * So each process keeps one record a machine, with a number, the **epoch**, and only `owned` may run:
 *
 * - `owned e`: the machine is mine. With `offered` somebody was promised e+1, should I ever release.
 * - `released e`: it was mine in epoch e, and whoever accepted e+1 may have it. I do not run it until that one has said,
 *   durably, that it never will.
 * - `accepted e`: I may be given it in epoch e. It is not mine.
 * - `refused e`: I shall never have it in epoch e, whatever message still comes.
 *
 * Four rules, and everything else follows from them:
 *
 * 1. **Write, then act.** `released` is durable before the word is said, `owned` before the first instruction, `refused`
 *    before "never" is said. If the write does not come back, the act does not happen.
 * 2. **Every record is newer than the one before it**: a higher epoch, or, in the same epoch, a step of the diagram.
 * 3. **An epoch is promised once.** A source that has offered e+1 and is still the owner burns that epoch for its next
 *    attempt: it goes on as `owned e+2`. So an epoch names one attempt with one destination, and nobody but that
 *    destination, asked by mistake, can say "never" for it. (With a second offer of e+1, to another host, the first one
 *    would truthfully answer "never" while the second one runs the machine.)
 * 4. **Only the one who was promised can answer.** A host whose record does not reach the epoch says that it does not
 *    know, and changes nothing. This is why `accepted` is durable before the destination agrees.
 *
 * Why e+2, when a source takes its machine back: e+1 is the destination's for ever, `refused` there. Going on as e would
 * be a step back, a late `released e+1` would look as if it were of the present, and the next destination would be
 * promised e+1 again. As e+2 the source's ownership is newer than anything that the destination can ever have had, and the
 * epoch of a machine that runs stands in no other host's record: which of two records counts is told by their numbers
 * alone.
 *
 * ```mermaid
 * stateDiagram-v2
 *   [*] --> owned: created
 *   [*] --> accepted: accept
 *   owned --> owned: offer
 *   owned --> released: release
 *   released --> owned: take-back
 *   accepted --> owned: own
 *   accepted --> refused: refuse
 *   released --> accepted: accept
 *   refused --> accepted: accept
 *   accepted --> accepted: accept
 * ```
 *
 * `take-back` raises the epoch by two, `accept` to what is offered, `offer` by two where the epoch was offered before.
 *
 * ## The hand-over
 *
 * ```mermaid
 * sequenceDiagram
 *   participant SL as source's log
 *   participant S as source
 *   participant D as destination
 *   participant DL as destination's log
 *   S->>SL: owned e, offered
 *   S->>D: offer {machine, epoch e+1}
 *   D->>DL: accepted e+1
 *   D->>S: accepted
 *   S-->>D: the stream; the machine is paused on the way
 *   S->>D: stream-end {byte count and digest of each channel}
 *   Note over D: compares, checks every state
 *   D->>S: prepared {byte count and digest of each channel}
 *   Note over S: compares; the last moment to turn back
 *   S->>SL: released e
 *   S->>D: released {epoch e+1}
 *   Note over D: loads every state
 *   D->>DL: owned e+1
 *   Note over D: the machine runs
 *   D->>S: resumed
 *   Note over S: lets its paused copy go
 * ```
 *
 * ## Every point at which somebody may die
 *
 * "Dies" is a kill, a power cut or the loss of the connection; after the loss of the connection alone both copies are
 * still there. The copy that counts is the source's until `owned e+1` is durable at the destination, and the
 * destination's from then on; where the process that holds it is killed, the machine is `lost`, and both sides say so.
 *
 * | what happens | source's record | destination's record | may run | how it ends |
 * | --- | --- | --- | --- | --- |
 * | either dies before `accepted` is durable | `owned e`, offered | what it was | source | the source goes on; its next attempt is `owned e+2` |
 * | destination dies between `accepted` and `prepared` | `owned e` | `accepted e+1` | source | the source goes on |
 * | source dies there | `owned e` | `accepted e+1` | source's new process, from what it has saved | the machine of before is lost with its process |
 * | `prepared` is lost, or late for ever | `owned e` | `accepted e+1` | source | the source times out and goes on |
 * | `prepared` comes twice, or of another attempt | `owned e` | `accepted e+1` | source | `PROTOCOL_ORDER`: the source goes on, or, once released, asks |
 * | source dies before `released` is durable | `owned e` | `accepted e+1` | source's new process | as above: lost with its process |
 * | the write of `released` fails | `owned e` or `released e` | `accepted e+1` | source | the word was not said: it goes on as `owned e+2` |
 * | cancelled, or destination lost, while `released` is being written | `released e` | `accepted e+1` | nobody, then source | likewise: `owned e+2`, then the machine runs |
 * | source dies when `released` is durable, before the word | `released e` | `accepted e+1` | nobody | its new process asks, the destination writes `refused e+1`; the copy died with the process: lost |
 * | `released` is lost, or late for ever | `released e` | `accepted e+1`, then `refused e+1` | nobody, then source | the destination times out, refuses and says so; or the source asks. Then `owned e+2` there |
 * | `released` comes twice | `released e` | `owned e+1` | destination | the second one changes nothing |
 * | `released` comes after the destination has refused | `released e` | `refused e+1` | source, as `owned e+2` | `refused` is for ever: the word has no effect |
 * | source dies when the word is said | `released e` | `owned e+1` | destination | its new process asks and hears "taken" |
 * | destination dies before `owned` is durable | `released e` | `accepted e+1` | nobody, then source | its new process, asked, refuses; the source takes its paused copy back as `owned e+2` |
 * | the load fails at the destination | `released e` | `refused e+1` | nobody, then source | the destination says so; the source takes back |
 * | the write of `owned` fails | `released e` | `accepted e+1` or `owned e+1` | nobody, or destination | not run there; its record decides when the source asks |
 * | destination dies after `owned`, before or after the first instruction | `released e` | `owned e+1` | destination's new process, from what it has saved | lost; asked, its new process says `lost`. The source's paused copy is an old one, which only an operator may wake |
 * | `resumed` is lost, or late for ever | `released e` | `owned e+1` | destination | the source is in doubt, asks, hears "taken" |
 * | `resumed` comes twice | `released e` | `owned e+1` | destination | the second one changes nothing |
 * | the question or its answer is lost, comes twice, or late | as it was | as it was, or `refused e+1` | as the records say | ask again: the answer is the same for ever |
 * | an answer comes when the source is past it | `owned e+2` | `refused e+1` | source | it is of an older epoch: no effect |
 * | another host is asked | `released e` | below e+1 | as the records say | it answers "unknown" and writes nothing |
 * | a log is lost with its disk | - | - | nobody | only an operator can know: `claimOwnership` |
 *
 * All of it is searched, and not only argued: `test/ownership/model.test.ts` explores every state that two to four hosts
 * and a network that loses, repeats, delays and reorders can reach with these rules.
 */
export interface OwnershipRecord {
  /** 16 bytes as 32 lower-case hexadecimal digits. */
  readonly machine: string;
  /** From 1 on. */
  readonly epoch: number;
  readonly state: "owned" | "released" | "accepted" | "refused";
  /** With `owned`: epoch + 1 was promised to somebody. Such an epoch is not offered a second time. */
  readonly offered?: true;
  /** Where the machine came from, or went to: for people, and whom to ask. No rule looks at it. */
  readonly peer?: string;
}

/**
 * True where this process may run the machine: only with `owned`. Without a record it may not, since an empty folder is
 * no proof of anything.
 */
export function mayRun(record: OwnershipRecord | undefined): boolean {
  return record?.state === "owned";
}

/** A machine's id as text. `OWNERSHIP_MACHINE`. */
export function checkedMachine(machine: unknown): string {
  if (typeof machine === "string" && /^[0-9a-f]{32}$/.test(machine)) return machine;
  throw migrationError("OWNERSHIP_MACHINE", "this is no machine id", {
    expected: "32 lower-case hexadecimal digits",
    found: typeof machine === "string" ? `"${machine}"` : typeof machine,
  });
}

const keys = ["machine", "epoch", "state", "offered", "peer"];
const states: readonly unknown[] = ["owned", "released", "accepted", "refused"];

/**
 * A record that was read back from somewhere, as what it claims to be: `OWNERSHIP_RECORD` for anything else. What is not
 * understood is never taken for "there is none".
 */
export function checkedRecord(value: unknown, machine: string): OwnershipRecord {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrongRecord("", "a record", value);
  const from = value as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(from).find((key) => !keys.includes(key));
  if (unknown !== undefined) throw wrongRecord(unknown, "no such field", from[unknown]);
  const { epoch, state, offered, peer } = from;
  if (from["machine"] !== machine) throw wrongRecord("machine", machine, from["machine"]);
  if (!Number.isSafeInteger(epoch) || (epoch as number) < 1) throw wrongRecord("epoch", "an integer from 1 on", epoch);
  if (!states.includes(state)) throw wrongRecord("state", states.join(", "), state);
  if (offered !== undefined && (offered !== true || state !== "owned")) {
    throw wrongRecord("offered", "true, of an owned machine", offered);
  }
  if (peer !== undefined && typeof peer !== "string") throw wrongRecord("peer", "a string", peer);
  return value as OwnershipRecord;
}

/** One record, or none, as people read it. */
export function formatRecord(record: OwnershipRecord | undefined): string {
  if (record === undefined) return "no record";
  const { epoch, state, offered, peer } = record;
  return `${state} ${epoch}${offered ? ", offered" : ""}${peer === undefined ? "" : ` (${peer})`}`;
}

export function isSameRecord(one: OwnershipRecord | undefined, other: OwnershipRecord | undefined): boolean {
  return (
    one?.machine === other?.machine &&
    one?.epoch === other?.epoch &&
    one?.state === other?.state &&
    one?.offered === other?.offered &&
    one?.peer === other?.peer
  );
}

function wrongRecord(path: string, expected: string, found: unknown) {
  return migrationError("OWNERSHIP_RECORD", "an ownership record is not well formed", {
    ...(path === "" ? {} : { path }),
    expected,
    found: typeof found === "string" ? `"${found}"` : String(found),
  });
}

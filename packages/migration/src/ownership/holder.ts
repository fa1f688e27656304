// What source and destination do with their record, each write bounded in time; without a log they keep it in mind only.
import { isMigrationError, type MigrationError, type Side } from "@godwit/core";
import { migrationError } from "../codes.ts";
import type { Misfit } from "../godwit/preamble.ts";
import type { HostClock } from "../host.ts";
import type { OwnershipLog } from "./log.ts";
import { readRecord } from "./operator.ts";
import { checkedMachine, formatRecord, isSameRecord, type OwnershipRecord } from "./record.ts";
import { ownershipRules as rules } from "./rules.ts";

export interface OwnershipOptions {
  /** 16 bytes as 32 lower-case hexadecimal digits; the machine's, for ever and on every host. */
  readonly machine: string;
  /** Its record here, which is there already: `createOwnership` made it, or the migration that brought the machine. */
  readonly log: OwnershipLog;
  /** The other side, for people who read the record: a URI, or a host's name. */
  readonly peer?: string;
}

export interface IncomingOwnershipOptions extends Omit<OwnershipOptions, "machine"> {
  /** Only this machine is taken in; without it, whichever comes. */
  readonly machine?: string;
}

/** What a source promises, and to be given in which epoch. */
export interface OwnershipOffer {
  readonly machine: string;
  readonly epoch: number;
}

export interface HolderHost {
  readonly clock: HostClock;
  /** How long the log may take. Milliseconds. */
  readonly timeoutMs: number;
}

/** One record, read and written under a time limit. A log that fails or hangs is `OWNERSHIP_LOG`, never the machine's fault. */
export class BoundedRecord {
  readonly #log: OwnershipLog;
  readonly #host: HolderHost;
  readonly #peer: string | undefined;
  readonly #side: Side;
  /** What was written last, or is being written. */
  #writing: Promise<void> | undefined;
  #stepping: Promise<OwnershipRecord> | undefined;

  constructor(log: OwnershipLog, peer: string | undefined, side: Side, host: HolderHost) {
    this.#log = log;
    this.#peer = peer;
    this.#side = side;
    this.#host = host;
  }

  read(machine: string): Promise<OwnershipRecord | undefined> {
    return this.#bounded(readRecord(this.#log, machine));
  }

  /** The record by this rule, once it is durable. */
  step(machine: string, rule: (found: OwnershipRecord | undefined) => OwnershipRecord): Promise<OwnershipRecord> {
    const stepping = this.#step(machine, rule);
    this.#stepping = stepping;
    return stepping;
  }

  async #step(
    machine: string,
    rule: (found: OwnershipRecord | undefined) => OwnershipRecord,
  ): Promise<OwnershipRecord> {
    const found = await this.read(machine);
    const next = this.#allowed(() => rule(found));
    const record = this.#peer === undefined ? next : { ...next, peer: this.#peer };
    if (isSameRecord(record, found)) return record;
    this.#writing = this.#log.write(record, found);
    await this.#bounded(this.#writing);
    return record;
  }

  #allowed(rule: () => OwnershipRecord): OwnershipRecord {
    try {
      return rule();
    } catch (error) {
      throw isMigrationError(error) ? error.at({ side: this.#side }) : error;
    }
  }

  /** A write that was given up may still be under way: what stands on the disk is known only after it. */
  async settled(): Promise<void> {
    // A step that is still reading goes on to write.
    await this.#stepping?.catch(() => {});
    await this.#bounded((this.#writing ?? Promise.resolve()).catch(() => {}));
  }

  #bounded<T>(work: Promise<T>): Promise<T> {
    const { clock, timeoutMs } = this.#host;
    return new Promise((resolve, reject) => {
      const fail = (detail: string, cause?: unknown): void =>
        reject(migrationError("OWNERSHIP_LOG", detail, { side: this.#side, cause }));
      const stop = clock.after(timeoutMs, () => fail(`the ownership log has not answered for ${timeoutMs} ms`));
      work.then(
        (value) => {
          stop();
          resolve(value);
        },
        (error: unknown) => {
          stop();
          if (isMigrationError(error)) reject(error.at({ side: this.#side }));
          else fail(error instanceof Error ? error.message : String(error), error);
        },
      );
    });
  }
}

/** The source's hand-over, step by step. Without options each step is done at once. */
export class SourceOwnership {
  readonly #options: OwnershipOptions | undefined;
  readonly #record: BoundedRecord | undefined;
  #epoch = 0;
  #hasBegunRelease = false;

  constructor(options: OwnershipOptions | undefined, host: HolderHost) {
    this.#options = options;
    if (options === undefined) return;
    checkedMachine(options.machine);
    this.#record = new BoundedRecord(options.log, options.peer, "source", host);
  }

  /** Before anything is promised. `OWNERSHIP_CONFLICT` unless this side owns the machine, `OWNERSHIP_RECORD`, `OWNERSHIP_LOG`. */
  async offer(): Promise<OwnershipOffer | undefined> {
    if (this.#options === undefined || this.#record === undefined) return undefined;
    const { machine } = this.#options;
    const { epoch } = await this.#record.step(machine, (found) => {
      if (found !== undefined) return rules.offer(found);
      throw migrationError("OWNERSHIP_RECORD", "there is no record of this machine", { side: "source" });
    });
    this.#epoch = epoch;
    return { machine, epoch: epoch + 1 };
  }

  /** Resolves when `released` is durable: the word may be said. */
  async release(): Promise<void> {
    if (this.#options === undefined || this.#record === undefined) return;
    this.#hasBegunRelease = true;
    await this.#record.step(this.#options.machine, (found) => {
      if (found?.epoch !== this.#epoch) throw changed(this.#epoch, found);
      return rules.release(found);
    });
  }

  /**
   * After `release` was begun: the machine is this side's again, durably. Only where the word was not said, or where the
   * destination has said that it never will.
   */
  async takeBack(): Promise<void> {
    if (!this.#hasBegunRelease || this.#options === undefined || this.#record === undefined) return;
    await this.#record.settled();
    await this.#record.step(this.#options.machine, (found) =>
      found?.state === "owned" && found.epoch === this.#epoch ? found : rules.takeBack(found, this.#epoch + 1),
    );
  }
}

/** The destination's hand-over, step by step. Without options each step is done at once. */
export class DestinationOwnership {
  readonly #options: IncomingOwnershipOptions | undefined;
  readonly #record: BoundedRecord | undefined;
  #offered: OwnershipOffer | undefined;
  #hasAsked = false;
  #hasAccepted = false;
  #hasOwned = false;

  constructor(options: IncomingOwnershipOptions | undefined, host: HolderHost) {
    this.#options = options;
    if (options === undefined) return;
    if (options.machine !== undefined) checkedMachine(options.machine);
    this.#record = new BoundedRecord(options.log, options.peer, "destination", host);
  }

  /** What speaks against this offer. `OWNERSHIP_RECORD`, `OWNERSHIP_LOG`. */
  async misfits(offer: OwnershipOffer | undefined): Promise<readonly Misfit[]> {
    this.#hasAsked = true;
    if (this.#options === undefined || this.#record === undefined || offer === undefined) {
      return (this.#options === undefined) === (offer === undefined) ? [] : [lacks(offer === undefined)];
    }
    const { machine = offer.machine } = this.#options;
    if (machine !== offer.machine) return [misfit("OWNERSHIP_MACHINE", machine, offer.machine)];
    this.#offered = offer;
    const found = await this.#record.read(offer.machine);
    try {
      rules.accept(found, offer.machine, offer.epoch);
      return [];
    } catch (error) {
      const { code, expected = "", found: was = "" } = error as MigrationError;
      return [misfit(code, expected, was)];
    }
  }

  /** Resolves when `accepted` is durable: the source may be told. */
  async accept(): Promise<void> {
    if (this.#options === undefined || this.#record === undefined) return;
    const offer = this.#offered ?? (await this.#unasked(this.#options, this.#record));
    this.#offered = offer;
    await this.#record.step(offer.machine, (found) => rules.accept(found, offer.machine, offer.epoch));
    this.#hasAccepted = true;
  }

  /** The epoch that a `released` must name. */
  get epoch(): number | undefined {
    return this.#offered?.epoch;
  }

  /** Resolves when `owned` is durable: the machine may run. `OWNERSHIP_CONFLICT` where "never" was answered meanwhile. */
  async own(): Promise<void> {
    const offer = this.#offered;
    if (offer !== undefined) await this.#record?.step(offer.machine, (found) => rules.own(found, offer.epoch));
    this.#hasOwned = true;
  }

  /**
   * This side will never run the machine: `refused` when that is durable, and may be said; `owned` where its record says
   * otherwise already. Without a log the word of this process is all there is, and it keeps it.
   */
  async refuse(): Promise<"refused" | "owned" | "never-accepted"> {
    const offer = this.#offered;
    if (this.#hasOwned) return "owned";
    if (this.#record === undefined) return "refused";
    if (offer === undefined || !this.#hasAccepted) return "never-accepted";
    await this.#record.settled();
    const found = await this.#record.read(offer.machine);
    if (found?.epoch === offer.epoch && found.state === "owned") return "owned";
    await this.#record.step(offer.machine, (now) =>
      now?.state === "refused" && now.epoch === offer.epoch ? now : rules.refuse(now, offer.epoch),
    );
    return "refused";
  }

  /** A source that knows no ownership (QEMU) offers nothing: what is newer than anything seen here is taken. */
  async #unasked(options: IncomingOwnershipOptions, record: BoundedRecord): Promise<OwnershipOffer> {
    if (this.#hasAsked || options.machine === undefined) {
      throw migrationError("OWNERSHIP_MACHINE", "a source that does not name its machine needs a machine id here", {
        side: "destination",
      });
    }
    const found = await record.read(options.machine);
    return { machine: options.machine, epoch: found === undefined ? 1 : found.epoch + 2 };
  }
}

function lacks(isSource: boolean): Misfit {
  const [has, hasNot] = ["an ownership record", "none"];
  return {
    code: "CAPABILITY_MISMATCH",
    subject: "ownership",
    refuses: true,
    expected: isSource ? has : hasNot,
    found: isSource ? hasNot : has,
  };
}

function misfit(code: string, expected: string, found: string): Misfit {
  return { code, subject: "ownership", refuses: true, expected, found };
}

function changed(epoch: number, found: OwnershipRecord | undefined) {
  return migrationError("OWNERSHIP_CONFLICT", "somebody else has changed the ownership record", {
    side: "source",
    expected: `owned ${epoch}`,
    found: formatRecord(found),
  });
}

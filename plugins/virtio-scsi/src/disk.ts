// scsiDiskUnit(): a logical unit over a back end. It keeps the requests that it has taken until they are answered.
import { MigrationError } from "@godwit/core";
import type { VirtqueueElement } from "@godwit/virtio-core";
import type { ScsiBackend } from "./backend.ts";
import { type BlockCommand, blockCommand } from "./cdb.ts";
import { answerCommand, type DiskIdentity } from "./commands.ts";
import { opcode, scsiStatus, sectorBytes } from "./constants.ts";
import type { ScsiDiskState } from "./disk-state.ts";
import { senseBytes } from "./disk-state.ts";
import type { Answer, UnitAddress } from "./request.ts";
import type { CarriedScsiRequest } from "./requests-field.ts";
import { noSense, type Sense, senseBytesOf, senseOf } from "./sense.ts";

export interface ScsiDiskOptions {
  readonly backend: ScsiBackend;
  /** 0 to 255; the default is 0. */
  readonly target?: number;
  /** 0 to 16383; the default is 0. */
  readonly lun?: number;
  readonly readOnly?: boolean;
  readonly serial?: string;
  readonly vendor?: string;
  readonly product?: string;
}

/** A request that a unit has. */
export interface UnitRequest {
  readonly queue: number;
  readonly element: VirtqueueElement;
  readonly tag: number;
  readonly cdb: Uint8Array;
  readonly inBytes: number;
  /** What the driver sends along. */
  readonly out: Uint8Array;
}

/** What a unit tells its host adapter. */
export interface UnitHost {
  /** A request that came with the unit's state, its data read from the guest again; undefined where that cannot be. */
  adopt(request: CarriedScsiRequest): UnitRequest | undefined;
  answer(request: UnitRequest, answer: Answer): void;
  onError(error: unknown): void;
}

interface Held extends UnitRequest {
  /** The back end has it. */
  started: boolean;
}

const longSenseAt = 96;
/** More data than this in one request is refused. Bytes. */
const maxRequestBytes = 64 * 1024 * 1024;

export class ScsiDiskUnit {
  readonly address: UnitAddress;
  readonly identity: DiskIdentity;
  readonly backend: ScsiBackend;
  #host: UnitHost | undefined;
  #unitAttention: Sense = noSense;
  #sense: Sense = noSense;
  /** Whole sense data that a load brought. */
  #senseBytes = new Uint8Array(senseBytes);
  #senseLength = 0;
  #senseIsUa = false;
  /** Replaced as a whole where the past no longer counts: reset and load. */
  #requests = new Set<Held>();
  /** Came with a load, and waits for the machine to run on. */
  #arrived: readonly CarriedScsiRequest[] = [];
  readonly #underWay = new Set<Promise<void>>();
  #holding = false;

  constructor(options: ScsiDiskOptions) {
    const { backend, target = 0, lun = 0, readOnly = false } = options;
    const { serial = "", vendor = "GODWIT", product = "DISK" } = options;
    if (!Number.isInteger(target) || target < 0 || target > 255) throw refused("target", "0 to 255", target);
    if (!Number.isInteger(lun) || lun < 0 || lun > 16_383) throw refused("lun", "0 to 16383", lun);
    checkText("serial", serial, 36);
    checkText("vendor", vendor, 8);
    checkText("product", product, 16);
    const sectors = backend.sizeBytes / sectorBytes;
    if (!Number.isSafeInteger(sectors) || sectors < 1) {
      throw refused("sizeBytes", `a multiple of ${sectorBytes} from ${sectorBytes} on`, backend.sizeBytes);
    }
    this.address = { target, lun };
    this.identity = { sectors, readOnly, serial, vendor, product };
    this.backend = backend;
  }

  attach(host: UnitHost): void {
    this.#host = host;
  }

  get inFlight(): number {
    return this.#arrived.length + this.#requests.size;
  }

  /** How many of the unit's requests were taken from each queue. */
  taken(): ReadonlyMap<number, number> {
    const counts = new Map<number, number>();
    for (const { queue } of [...this.#arrived, ...this.#requests]) counts.set(queue, (counts.get(queue) ?? 0) + 1);
    return counts;
  }

  submit(request: UnitRequest): void {
    const held: Held = { ...request, started: false };
    this.#requests.add(held);
    if (!this.#holding) this.#begin(held);
  }

  /** Aborts requests that are not answered: `tag` alone, or all. Gives how many there were. */
  abort(tag?: number): number {
    const found = [...this.#requests].filter((held) => tag === undefined || held.tag === tag);
    for (const held of found) this.#finish(held, { status: scsiStatus.TASK_ABORTED });
    return found.length;
  }

  has(tag: number): boolean {
    return [...this.#requests].some((held) => held.tag === tag);
  }

  /** As after power-on, and a unit attention tells the driver so. */
  reset(): void {
    this.#arrived = [];
    this.#requests = new Set();
    this.#forgetSense();
    this.#unitAttention = noSense;
  }

  resetByDriver(): void {
    this.abort();
    this.#unitAttention = senseOf.reset;
  }

  hold(): void {
    this.#holding = true;
  }

  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  /** Begins what is not begun: a machine that runs on. */
  resume(): void {
    this.#holding = false;
    const arrived = this.#arrived;
    this.#arrived = [];
    for (const one of arrived) {
      const request = this.#host?.adopt(one);
      if (request !== undefined) this.#requests.add({ ...request, started: false });
    }
    for (const held of [...this.#requests]) if (!held.started) this.#begin(held);
  }

  save(): ScsiDiskState {
    const sense = this.#currentSense();
    return {
      qdev: {
        unit_attention_key: this.#unitAttention.key,
        unit_attention_asc: this.#unitAttention.asc,
        unit_attention_ascq: this.#unitAttention.ascq,
        sense_is_ua: this.#senseIsUa,
        sense: sense.slice(0, longSenseAt),
        sense_len: this.#senseLength,
        requests: [...this.#arrived, ...Array.from(this.#requests, (held) => carried(held, this.address.lun))],
        longSense: { sense: sense.slice(longSenseAt) },
      },
      media_changed: false,
      media_event: false,
      eject_request: false,
      tray_open: false,
      tray_locked: false,
    };
  }

  load({ qdev }: ScsiDiskState): void {
    this.#holding = true;
    const { unit_attention_key: key, unit_attention_asc: asc, unit_attention_ascq: ascq } = qdev;
    this.#unitAttention = { key, asc, ascq };
    this.#senseIsUa = qdev.sense_is_ua;
    this.#senseLength = qdev.sense_len;
    this.#senseBytes.set(qdev.sense);
    this.#senseBytes.set(qdev.longSense.sense, longSenseAt);
    this.#sense = {
      key: (qdev.sense[2] as number) & 15,
      asc: qdev.sense[12] as number,
      ascq: qdev.sense[13] as number,
    };
    this.#requests = new Set();
    this.#arrived = qdev.requests;
  }

  #currentSense(): Uint8Array {
    return this.#senseBytes;
  }

  #keepSense(sense: Sense, isUnitAttention: boolean): Uint8Array {
    const bytes = senseBytesOf(sense);
    this.#sense = sense;
    this.#senseBytes.fill(0);
    this.#senseBytes.set(bytes);
    this.#senseLength = bytes.length;
    this.#senseIsUa = isUnitAttention;
    return bytes;
  }

  #forgetSense(): void {
    this.#sense = noSense;
    this.#senseBytes.fill(0);
    this.#senseLength = 0;
    this.#senseIsUa = false;
  }

  #begin(held: Held): void {
    const [code] = held.cdb;
    const attention = this.#unitAttention;
    // These two are answered all the same, and leave the attention for the next command (SAM-5, section 5.14).
    const passes = code === opcode.INQUIRY || code === opcode.REPORT_LUNS;
    if (attention.key !== 0 && !passes) {
      this.#unitAttention = noSense;
      if (code !== opcode.REQUEST_SENSE) {
        this.#finish(held, { status: scsiStatus.CHECK_CONDITION, sense: this.#keepSense(attention, true) });
        return;
      }
      this.#keepSense(attention, true);
    }
    const command = blockCommand(held.cdb);
    if (command !== undefined) this.#move(held, command);
    else this.#control(held);
  }

  #control(held: Held): void {
    const answer = answerCommand(this.identity, held.cdb, this.#sense);
    if (answer === "flush") {
      this.#work(held, senseOf.mediumWrite, () => this.backend.flush());
      return;
    }
    if ("sense" in answer) {
      this.#fail(held, answer.sense);
      return;
    }
    if (held.cdb[0] === opcode.REQUEST_SENSE) this.#forgetSense();
    const data = answer.data.subarray(0, held.inBytes);
    this.#finish(held, { data, residual: held.inBytes - data.length });
  }

  #move(held: Held, { write, block, count }: BlockCommand): void {
    const bytes = count * sectorBytes;
    if (block + count > this.identity.sectors) {
      this.#fail(held, senseOf.outOfRange);
    } else if (bytes > (write ? held.out.length : held.inBytes) || bytes > maxRequestBytes) {
      this.#fail(held, senseOf.invalidField);
    } else if (write && this.identity.readOnly) {
      this.#fail(held, senseOf.writeProtected);
    } else if (write) {
      const data = held.out.slice(0, bytes);
      this.#work(held, senseOf.mediumWrite, () => this.backend.write(block, data), {
        residual: held.out.length - bytes,
      });
    } else {
      const data = new Uint8Array(bytes);
      this.#work(held, senseOf.mediumRead, () => this.backend.read(block, data), {
        data,
        residual: held.inBytes - bytes,
      });
    }
  }

  #work(held: Held, wrong: Sense, start: () => unknown, good: Answer = {}): void {
    held.started = true;
    const settle = (outcome: unknown): void => {
      if (outcome !== "retry") this.#finish(held, good);
      else held.started = false;
    };
    const failed = (error: unknown): void => {
      this.#host?.onError(error);
      this.#fail(held, wrong);
    };
    try {
      const outcome = start();
      if (!(outcome instanceof Promise)) {
        settle(outcome);
        return;
      }
      const generation = this.#requests;
      // What a reset or a load has let go of is nobody's any more.
      const current = (then: (value: unknown) => void) => (value: unknown) => {
        if (generation === this.#requests) then(value);
      };
      const done: Promise<void> = outcome
        .then(current(settle), current(failed))
        .finally(() => this.#underWay.delete(done));
      this.#underWay.add(done);
    } catch (error) {
      failed(error);
    }
  }

  #fail(held: Held, sense: Sense): void {
    this.#finish(held, { status: scsiStatus.CHECK_CONDITION, sense: this.#keepSense(sense, false) });
  }

  #finish(held: Held, answer: Answer): void {
    if (this.#requests.delete(held)) this.#host?.answer(held, answer);
  }
}

function carried({ queue, element, tag, cdb }: Held, lun: number): CarriedScsiRequest {
  const command = blockCommand(cdb);
  return {
    retry: true,
    cdb,
    tag,
    lun,
    queue,
    element,
    sector: BigInt(command?.block ?? 0),
    sector_count: command?.count ?? 0,
    // The command begins anew, and takes what it writes from the guest's memory again.
    buflen: 0,
    data_len: 0,
    data: new Uint8Array(0),
  };
}

function checkText(what: string, text: string, most: number): void {
  if (text.length <= most && /^[\x20-\x7e]*$/.test(text)) return;
  throw refused(what, `up to ${most} ASCII characters`, text);
}

function refused(what: string, expected: string, found: unknown): MigrationError {
  return new MigrationError("DEFINITION_INVALID", `a SCSI disk's ${what} cannot be`, {
    expected,
    found: String(found),
  });
}

// scsiDiskUnit(): a logical unit over a back end. It keeps the requests that it has taken until they are answered.
import { MigrationError } from "@godwit/core";
import type { VirtqueueElement } from "@godwit/virtio-core";
import type { ScsiBackend } from "./backend.ts";
import { type BlockCommand, blockCommand, transferOf } from "./cdb.ts";
import { answerCommand, type DiskIdentity } from "./commands.ts";
import { maxRequestBytes, opcode, response, scsiStatus, sectorBytes } from "./constants.ts";
import type { ScsiDiskState } from "./disk-state.ts";
import { senseBytes } from "./disk-state.ts";
import type { Answer, UnitAddress } from "./request.ts";
import type { CarriedScsiRequest } from "./requests-field.ts";
import { fixedFormat, noSense, type Sense, senseBytesOf, senseIn, senseOf } from "./sense.ts";
import { reportLuns } from "./target.ts";

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
  readonly id: bigint;
  readonly cdb: Uint8Array;
  readonly inBytes: number;
  readonly outBytes: number;
}

/** What a unit asks of its host adapter. */
export interface UnitHost {
  /** False: the device is broken, and nothing is begun. */
  readonly live: boolean;
  /** A request that came with the unit's state, as its chain has it; undefined where that cannot be. */
  adopt(request: CarriedScsiRequest): UnitRequest | undefined;
  /** What the driver sends along; fewer bytes where memory does not answer. */
  read(request: UnitRequest, bytes: number): Uint8Array;
  answer(request: UnitRequest, answer: Answer): void;
  /** Interrupts once for all that `work` answers. */
  batch(work: () => void): void;
  /** The last of the requests that were cancelled is over. */
  cancelled(): void;
  /** LUNs of the unit's target. */
  luns(target: number): readonly number[];
  onError(error: unknown): void;
}

interface Held extends UnitRequest {
  /** The back end has it. */
  started: boolean;
  /** Task management has given it up: the response that says so. It is over when the back end is done with it. */
  cancelledBy?: number;
}

const longSenseAt = 96;

export class ScsiDiskUnit {
  readonly address: UnitAddress;
  readonly identity: DiskIdentity;
  readonly backend: ScsiBackend;
  #host: UnitHost | undefined;
  #unitAttention: Sense = senseOf.reset;
  #sense: Sense = noSense;
  /** Whole sense data; what a load brought may be in a form of another's. */
  #senseBytes = new Uint8Array(senseBytes);
  #senseLength = 0;
  #senseIsUa = false;
  /** In the order in which they were taken. Replaced as a whole where the past no longer counts: reset and load. */
  #requests = new Set<Held>();
  /** Came with a load, and waits for the machine to run on. */
  #arrived: readonly CarriedScsiRequest[] = [];
  readonly #underWay = new Set<Promise<void>>();
  /** Requests of the past that the back end still has: a later one must not overtake them. */
  #past: Promise<void> | undefined;
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
    this.identity = {
      get sectors() {
        return Math.floor(backend.sizeBytes / sectorBytes);
      },
      readOnly,
      serial,
      vendor,
      product,
    };
    this.backend = backend;
  }

  attach(host: UnitHost): void {
    this.#host = host;
  }

  get inFlight(): number {
    return this.#arrived.length + this.#requests.size;
  }

  /** What the unit's requests have taken of their rings. */
  taken(): readonly { readonly queue: number; readonly element: VirtqueueElement }[] {
    return [...this.#arrived, ...this.#requests];
  }

  /** The entries of rings that the unit's requests have: queue and head of each. */
  heads(): { readonly queue: number; readonly index: number }[] {
    return this.taken().map(({ queue, element }) => ({ queue, index: element.index }));
  }

  submit(request: UnitRequest): void {
    const wrong = formOf(request);
    if (wrong !== undefined) {
      this.#host?.answer(request, { response: wrong });
      return;
    }
    const held: Held = { ...request, started: false };
    this.#requests.add(held);
    if (!this.#holding && this.#past === undefined) this.#begin(held);
  }

  /** Gives up requests that are not answered: `id` alone, or all. Each is answered with `by` when it is over. */
  cancel(by: number, id?: bigint): void {
    for (const held of [...this.#requests]) {
      if (id !== undefined && held.id !== id) continue;
      if (held.started) held.cancelledBy ??= by;
      else this.#finish(held, { response: by });
    }
  }

  /** Some of what was given up is still at the back end. */
  get cancelling(): boolean {
    return [...this.#requests].some(({ cancelledBy }) => cancelledBy !== undefined);
  }

  has(id: bigint): boolean {
    return [...this.#requests].some((held) => held.id === id);
  }

  /** As after power-on: a unit attention tells the driver so. */
  reset(): void {
    this.#forget();
    this.#forgetSense();
    this.#unitAttention = senseOf.reset;
  }

  resetByDriver(): void {
    this.cancel(response.RESET);
    this.#forgetSense();
    this.#unitAttention = senseOf.reset;
  }

  /** Tells the driver with its next command, unless there is something older to tell. */
  attention(sense: Sense): void {
    if (this.#unitAttention.key === 0) this.#unitAttention = sense;
  }

  /** The driver has reset a queue: what was taken from it is not answered. */
  resetQueue(queue: number): void {
    const gone = [...this.#requests].filter((held) => held.queue === queue);
    for (const held of gone) this.#requests.delete(held);
    if (gone.some(({ started }) => started)) this.#outlive();
  }

  hold(): void {
    this.#holding = true;
  }

  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  /** Takes up what arrived; false where it cannot be. Nothing is begun yet. */
  adopt(): boolean {
    const arrived = this.#arrived;
    this.#arrived = [];
    for (const one of arrived) {
      const request = this.#host?.adopt(one);
      if (request === undefined) return false;
      const wrong = formOf(request);
      if (wrong === undefined) this.#requests.add({ ...request, started: false });
      else this.#host?.answer(request, { response: wrong });
    }
    return true;
  }

  /** Begins what is not begun: the machine runs on. */
  resume(): void {
    this.#holding = false;
    this.#beginAll();
  }

  save(): ScsiDiskState {
    const sense = this.#senseBytes;
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
    this.#forget();
    this.#holding = true;
    const { unit_attention_key: key, unit_attention_asc: asc, unit_attention_ascq: ascq } = qdev;
    this.#unitAttention = { key, asc, ascq };
    this.#senseIsUa = qdev.sense_is_ua;
    this.#senseLength = qdev.sense_len;
    this.#senseBytes.set(qdev.sense);
    this.#senseBytes.set(qdev.longSense.sense, longSenseAt);
    this.#sense = qdev.sense_len === 0 ? noSense : senseIn(this.#senseBytes);
    this.#arrived = qdev.requests;
  }

  /** Lets go of every request. What the back end still has may take effect; nothing new starts before that is over. */
  #forget(): void {
    this.#arrived = [];
    this.#requests = new Set();
    this.#outlive();
  }

  #outlive(): void {
    if (this.#underWay.size === 0) return;
    const waited = Promise.all(this.#underWay).then(() => {
      if (this.#past !== waited) return;
      this.#past = undefined;
      this.#beginAll();
    });
    this.#past = waited;
  }

  #beginAll(): void {
    if (this.#holding || this.#past !== undefined || this.#host?.live !== true) return;
    this.#host.batch(() => {
      for (const held of [...this.#requests]) if (!held.started) this.#begin(held);
    });
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
    // QEMU's image of no sense has the code of the fixed format all the same.
    this.#senseBytes.fill(0);
    this.#senseBytes[0] = fixedFormat;
    this.#senseLength = 0;
    this.#senseIsUa = false;
  }

  #begin(held: Held): void {
    const [code] = held.cdb;
    const attention = this.#unitAttention;
    // What a failed command left is kept for the next one only.
    if (code !== opcode.REQUEST_SENSE) this.#forgetSense();
    // These two are answered all the same, and leave the attention for the next command (SAM-5, section 5.14).
    const passes = code === opcode.INQUIRY || code === opcode.REPORT_LUNS;
    if (attention.key !== 0 && !passes) {
      this.#unitAttention = noSense;
      const sense = this.#keepSense(attention, true);
      if (code !== opcode.REQUEST_SENSE) {
        this.#finish(held, { status: scsiStatus.CHECK_CONDITION, sense, residual: held.inBytes + held.outBytes });
        return;
      }
    }
    const command = blockCommand(held.cdb);
    if (command !== undefined) this.#move(held, command);
    else this.#control(held);
  }

  #control(held: Held): void {
    const { cdb, inBytes } = held;
    const answer =
      cdb[0] === opcode.REPORT_LUNS
        ? reportLuns(this.#host?.luns(this.address.target) ?? [], cdb)
        : answerCommand(this.identity, cdb, this.#sense);
    if (answer === "flush") {
      this.#work(held, senseOf.mediumWrite, () => this.backend.flush(), { residual: held.outBytes });
      return;
    }
    if ("sense" in answer) {
      this.#fail(held, answer.sense);
      return;
    }
    if (cdb[0] === opcode.REQUEST_SENSE) this.#forgetSense();
    const data = answer.data.subarray(0, inBytes);
    this.#finish(held, { data, residual: inBytes - data.length + held.outBytes });
  }

  #move(held: Held, { write, block, count, durable, protection }: BlockCommand): void {
    const bytes = count * sectorBytes;
    if (block + BigInt(count) > BigInt(this.identity.sectors)) {
      this.#fail(held, senseOf.outOfRange);
    } else if (bytes > maxRequestBytes || protection !== 0) {
      this.#fail(held, senseOf.invalidField);
    } else if (write && this.identity.readOnly) {
      this.#fail(held, senseOf.writeProtected);
    } else if (write) {
      const data = this.#host?.read(held, bytes);
      // Memory that does not answer has broken the device.
      if (data?.length !== bytes) return;
      const start = (): unknown => this.backend.write(Number(block), data);
      this.#work(held, senseOf.mediumWrite, durable ? () => this.#flushed(start()) : start, {
        residual: held.outBytes - bytes,
      });
    } else {
      const data = new Uint8Array(bytes);
      this.#work(held, senseOf.mediumRead, () => this.backend.read(Number(block), data), {
        data,
        residual: held.inBytes - bytes,
      });
    }
  }

  /** What is retried is written and flushed anew. */
  #flushed(outcome: unknown): unknown {
    const flush = (value: unknown): unknown => (value === "retry" ? value : this.backend.flush());
    return outcome instanceof Promise ? outcome.then(flush) : flush(outcome);
  }

  #work(held: Held, wrong: Sense, start: () => unknown, good: Answer = {}): void {
    held.started = true;
    const settle = (outcome: unknown): void => {
      // A request that is no longer there was reset, or another state has been loaded.
      if (!this.#requests.has(held)) return;
      if (held.cancelledBy !== undefined) {
        this.#finish(held, { response: held.cancelledBy });
        if (!this.cancelling) this.#host?.cancelled();
      } else if (outcome === "retry") {
        held.started = false;
      } else if (outcome === failure) {
        this.#fail(held, wrong);
      } else {
        this.#finish(held, good);
      }
    };
    const failed = (error: unknown): typeof failure => {
      this.#host?.onError(error);
      return failure;
    };
    try {
      const outcome = start();
      if (!(outcome instanceof Promise)) {
        settle(outcome);
        return;
      }
      const done: Promise<void> = outcome.catch(failed).then((value) => {
        this.#underWay.delete(done);
        settle(value);
      });
      this.#underWay.add(done);
    } catch (error) {
      settle(failed(error));
    }
  }

  #fail(held: Held, sense: Sense): void {
    const residual = held.inBytes + held.outBytes;
    this.#finish(held, { status: scsiStatus.CHECK_CONDITION, sense: this.#keepSense(sense, false), residual });
  }

  #finish(held: Held, answer: Answer): void {
    if (this.#requests.delete(held)) this.#host?.answer(held, answer);
  }
}

const failure = Symbol("failure");

/** The response to a request whose buffers do not fit its command; QEMU, too, aborts at the load of such a one. */
function formOf({ cdb, inBytes, outBytes }: UnitRequest): number | undefined {
  // Data both ways needs a feature that is not offered.
  if (inBytes > 0 && outBytes > 0) return response.FAILURE;
  const transfer = transferOf(cdb);
  if (transfer === undefined) return undefined;
  const [room, other] = transfer.to === "initiator" ? [inBytes, outBytes] : [outBytes, inBytes];
  return transfer.bytes > room || other > 0 ? response.OVERRUN : undefined;
}

function carried({ queue, element, id, cdb }: Held, lun: number): CarriedScsiRequest {
  const command = blockCommand(cdb);
  return {
    retry: true,
    cdb,
    tag: Number(BigInt.asUintN(32, id)),
    lun,
    queue,
    element,
    sector: command?.block ?? 0n,
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

// Where a device leaves its notifications: indicator bits in guest memory, and the interruption that says so, classic or
// by adapter (virtio 1.2, section 4.3.3.2).
import { isMigrationError, MigrationError } from "@godwit/core";
import { type Dma, deviceAddress, isPageAbsent, noVector } from "@godwit/virtio-core";
import { classicIndicatorBytes, configVector } from "./constants.ts";
import type { IndicatorState, VirtioCcwConfigState } from "./descriptions.ts";

export interface IndicatorHost {
  readonly dma: Dma;
  /** Makes the subchannel pending with an alert, unless it is pending already. */
  alert(): void;
  adapterInterrupt(isc: number): void;
  /** The guest has pointed at no memory. */
  fail(reason: string): void;
}

/** What SET_IND_ADAPTER brings. */
export interface AdapterIndicators {
  readonly summary: bigint;
  readonly indicator: bigint;
  /** Of the device's first queue. */
  readonly bit: bigint;
  readonly isc: number;
}

type Saved = Pick<
  VirtioCcwConfigState,
  "indicators" | "indicators2" | "summary_indicator" | "config_vector" | "routes" | "thinint_isc"
>;

const none: Readonly<IndicatorState> = Object.freeze({ len: 0, addr: 0n });
// The summary is one byte, and its lowest bit is the one.
const summaryBit = 7;

export class Indicators {
  readonly vectors: Uint16Array;
  /** Queues by adapter interruptions; else by the subchannel's own. */
  adapter = false;
  #queues: IndicatorState = none;
  #config: IndicatorState = none;
  #summary: IndicatorState = none;
  #summaryOffset = 0;
  #firstBit = 0n;
  #isc = 0;
  #configVector: number = noVector;
  readonly #host: IndicatorHost;
  /** Notifications whose indicators have not come (post-copy), in their order. */
  #deferred: (() => void)[] = [];

  constructor(host: IndicatorHost, queues: number) {
    this.#host = host;
    this.vectors = new Uint16Array(queues).fill(noVector);
  }

  reset(): void {
    this.#deferred = [];
    this.vectors.fill(noVector);
    this.adapter = false;
    this.#queues = none;
    this.#config = none;
    this.#summary = none;
    this.#summaryOffset = 0;
    this.#firstBit = 0n;
    this.#isc = 0;
    this.#configVector = noVector;
  }

  /** A queue's vector is its index. */
  setQueue(index: number, ready: boolean): void {
    this.vectors[index] = ready ? index : noVector;
  }

  setClassic(address: bigint): undefined | "reject" {
    if (this.adapter) return "reject";
    this.#queues = { len: classicIndicatorBytes, addr: address };
    return undefined;
  }

  setConfig(address: bigint): undefined {
    this.#config = { len: classicIndicatorBytes, addr: address };
    this.#configVector = address === 0n ? noVector : configVector;
  }

  /** From here to a reset the device interrupts by adapter, even where the driver has taken the addresses back. */
  setAdapter({ summary, indicator, bit, isc }: AdapterIndicators): undefined | "reject" {
    const classic = !this.adapter && isSet(this.#queues);
    if (classic || isc > 7 || bit >> 3n >= maxAdapterBytes) return "reject";
    this.adapter = true;
    this.#queues = { len: Number(bit >> 3n) + 1, addr: indicator };
    this.#summary = { len: 1, addr: summary };
    this.#summaryOffset = summaryBit;
    this.#firstBit = bit;
    this.#isc = isc;
    return undefined;
  }

  notifyQueue(index: number): void {
    const vector = this.vectors[index] ?? noVector;
    if (vector === noVector || !isSet(this.#queues)) return;
    this.#guarded(() => {
      if (this.adapter) this.#notifyByAdapter(vector);
      else if (vector < 8 * classicIndicatorBytes) this.#notifyClassic(this.#queues, vector);
    });
  }

  notifyConfig(): void {
    if (this.#configVector === noVector || !isSet(this.#config)) return;
    this.#guarded(() => this.#notifyClassic(this.#config, 0));
  }

  /** After a load: an interruption whose summary the guest has not taken back may not have reached it. */
  resumed(): void {
    if (!this.adapter || !isSet(this.#summary)) return;
    this.#guarded(() => {
      const { address, mask } = this.#summaryAt();
      if (((this.#host.dma.read(address, 1)[0] as number) & mask) !== 0) this.#host.adapterInterrupt(this.#isc);
    });
  }

  save(): Saved {
    return {
      indicators: { ...this.#queues },
      indicators2: { ...this.#config },
      summary_indicator: { ...this.#summary },
      config_vector: this.#configVector,
      routes: {
        adapter: { ind_offset: this.#firstBit, summary_offset: { summary_offset: this.#summaryOffset } },
      },
      thinint_isc: this.#isc,
    };
  }

  load(state: Saved, adapter: boolean): void {
    this.#deferred = [];
    this.adapter = adapter;
    this.#queues = { ...state.indicators };
    this.#config = { ...state.indicators2 };
    this.#summary = { ...state.summary_indicator };
    this.#configVector = state.config_vector;
    this.#firstBit = state.routes.adapter.ind_offset;
    this.#summaryOffset = state.routes.adapter.summary_offset.summary_offset;
    this.#isc = state.thinint_isc;
    this.vectors.fill(noVector);
  }

  /** A bit of a doubleword, counted from its least significant; then the subchannel's interruption. */
  #notifyClassic(at: IndicatorState, bit: number): void {
    // A deferred one may find that the driver has taken them back.
    if (!isSet(at)) return;
    // Bit 0 is in the last byte.
    this.#set(deviceAddress(at.addr) + classicIndicatorBytes - 1 - (bit >> 3), 1 << (bit & 7));
    this.#host.alert();
  }

  /** A bit of a bit field, counted from the most significant; then the summary, and an interruption if that was not set. */
  #notifyByAdapter(vector: number): void {
    if (!isSet(this.#queues)) return;
    const bit = this.#firstBit + BigInt(vector);
    // Both are there, or neither is set.
    if (isSet(this.#summary)) this.#host.dma.read(this.#summaryAt().address, 1);
    this.#set(deviceAddress(this.#queues.addr + (bit >> 3n)), 0x80 >> Number(bit & 7n));
    if (!isSet(this.#summary)) return;
    const { address, mask } = this.#summaryAt();
    if (!this.#set(address, mask)) this.#host.adapterInterrupt(this.#isc);
  }

  #summaryAt(): { address: number; mask: number } {
    const bit = this.#summaryOffset;
    return { address: deviceAddress(this.#summary.addr) + (bit >>> 3), mask: 0x80 >> (bit & 7) };
  }

  /** Sets bits of a byte; true where all of them were. */
  #set(address: number, mask: number): boolean {
    const { dma } = this.#host;
    const before = dma.read(address, 1)[0] as number;
    dma.write(address, Uint8Array.of(before | mask));
    return (before & mask) === mask;
  }

  /** The device has notified, and goes on; what it has to leave in memory is left when the memory is there. */
  #defer(first: () => void, present: Promise<void>): void {
    const deferred = [first];
    this.#deferred = deferred;
    const goOn = (): void => {
      if (this.#deferred !== deferred) return;
      this.#deferred = [];
      for (const work of deferred) this.#guarded(work);
    };
    // Where the page never comes, nobody is left to be told.
    present.then(goOn, () => {});
  }

  #guarded(work: () => void): void {
    if (this.#deferred.length > 0) {
      this.#deferred.push(work);
      return;
    }
    try {
      work();
    } catch (error) {
      const { postcopy } = this.#host.dma;
      if (postcopy !== undefined && isPageAbsent(error)) {
        this.#defer(work, postcopy.whenPresent(error));
        return;
      }
      if (!isMigrationError(error)) throw error;
      this.#host.fail(`its indicators: ${error.detail}`);
    }
  }
}

/** A driver takes its indicators back by an address of 0. */
function isSet({ len, addr }: IndicatorState): boolean {
  return len > 0 && addr !== 0n;
}

/** `DEVICE_CHECK` where indicators came that cannot be. Paths begin at the section. */
export function checkIndicators(state: VirtioCcwConfigState, vectors: readonly number[]): void {
  const adapter = state.parent_obj.sch.thinint_active;
  checkIndicator(state.indicators, "indicators", adapter ? maxAdapterBytes : classicIndicatorBytes);
  checkIndicator(state.indicators2, "indicators2", classicIndicatorBytes);
  checkIndicator(state.summary_indicator, "summary_indicator", 1);
  if (adapter) {
    for (const name of ["indicators", "summary_indicator"] as const) {
      if (state[name].len === 0)
        throw refused(`transport.${name}.len`, "an address, as adapter interruptions are on", "0");
    }
  }
  if (state.thinint_isc > 7) throw refused("transport.thinint_isc", "0 to 7", state.thinint_isc);
  if (state.config_vector !== noVector && state.config_vector !== configVector) {
    throw refused("transport.config_vector", `${configVector} or 0xffff`, state.config_vector);
  }
  vectors.forEach((vector, i) => {
    if (vector === noVector || vector < vectors.length) return;
    throw refused(`vqs[${i}].transport.vector`, `below ${vectors.length}, or 0xffff`, vector);
  });
}

/** A page of bits is more than any guest shares between its devices. */
const maxAdapterBytes = 4096;

function checkIndicator({ len }: IndicatorState, name: string, most: number): void {
  if (len >= 0 && len <= most) return;
  throw refused(`transport.${name}.len`, `0 to ${most}`, len);
}

function refused(path: string, expected: string, found: number | string): MigrationError {
  return new MigrationError("DEVICE_CHECK", "the subchannel's notifications cannot be", {
    path,
    expected,
    found: String(found),
  });
}

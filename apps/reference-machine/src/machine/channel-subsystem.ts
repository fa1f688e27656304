// The channel subsystem: registers that stand for z/Architecture's I/O instructions, which the hart does not have, and
// the interruptions that wait for the guest. Opcodes, condition codes and structures are the architecture's.
import { isMigrationError } from "@godwit/core";
import type { GuestMemory } from "@godwit/ram-dirty-tracker";
import type { IoInterruption, Outcome, Subchannel } from "@godwit/virtio-ccw";
import {
  CHANNEL_INSTRUCTION,
  CHANNEL_NOTIFY,
  CHANNEL_OPERAND,
  CHANNEL_OUTCOME,
  CHANNEL_SUBCLASSES,
  CHANNEL_SUBSYSTEM_ID,
} from "../memory-map.ts";
import type { ChannelReports } from "./channel-reports.ts";
import type { ChannelIoState } from "./channel-section.ts";
import type { Region } from "./system-bus.ts";

/** z/Architecture Principles of Operation, chapter 14. */
export const opcode = {
  clear: 0xb230,
  halt: 0xb231,
  modify: 0xb232,
  start: 0xb233,
  store: 0xb234,
  test: 0xb235,
  testPendingInterruption: 0xb236,
  resume: 0xb238,
  storeChannelReport: 0xb239,
  resetChannelPath: 0xb23b,
} as const;

const operandException = 4;
const addressingException = 5;
/** Bit 15 of a subsystem-identification word, which is always 1; the rest of the half is 0: the default image and set. */
const subsystemIdHigh = 0x0001_0000;
const adapterInterruption = 0x8000_0000;
const subclasses = 8;

interface ChannelSubsystemInit {
  readonly memory: GuestMemory;
  readonly reports: ChannelReports;
  /** An interruption that is let through has become pending. */
  readonly interrupt: () => void;
}

export class ChannelSubsystem implements Region {
  readonly reports: ChannelReports;
  readonly #init: ChannelSubsystemInit;
  readonly #subchannels: Subchannel[] = [];
  /** By subchannel: each has one interruption at most. */
  readonly #pending = new Map<number, IoInterruption>();
  /** 0x80 >> subclass. */
  #adapters = 0;
  #subclasses = 0;
  #subsystemId = 0;
  #operand = 0;
  #outcome = 0;

  constructor(init: ChannelSubsystemInit) {
    this.#init = init;
    this.reports = init.reports;
  }

  add(subchannel: Subchannel): void {
    this.#subchannels.push(subchannel);
  }

  ioInterrupt(interruption: IoInterruption): void {
    const known = this.#pending.has(interruption.schid);
    this.#pending.set(interruption.schid, interruption);
    if (!known) this.#announce(bitOf(interruption.isc));
  }

  adapterInterrupt(isc: number): void {
    const known = (this.#adapters & bitOf(isc)) !== 0;
    this.#adapters |= bitOf(isc);
    if (!known) this.#announce(bitOf(isc));
  }

  read(offset: number, size: number): number | undefined {
    if (size !== 4) return undefined;
    switch (offset) {
      case CHANNEL_SUBSYSTEM_ID:
        return this.#subsystemId;
      case CHANNEL_OPERAND:
        return this.#operand;
      case CHANNEL_OUTCOME:
        return this.#outcome;
      case CHANNEL_SUBCLASSES:
        return this.#subclasses;
      default:
        return undefined;
    }
  }

  write(offset: number, size: number, value: number): boolean {
    if (size !== 4) return false;
    switch (offset) {
      case CHANNEL_SUBSYSTEM_ID:
        this.#subsystemId = value >>> 0;
        return true;
      case CHANNEL_OPERAND:
        this.#operand = value >>> 0;
        return true;
      case CHANNEL_SUBCLASSES: {
        const more = value & 0xff & ~this.#subclasses;
        this.#subclasses = value & 0xff;
        if ((this.#waiting & more) !== 0) this.#init.interrupt();
        return true;
      }
      case CHANNEL_INSTRUCTION:
        this.#outcome = this.#carryOut(value & 0xffff);
        return true;
      case CHANNEL_NOTIFY:
        this.#outcome = this.#subchannel?.kick(value >>> 0) === true ? 0 : 3;
        return true;
      default:
        return false;
    }
  }

  reset(): void {
    this.load({ subsystem_id: 0, operand: 0, outcome: 0, subclasses: 0, adapters: 0, pending_count: 0, pending: [] });
  }

  save(): ChannelIoState {
    const pending = [...this.#pending.values()].map(({ schid, intparm, isc }) => ({ schid, intparm, isc }));
    return {
      subsystem_id: this.#subsystemId,
      operand: this.#operand,
      outcome: this.#outcome,
      subclasses: this.#subclasses,
      adapters: this.#adapters,
      pending_count: pending.length,
      pending,
    };
  }

  load(state: ChannelIoState): void {
    this.#subsystemId = state.subsystem_id;
    this.#operand = state.operand;
    this.#outcome = state.outcome;
    this.#subclasses = state.subclasses;
    this.#adapters = state.adapters;
    this.#pending.clear();
    for (const one of state.pending) this.#pending.set(one.schid, { cssid: 0, ssid: 0, ...one });
  }

  get #subchannel(): Subchannel | undefined {
    // Looked up each time: a load may give a subchannel another number.
    return this.#subchannels.find(({ schid }) => subsystemIdHigh + schid === this.#subsystemId);
  }

  get #waiting(): number {
    return [...this.#pending.values()].reduce((bits, { isc }) => bits | bitOf(isc), this.#adapters);
  }

  #announce(bit: number): void {
    if ((this.#subclasses & bit) !== 0) this.#init.interrupt();
  }

  #carryOut(code: number): number {
    try {
      const outcome = this.#instruction(code);
      return outcome === "operand" ? operandException : outcome;
    } catch (error) {
      if (isMigrationError(error) && error.code === "MEMORY_UNMAPPED") return addressingException;
      throw error;
    }
  }

  #instruction(code: number): Outcome {
    switch (code) {
      case opcode.testPendingInterruption:
        return this.#testPendingInterruption();
      case opcode.storeChannelReport:
        return this.#storeChannelReport();
      case opcode.resetChannelPath:
        return this.reports.resetPath(this.#subsystemId);
      default:
        return this.#onSubchannel(code);
    }
  }

  #onSubchannel(code: number): Outcome {
    const at = this.#subchannel;
    if (this.#subsystemId >>> 16 !== subsystemIdHigh >>> 16) return "operand";
    if (at === undefined) return 3;
    switch (code) {
      case opcode.start:
        return at.startSubchannel(this.#operand);
      case opcode.test:
        return this.#test(at);
      case opcode.store:
        return at.storeSubchannel(this.#operand);
      case opcode.modify:
        return at.modifySubchannel(this.#operand);
      case opcode.halt:
        return at.haltSubchannel();
      case opcode.clear:
        return at.clearSubchannel();
      case opcode.resume:
        return at.resumeSubchannel();
      default:
        return "operand";
    }
  }

  /** With the status goes the interruption that would have told of it. */
  #test(at: Subchannel): Outcome {
    const outcome = at.testSubchannel(this.#operand);
    if (outcome === 0) this.#pending.delete(at.schid);
    return outcome;
  }

  /** Of those that are let through, the lowest subclass first: identification, parameter, interruption word. */
  #testPendingInterruption(): Outcome {
    for (let isc = 0; isc < subclasses; isc++) {
      if ((this.#subclasses & bitOf(isc)) === 0) continue;
      const io = [...this.#pending.values()].find((one) => one.isc === isc);
      if (io === undefined && (this.#adapters & bitOf(isc)) === 0) continue;
      const adapter = io === undefined;
      this.#store(
        adapter
          ? [0, 0, (adapterInterruption | (isc << 27)) >>> 0]
          : [subsystemIdHigh + io.schid, io.intparm, isc << 27],
      );
      if (adapter) this.#adapters &= ~bitOf(isc);
      else this.#pending.delete(io.schid);
      return 1;
    }
    return 0;
  }

  #storeChannelReport(): Outcome {
    const word = this.reports.next;
    this.#store([word ?? 0]);
    this.reports.taken();
    return word === undefined ? 1 : 0;
  }

  #store(words: readonly number[]): void {
    const bytes = new Uint8Array(4 * words.length);
    const view = new DataView(bytes.buffer);
    words.forEach((word, i) => {
      view.setUint32(4 * i, word);
    });
    this.#init.memory.write(this.#operand, bytes);
  }
}

function bitOf(isc: number): number {
  return 0x80 >> isc;
}

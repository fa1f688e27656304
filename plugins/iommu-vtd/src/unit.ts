// The unit: what it does when its guest writes a register, and when a device behind it accesses memory.
import { type CapabilityChoice, writeCapability } from "./capability.ts";
import { csrBytes, type VtdState } from "./description.ts";
import type { GuestMemory } from "./dma.ts";
import { EventMessage, type SignalMsi } from "./events.ts";
import { TranslationFault } from "./fault.ts";
import { raiseFaultStatus, recordFault, settleFaultStatus } from "./fault-status.ts";
import { contextCommand, iotlbCommand } from "./invalidation.ts";
import { ContextCache, Iotlb } from "./iotlb.ts";
import { enableQueue, type QueueUnit, runQueue } from "./queue.ts";
import { faultStatus, global, RegisterFile, register, WAIT_COMPLETE } from "./registers.ts";
import { cachedTranslator, type Translation, type Translator } from "./translate.ts";

/** Since the unit was made; a load empties the caches and leaves the counts. */
export interface IommuStatistics {
  /** Accesses whose page was in the IOTLB, and that were not. */
  readonly hits: number;
  readonly misses: number;
  /** Walks of page tables. */
  readonly walks: number;
  /** Accesses that did not translate. */
  readonly faults: number;
  /** What the caches hold now. */
  readonly iotlbEntries: number;
  readonly contextEntries: number;
}

export class Unit {
  state: VtdState;
  #registers: RegisterFile;
  #translator: Translator;
  readonly #choice: CapabilityChoice;
  readonly #memory: GuestMemory;
  readonly #contexts = new ContextCache();
  readonly #iotlb = new Iotlb();
  readonly #counts = { hits: 0, misses: 0, walks: 0 };
  #faults = 0;
  readonly #faultEvent: EventMessage;
  readonly #waitEvent: EventMessage;

  constructor(choice: CapabilityChoice, memory: GuestMemory, signalMsi: SignalMsi | undefined) {
    this.#choice = choice;
    this.#memory = memory;
    this.#faultEvent = new EventMessage(register.FECTL, signalMsi);
    this.#waitEvent = new EventMessage(register.IECTL, signalMsi);
    this.state = freshState(choice);
    this.#registers = new RegisterFile(this.state.csr);
    this.#translator = this.#translate();
  }

  reset(): void {
    this.load(freshState(this.#choice));
  }

  load(state: VtdState): void {
    this.state = state;
    this.#registers = new RegisterFile(state.csr);
    this.#translator = this.#translate();
    this.#emptyCaches();
  }

  translate(sourceId: number, iova: number, write: boolean): Translation {
    try {
      return this.#translator.translate(sourceId, iova, write);
    } catch (error) {
      if (error instanceof TranslationFault) {
        this.#faults++;
        recordFault(this.state, this.#registers, this.#faultEvent, error);
      }
      throw error;
    }
  }

  readRegister(offset: number, size: number): number {
    if (size !== 4 || offset % 4 !== 0) return 2 ** (8 * size) - 1;
    return offset >= 0 && offset < csrBytes ? this.#registers.get(offset) : 0;
  }

  writeRegister(offset: number, size: number, value: number): void {
    if (size !== 4 || offset % 4 !== 0 || offset < 0 || offset >= csrBytes) return;
    const registers = this.#registers;
    registers.write(offset, value);
    switch (offset) {
      case register.GCMD:
        this.#globalCommand(value);
        break;
      case register.CCMD + 4:
        contextCommand(registers, this.#contexts, !this.state.qi_enabled);
        break;
      case register.IOTLB + 4:
        iotlbCommand(registers, this.#iotlb, !this.state.qi_enabled);
        break;
      case register.IQT:
        this.state.iq_tail = registers.get(register.IQT) / 16;
        runQueue(this.#queue());
        break;
      case register.FSTS:
        settleFaultStatus(registers, this.#faultEvent);
        runQueue(this.#queue());
        break;
      case register.FRCD + 12:
        settleFaultStatus(registers, this.#faultEvent);
        break;
      case register.FECTL:
        this.#faultEvent.deliver(registers);
        break;
      case register.ICS:
        if (!registers.has(register.ICS, WAIT_COMPLETE)) this.#waitEvent.withdraw(registers);
        break;
      case register.IECTL:
        this.#waitEvent.deliver(registers);
        break;
    }
  }

  statistics(): IommuStatistics {
    return {
      ...this.#counts,
      faults: this.#faults,
      iotlbEntries: this.#iotlb.entries,
      contextEntries: this.#contexts.entries,
    };
  }

  /** GCMD: SRTP happens once; TE and QIE are levels, which GSTS follows. */
  #globalCommand(value: number): void {
    const { state } = this;
    const registers = this.#registers;
    if ((value & global.ROOT_POINTER) !== 0) {
      state.root = BigInt(registers.pageAddress(register.RTADDR));
      registers.raise(register.GSTS, global.ROOT_POINTER);
      this.#emptyCaches();
    }
    const queue = (value & global.QUEUED_INVALIDATION) !== 0;
    if (queue !== state.qi_enabled && enableQueue(this.#queue(), queue)) {
      registers[queue ? "raise" : "lower"](register.GSTS, global.QUEUED_INVALIDATION);
      runQueue(this.#queue());
    }
    const translation = (value & global.TRANSLATION) !== 0;
    if (translation !== state.dmar_enabled) {
      state.dmar_enabled = translation;
      registers[translation ? "raise" : "lower"](register.GSTS, global.TRANSLATION);
      this.#emptyCaches();
    }
  }

  #queue(): QueueUnit {
    const registers = this.#registers;
    return {
      state: this.state,
      registers,
      memory: this.#memory,
      contexts: this.#contexts,
      iotlb: this.#iotlb,
      onError: () => raiseFaultStatus(registers, this.#faultEvent, faultStatus.QUEUE_ERROR),
      onWaitComplete: () => {
        // One interrupt until the guest has seen it.
        if (registers.has(register.ICS, WAIT_COMPLETE)) return;
        registers.raise(register.ICS, WAIT_COMPLETE);
        this.#waitEvent.raise(registers);
      },
    };
  }

  #translate(): Translator {
    return cachedTranslator(this.state, this.#memory, {
      contexts: this.#contexts,
      iotlb: this.#iotlb,
      counts: this.#counts,
    });
  }

  #emptyCaches(): void {
    this.#contexts.clear();
    this.#iotlb.clear();
  }
}

/** The state after reset: nothing enabled, both event messages masked. */
function freshState(choice: CapabilityChoice): VtdState {
  const csr = new Uint8Array(csrBytes);
  const registers = new RegisterFile(csr);
  writeCapability(registers, choice);
  registers.set(register.FECTL, 0x8000_0000);
  registers.set(register.IECTL, 0x8000_0000);
  return {
    root: 0n,
    intr_root: 0n,
    iq: 0n,
    intr_size: 0,
    iq_head: 0,
    iq_tail: 0,
    iq_size: 0,
    next_frcd_reg: 0,
    csr,
    iq_last_desc_type: 0,
    dmar_enabled: false,
    qi_enabled: false,
    intr_enabled: false,
    intr_eime: false,
  };
}

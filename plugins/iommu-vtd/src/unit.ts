// The unit: what it does when its guest writes a register, and when a device behind it accesses memory.
import { isMigrationError } from "@godwit/core";
import { type CapabilityChoice, capabilityOf, writeCapability } from "./capability.ts";
import { csrBytes, type VtdState } from "./description.ts";
import type { InvalidateDeviceTlb } from "./descriptor.ts";
import type { AbsentMemory, GuestMemory } from "./dma.ts";
import { EventMessage, type SignalMsi } from "./events.ts";
import { type FaultRecord, InterruptFault, TranslationFault } from "./fault.ts";
import { raiseFaultStatus, recordFault, settleFaultStatus } from "./fault-status.ts";
import { InterruptEntryCache } from "./interrupt-cache.ts";
import { contextCommand, iotlbCommand } from "./invalidation.ts";
import { ContextCache, Iotlb } from "./iotlb.ts";
import { enableQueue, moveTail, type QueueUnit, runQueue } from "./queue.ts";
import { EXTENDED_DESTINATIONS, faultStatus, global, RegisterFile, register, WAIT_COMPLETE } from "./registers.ts";
import { type CompatibilityFormat, cachedRemapper, type InterruptRemapper, type RemappedInterrupt } from "./remap.ts";
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
  readonly interruptEntries: number;
  /** Interrupts that went through the interrupt-remapping table, and that were blocked. */
  readonly remapped: number;
  readonly blocked: number;
}

/** What a unit is made of, beside its capabilities. */
export interface UnitParts {
  readonly memory: GuestMemory;
  readonly postcopy: AbsentMemory | undefined;
  readonly signalMsi: SignalMsi | undefined;
  readonly invalidateDeviceTlb: InvalidateDeviceTlb | undefined;
  readonly compatibilityFormat: CompatibilityFormat;
}

export class Unit {
  state: VtdState;
  #registers: RegisterFile;
  #translator: Translator;
  #remapper: InterruptRemapper;
  readonly #choice: CapabilityChoice;
  readonly #parts: UnitParts;
  readonly #contexts = new ContextCache();
  readonly #iotlb = new Iotlb();
  readonly #counts = { hits: 0, misses: 0, walks: 0 };
  readonly #interruptEntries = new InterruptEntryCache();
  #faults = 0;
  #remapped = 0;
  #blocked = 0;
  readonly #faultEvent: EventMessage;
  readonly #waitEvent: EventMessage;

  constructor(choice: CapabilityChoice, parts: UnitParts) {
    this.#choice = choice;
    this.#parts = parts;
    this.#faultEvent = new EventMessage(register.FECTL, parts.signalMsi);
    this.#waitEvent = new EventMessage(register.IECTL, parts.signalMsi);
    this.state = freshState(choice);
    this.#registers = new RegisterFile(this.state.csr);
    this.#translator = this.#translate();
    this.#remapper = this.#remap();
  }

  reset(): void {
    this.load(freshState(this.#choice));
  }

  load(state: VtdState): void {
    this.state = state;
    this.#registers = new RegisterFile(state.csr);
    this.#translator = this.#translate();
    this.#remapper = this.#remap();
    this.#emptyCaches();
    this.#interruptEntries.clear();
  }

  translate(sourceId: number, iova: number, write: boolean): Translation {
    try {
      return this.#translator.translate(sourceId, iova, write);
    } catch (error) {
      if (error instanceof TranslationFault) {
        this.#faults++;
        this.#record(error.record);
      }
      throw error;
    }
  }

  /** As `translate`, for a look ahead: undefined where that would fault, and no fault is recorded. */
  probe(sourceId: number, iova: number, write: boolean): Translation | undefined {
    try {
      return this.#translator.translate(sourceId, iova, write);
    } catch (error) {
      if (isMigrationError(error) && error.code === "TRANSLATION_FAULT") return undefined;
      throw error;
    }
  }

  remap(sourceId: number, address: number, data: number): RemappedInterrupt {
    try {
      const interrupt = this.#remapper.remap(sourceId, address, data);
      if (interrupt.index !== undefined) this.#remapped++;
      return interrupt;
    } catch (error) {
      if (error instanceof InterruptFault) {
        this.#blocked++;
        this.#record(error.record);
      }
      throw error;
    }
  }

  /**
   * A device's interrupt: delivered as the guest's table says, or blocked, which the guest finds in a fault record. Where
   * the table has not come (post-copy) the message waits for it; a device has sent it and goes on.
   */
  signal(sourceId: number, address: number, data: number): void {
    let interrupt: RemappedInterrupt;
    try {
      interrupt = this.remap(sourceId, address, data);
    } catch (error) {
      if (error instanceof InterruptFault) return;
      const { postcopy } = this.#parts;
      if (!isMigrationError(error) || error.code !== "PAGE_ABSENT" || postcopy === undefined) throw error;
      const { state } = this;
      // A message does not outlive a reset or another state; nor is there anyone to tell where its page never comes.
      const again = (): void => {
        if (this.state === state) this.signal(sourceId, address, data);
      };
      postcopy.whenPresent(error).then(again, () => {});
      return;
    }
    this.#parts.signalMsi?.(interrupt.address, interrupt.data, interrupt.upperAddress);
  }

  #record(fault: FaultRecord): void {
    recordFault(this.state, this.#registers, this.#faultEvent, fault);
  }

  readRegister(offset: number, size: number): number {
    if (size !== 4 || offset % 4 !== 0) return 2 ** (8 * size) - 1;
    const readable = offset >= 0 && offset < csrBytes && offset !== register.GCMD;
    return readable ? this.#registers.get(offset) : 0;
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
        moveTail(this.#queue());
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
      interruptEntries: this.#interruptEntries.entries,
      remapped: this.#remapped,
      blocked: this.#blocked,
    };
  }

  /** GCMD: SRTP and SIRTP happen once; TE, QIE, IRE and CFI are levels, which GSTS follows. */
  #globalCommand(value: number): void {
    const { state } = this;
    const registers = this.#registers;
    if ((value & global.ROOT_POINTER) !== 0) {
      state.root = BigInt(registers.pageAddress(register.RTADDR));
      registers.raise(register.GSTS, global.ROOT_POINTER);
      this.#translator = this.#translate();
      this.#emptyCaches();
    }
    if ((value & global.INTERRUPT_POINTER) !== 0) setInterruptTable(state, registers);
    const queue = (value & global.QUEUED_INVALIDATION) !== 0;
    if (queue !== state.qi_enabled && enableQueue(this.#queue(), queue)) {
      registers[queue ? "raise" : "lower"](register.GSTS, global.QUEUED_INVALIDATION);
    }
    const translation = (value & global.TRANSLATION) !== 0;
    if (translation !== state.dmar_enabled) {
      state.dmar_enabled = translation;
      registers[translation ? "raise" : "lower"](register.GSTS, global.TRANSLATION);
      this.#emptyCaches();
    }
    if (this.#choice.intremap) this.#interruptCommand(value);
    // Last, and whether or not the queue was off before: where its memory has not come (`PAGE_ABSENT`), the CPU writes
    // the command again.
    runQueue(this.#queue());
  }

  #interruptCommand(value: number): void {
    const registers = this.#registers;
    const enabled = (value & global.INTERRUPT_REMAPPING) !== 0;
    this.state.intr_enabled = enabled;
    registers[enabled ? "raise" : "lower"](register.GSTS, global.INTERRUPT_REMAPPING);
    if (this.#parts.compatibilityFormat === "pass") return;
    const compatible = (value & global.COMPATIBILITY_FORMAT) !== 0;
    registers[compatible ? "raise" : "lower"](register.GSTS, global.COMPATIBILITY_FORMAT);
  }

  #queue(): QueueUnit {
    const registers = this.#registers;
    return {
      state: this.state,
      registers,
      capability: capabilityOf(registers),
      memory: this.#parts.memory,
      contexts: this.#contexts,
      iotlb: this.#iotlb,
      interruptEntries: this.#interruptEntries,
      invalidateDeviceTlb: this.#parts.invalidateDeviceTlb,
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
    return cachedTranslator(this.state, this.#parts.memory, {
      contexts: this.#contexts,
      iotlb: this.#iotlb,
      counts: this.#counts,
    });
  }

  #remap(): InterruptRemapper {
    const { memory, compatibilityFormat } = this.#parts;
    return cachedRemapper(this.state, memory, compatibilityFormat, this.#interruptEntries);
  }

  /** Of translations; interrupt entries stay until the guest invalidates them. */
  #emptyCaches(): void {
    this.#contexts.clear();
    this.#iotlb.clear();
  }
}

/** SIRTP: what IRTA says is used from now on. Entries that are cached stay so until the guest invalidates them. */
function setInterruptTable(state: VtdState, registers: RegisterFile): void {
  const low = registers.get(register.IRTA);
  state.intr_root = BigInt(registers.pageAddress(register.IRTA));
  state.intr_size = 2 ** ((low & 0xf) + 1);
  state.intr_eime = (low & EXTENDED_DESTINATIONS) !== 0;
  registers.raise(register.GSTS, global.INTERRUPT_POINTER);
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

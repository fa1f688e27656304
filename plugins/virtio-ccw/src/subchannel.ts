// A subchannel: the I/O instructions of the CPU, the status that they leave, and the interruptions (z/Architecture
// Principles of Operation, chapters 14 and 16).
import { encodeState } from "@godwit/core";
import type { Dma } from "@godwit/virtio-core";
import { isPageAbsent } from "@godwit/virtio-core";
import { type ChannelProgram, channelProgram, type Ending, type ExecuteCommand } from "./channel-program.ts";
import {
  channelStatus,
  scswControl as control,
  deviceStatus,
  irbBytes,
  orbFlag,
  orbReserved1,
  pmcwChars,
  pmcwFlag,
  scswFlag,
  senseBytes,
} from "./constants.ts";
import { type OrbState, type SchibState, type SubchannelState, scsw } from "./descriptions.ts";
import { readOrb, readSchib, schibImage } from "./memory.ts";
import type { IoInterruption, Outcome } from "./types.ts";

export interface SubchannelHost {
  readonly dma: Dma;
  readonly execute: ExecuteCommand;
  ioInterrupt(interruption: IoInterruption): void;
  /** A program has disabled the subchannel, or enabled it. */
  enabledChanged(): void;
}

/** Mask of the only channel path that a virtual device has. */
const onePath = 0x80;

/** The I/O instructions, on the state that travels. */
export class CcwSubchannel {
  sch: SubchannelState;
  readonly #host: SubchannelHost;
  /** Under way between two instructions: it waits for memory that has not come (post-copy). */
  #program: ChannelProgram | undefined;

  constructor(host: SubchannelHost, sch: SubchannelState) {
    this.#host = host;
    this.sch = sch;
  }

  get enabled(): boolean {
    return (this.#schib.pmcw.flags & pmcwFlag.enabled) !== 0;
  }

  get pending(): boolean {
    return (this.#schib.scsw.ctrl & control.pending) !== 0;
  }

  start(address: number): Outcome {
    const orb = readOrb(this.#host.dma, address);
    if ((orb.ctrl0 & orbFlag.transport) !== 0 || (orb.ctrl1 & orbReserved1) !== 0 || orb.cpa >= 2 ** 31)
      return "operand";
    const { pmcw, scsw: status } = this.#schib;
    if (!this.enabled || (orb.lpm & pmcw.lpm & pmcw.pam) === 0) return 3;
    if (this.pending) return 1;
    if ((status.ctrl & control.functions) !== 0) return 2;
    this.#begin(orb);
    this.#run();
    return 0;
  }

  resume(): Outcome {
    if (!this.enabled) return 3;
    if (this.pending) return 1;
    const { scsw: status } = this.#schib;
    const suspended = control.start | control.suspended;
    if ((status.ctrl & (control.functions | control.suspended)) !== suspended) return 2;
    status.ctrl &= ~control.suspended;
    this.#run();
    return 0;
  }

  halt(): Outcome {
    if (!this.enabled) return 3;
    const { scsw: status } = this.#schib;
    const intermediate = (status.ctrl & control.status) === (control.intermediate | control.pending);
    if (this.pending && !intermediate) return 1;
    if ((status.ctrl & (control.halt | control.clear)) !== 0) return 2;
    this.#program = undefined;
    status.ctrl = (status.ctrl & control.functions) | control.halt | control.pending;
    status.dstat = deviceStatus.deviceEnd;
    this.#signalled();
    return 0;
  }

  clear(): Outcome {
    if (!this.enabled) return 3;
    const { scsw: status } = this.#schib;
    this.#program = undefined;
    Object.assign(status, { flags: 0, ctrl: control.clear | control.pending, cpa: 0, dstat: 0, cstat: 0, count: 0 });
    this.sch.channel_prog = 0n;
    this.sch.last_cmd_valid = false;
    this.#signalled();
    return 0;
  }

  test(address: number): Outcome {
    if (!this.enabled) return 3;
    const was = this.pending;
    this.#host.dma.write(address, this.#responseBlock());
    if (was) this.#clearStatus();
    return was ? 0 : 1;
  }

  store(address: number): Outcome {
    this.#host.dma.write(address, schibImage(this.#schib));
    return 0;
  }

  modify(address: number): Outcome {
    const { pmcw: given, mba } = readSchib(this.#host.dma, address);
    if ((given.flags & pmcwFlag.reserved) !== 0 || (given.flags & pmcwFlag.limitMode) === pmcwFlag.limitMode) {
      return "operand";
    }
    const { pmcw, scsw: status } = this.#schib;
    if (this.pending) return 1;
    if ((status.ctrl & control.functions) !== 0) return 2;
    const was = this.enabled;
    const own = pmcwFlag.timing | pmcwFlag.deviceValid;
    pmcw.flags = (pmcw.flags & own) | (given.flags & ~own);
    const { intparm, lpm, mbi, pom } = given;
    Object.assign(pmcw, { intparm, lpm, mbi, pom });
    pmcw.chars = (pmcw.chars & ~pmcwChars.programmable) | (given.chars & pmcwChars.programmable);
    this.#schib.mba = mba;
    if (this.enabled !== was) this.#host.enabledChanged();
    return 0;
  }

  /** The device has something to tell that nobody asked for. */
  alert(): void {
    if (this.pending || !this.enabled) return;
    const { scsw: status } = this.#schib;
    status.ctrl |= control.alert | control.pending;
    // Bits of the last operation would be taken for this one's.
    status.dstat = 0;
    status.cstat = 0;
    this.interrupt();
  }

  /** Asks for the interruption that status pending means. */
  interrupt(): void {
    const { cssid, ssid, migrated_schid: schid } = this.sch;
    const { intparm, flags } = this.#schib.pmcw;
    const isc = (flags & pmcwFlag.interruptionSubclass) >> 11;
    this.#host.ioInterrupt({ cssid, ssid, schid, intparm, isc });
  }

  get #schib(): SchibState {
    return this.sch.curr_status;
  }

  #begin(orb: OrbState): void {
    const { sch } = this;
    sch.orb = orb;
    sch.ccw_fmt_1 = (orb.ctrl0 & orbFlag.format1) !== 0;
    sch.ccw_no_data_cnt = 0;
    sch.channel_prog = BigInt(orb.cpa);
    sch.last_cmd_valid = false;
    const { pmcw, scsw: status } = this.#schib;
    pmcw.intparm = orb.intparm;
    // These three stand in the same places of both words.
    const flags = orb.ctrl0 & (scswFlag.key | scswFlag.suspendControl | scswFlag.format1);
    Object.assign(status, { flags, ctrl: control.start, cpa: orb.cpa, dstat: 0, cstat: 0, count: 0 });
  }

  #run(): void {
    this.#program = channelProgram(this.sch, this.#host.dma, this.#host.execute);
    this.#goOn(this.#program);
  }

  /** A program that was halted or cleared, or whose subchannel has been reset or loaded, does not go on. */
  #goOn(program: ChannelProgram): void {
    if (this.#program !== program || this.sch !== program.sch) return;
    try {
      this.#end(program.run());
    } catch (error) {
      const { postcopy } = this.#host.dma;
      if (postcopy === undefined || !isPageAbsent(error)) throw error;
      // Where the page never comes, the subchannel stays busy.
      postcopy.whenPresent(error).then(
        () => this.#goOn(program),
        () => {},
      );
    }
  }

  #end(ending: Ending): void {
    const { sch } = this;
    this.#program = undefined;
    const { scsw: status } = this.#schib;
    status.cpa = Number(BigInt.asUintN(31, sch.channel_prog + 8n));
    status.dstat = ending.deviceStatus;
    status.cstat = ending.channelStatus | (ending.programInterrupt ? channelStatus.programInterrupt : 0);
    status.count = ending.residual;
    const told = ending.suspended ? this.#suspend(ending) : this.#finish(ending);
    status.ctrl |= told;
    if (told !== 0) this.interrupt();
  }

  #suspend({ programInterrupt }: Ending): number {
    this.#schib.scsw.ctrl |= control.suspended;
    const silent = (this.sch.orb.ctrl0 & orbFlag.suppressSuspended) !== 0;
    return silent && !programInterrupt ? 0 : control.intermediate | control.pending;
  }

  #finish({ deviceStatus: dstat, channelStatus: cstat, programInterrupt }: Ending): number {
    const wrong = cstat !== 0 || (dstat & deviceStatus.unitCheck) !== 0;
    return (
      control.primary |
      control.secondary |
      control.pending |
      (wrong ? control.alert : 0) |
      (programInterrupt ? control.intermediate : 0)
    );
  }

  /** Halt and clear go out on the one path. */
  #signalled(): void {
    this.#schib.pmcw.lpum = onePath;
    this.interrupt();
  }

  /** With concurrent sense, what SENSE would answer comes in the response block. */
  get #showsSense(): boolean {
    const { pmcw, scsw: status } = this.#schib;
    const wanted = (pmcw.chars & pmcwChars.concurrentSense) !== 0;
    return wanted && this.pending && (status.dstat & deviceStatus.unitCheck) !== 0;
  }

  #responseBlock(): Uint8Array {
    const block = new Uint8Array(irbBytes);
    const { scsw: status } = this.#schib;
    const shown = this.#showsSense;
    block.set(encodeState(scsw, shown ? { ...status, flags: status.flags | scswFlag.extended } : status));
    // The logout word: the path that was used.
    if (this.pending) block[13] = onePath;
    if (!shown) return block;
    // Extended-report word: concurrent sense, and how many bytes of it.
    block.set([0x01, senseBytes, 0, 0], 16);
    block.set(this.sch.sense_data, 32);
    return block;
  }

  #clearStatus(): void {
    const { scsw: status } = this.#schib;
    if (this.#showsSense) this.sch.sense_data.fill(0);
    const told = status.ctrl & control.status;
    const suspended = (status.ctrl & control.suspended) !== 0;
    const goesOn = suspended && (told & (control.primary | control.secondary)) === 0;
    status.ctrl = goesOn ? status.ctrl & ~control.status : 0;
  }
}

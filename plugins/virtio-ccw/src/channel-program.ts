// A channel program at work (z/Architecture Principles of Operation, chapter 15): fetches channel-command words, chains
// data and commands, and says how it ended. It runs to its end, or to where it is suspended, in one go; only where memory
// has not come (post-copy) it stops between two commands, and goes on from there.
import { isMigrationError } from "@godwit/core";
import { type Dma, isPageAbsent } from "@godwit/virtio-core";
import { ccwFlag, channelStatus, command, deviceStatus, orbFlag, sense } from "./constants.ts";
import type { Ccw1State, SubchannelState } from "./descriptions.ts";
import { ccwBytes, readCcw1 } from "./memory.ts";
import { type Area, indirectAreas, ProgramCheck, type Transfer, transferOf } from "./transfer.ts";

/** What a device makes of a command: how many bytes it took or gave and whether it `hadMore` to give, or that it cannot. */
export type CommandResult = { readonly transferred: number; readonly hadMore?: boolean } | "short" | "reject";
/** Carries out a command; one whose data is needed whole and is not there is `short`. */
export type ExecuteCommand = (code: number, data: Transfer) => CommandResult;

/** How a channel program ended. */
export interface Ending {
  readonly suspended: boolean;
  readonly deviceStatus: number;
  readonly channelStatus: number;
  /** Bytes of the last command word that were not used. */
  readonly residual: number;
  /** A word with the program-interrupt flag was met. */
  readonly programInterrupt: boolean;
}

// A program may loop by TIC. QEMU gives up after as many words without data.
const maxWithoutData = 255;
// With data it could go on for ever, and the machine with it.
const maxWords = 65_536;

interface Word extends Ccw1State {
  readonly at: number;
}

export interface ChannelProgram {
  readonly sch: SubchannelState;
  /**
   * Runs from `sch.channel_prog` on; `sch` says afterwards how far it came. `PAGE_ABSENT` where the next command's words
   * or data have not come: it has not begun, and the next call goes on with it.
   */
  run(): Ending;
}

export function channelProgram(sch: SubchannelState, dma: Dma, execute: ExecuteCommand): ChannelProgram {
  return new ProgramRun(sch, dma, execute);
}

/** The words of one command: more than one where they chain data. */
interface Piece {
  readonly word: Word;
  readonly areas: readonly Area[];
}

// These take no data, whatever their count says.
const immediate: ReadonlySet<number> = new Set([command.noOperation, command.reset]);

const complete = deviceStatus.channelEnd | deviceStatus.deviceEnd;

class ProgramRun implements ChannelProgram {
  readonly sch: SubchannelState;
  /** Where the command stands that is next, once the program runs, and how it stood with the program before that. */
  #at: number | undefined;
  #before = { words: 0, mayTransfer: false, programInterrupt: false };
  readonly #dma: Dma;
  readonly #execute: ExecuteCommand;
  #words = 0;
  /** The next word may be a transfer in channel: neither the first nor one after another. */
  #mayTransfer = false;
  #programInterrupt = false;

  constructor(sch: SubchannelState, dma: Dma, execute: ExecuteCommand) {
    this.sch = sch;
    this.#dma = dma;
    this.#execute = execute;
  }

  run(): Ending {
    const { sch } = this;
    try {
      for (let at = this.#at ?? checkedAddress(sch, Number(sch.channel_prog)); ; ) {
        this.#begin(at);
        const word = this.#word(at, false);
        const outcome = this.#suspension(word) ?? this.#command(word);
        if (typeof outcome !== "number") return outcome;
        at = outcome;
      }
    } catch (error) {
      if (isPageAbsent(error)) {
        this.#rewind();
        throw error;
      }
      // Memory that is not there is the program's mistake, as is an address list that cannot be.
      if (!(error instanceof ProgramCheck) && !isMigrationError(error)) throw error;
      return this.#end(0, channelStatus.programCheck, 0);
    }
  }

  #begin(at: number): void {
    this.#at = at;
    this.#before = {
      words: this.#words,
      mayTransfer: this.#mayTransfer,
      programInterrupt: this.#programInterrupt,
    };
  }

  /** As if the command had not been looked at. */
  #rewind(): void {
    this.sch.channel_prog = BigInt(this.#at as number);
    this.#words = this.#before.words;
    this.#mayTransfer = this.#before.mayTransfer;
    this.#programInterrupt = this.#before.programInterrupt;
  }

  #suspension({ flags, count }: Word): Ending | undefined {
    if ((flags & ccwFlag.suspend) === 0) return undefined;
    if ((this.sch.orb.ctrl0 & orbFlag.suspend) === 0) throw new ProgramCheck("suspension that was not allowed");
    return { ...this.#end(0, 0, count), suspended: true };
  }

  /** Carries out the command that begins with `first`. Gives where the program goes on, or how it ended. */
  #command(first: Word): number | Ending {
    const pieces = this.#gather(first);
    const areas = pieces.flatMap((piece) => piece.areas);
    this.#demand(areas);
    const data = transferOf(areas, this.#dma);
    const code = first.cmd_code;
    countIdle(this.sch, immediate.has(code) ? 0 : data.count);
    const result = this.#execute(code, data);
    if (result === "reject") return this.#refuse();
    const short = result === "short";
    const used = short ? data.count : result.transferred;
    const { word, residual } = endOf(pieces, used);
    this.sch.channel_prog = BigInt(word.at);
    // Where data is chained, a wrong length cannot be suppressed.
    const suppressed = (word.flags & (ccwFlag.suppressLength | ccwFlag.chainData)) === ccwFlag.suppressLength;
    if (short && suppressed) return this.#refuse();
    const wrongLength = short || used < data.count || result.hadMore === true;
    if (wrongLength && !suppressed) return this.#end(complete, channelStatus.incorrectLength, residual);
    return (word.flags & ccwFlag.chainCommand) === 0 ? this.#end(complete, 0, residual) : word.at + ccwBytes;
  }

  /** All of a command's data is there before it is carried out, whichever way it goes. */
  #demand(areas: readonly Area[]): void {
    const { postcopy } = this.#dma;
    if (!postcopy?.active) return;
    for (const { address, length } of areas) if (address !== undefined) postcopy.demand(address, length, true);
  }

  #gather(first: Word): Piece[] {
    const pieces: Piece[] = [];
    for (let word = first; ; word = this.#word(word.at + ccwBytes, true)) {
      if ((word.flags & ccwFlag.programInterrupt) !== 0) this.#programInterrupt = true;
      pieces.push({ word, areas: areasOf(this.sch, this.#dma, word) });
      if ((word.flags & ccwFlag.chainData) === 0) return pieces;
    }
  }

  /** The word at `at`, or where transfers in channel lead to; `continued`: it goes on with a command's data. */
  #word(at: number, continued: boolean): Word {
    const sch = this.sch;
    for (let from = at; ; this.#mayTransfer = false) {
      sch.channel_prog = BigInt(from);
      if (++this.#words > maxWords) throw new ProgramCheck("a program that does not end");
      const word = fetch(sch, this.#dma, from);
      remember(sch, word);
      if (!isTransfer(word)) {
        checkWord(sch, word, continued);
        this.#mayTransfer = true;
        return { ...word, at: from };
      }
      checkTransfer(sch, word, this.#mayTransfer);
      from = checkedAddress(sch, word.cda);
    }
  }

  /** The command is none of the device's, or not now: unit check, and sense data that says so. */
  #refuse(): Ending {
    const { sense_data: data } = this.sch;
    data.fill(0);
    data[0] = sense.commandReject;
    return this.#end(deviceStatus.unitCheck, 0, 0);
  }

  #end(dstat: number, cstat: number, residual: number): Ending {
    return {
      suspended: false,
      deviceStatus: dstat,
      channelStatus: cstat,
      residual,
      programInterrupt: this.#programInterrupt,
    };
  }
}

function fetch(sch: SubchannelState, dma: Dma, at: number): Ccw1State {
  if (sch.ccw_fmt_1) return readCcw1(dma, at);
  const bytes = dma.read(at, ccwBytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    cmd_code: view.getUint8(0),
    cda: view.getUint32(0) & 0xff_ffff,
    flags: view.getUint8(4),
    count: view.getUint16(6),
  };
}

function isTransfer({ cmd_code: code }: Ccw1State): boolean {
  return (code & 0x0f) === command.transferInChannel;
}

/** In format 1 all else of such a word is 0. */
function checkTransfer(sch: SubchannelState, { cmd_code: code, flags, count }: Ccw1State, allowed: boolean): void {
  const clean = !sch.ccw_fmt_1 || (code === command.transferInChannel && flags === 0 && count === 0);
  if (!allowed || !clean) throw new ProgramCheck("a transfer in channel that cannot be");
}

function checkWord(sch: SubchannelState, { cmd_code: code, flags, count, cda }: Ccw1State, continued: boolean): void {
  // The low four bits tell a channel what kind of command it is; a word that goes on with another's data has none.
  if (!continued && (code & 0x0f) === 0) throw new ProgramCheck("no command");
  if ((flags & ccwFlag.modifiedIndirect) !== 0) throw new ProgramCheck("modified indirect addresses");
  const chained = continued || (flags & ccwFlag.chainData) !== 0;
  if (count === 0 && (!sch.ccw_fmt_1 || chained)) throw new ProgramCheck("a count of 0");
  if (sch.ccw_fmt_1 && cda >= 2 ** 31) throw new ProgramCheck("a data address of 32 bits");
}

/** Where a channel-command word may stand. */
function checkedAddress({ ccw_fmt_1: format1 }: SubchannelState, at: number): number {
  if (at % ccwBytes !== 0 || at >= (format1 ? 2 ** 31 : 2 ** 24)) throw new ProgramCheck("no address of a program");
  return at;
}

function areasOf(sch: SubchannelState, dma: Dma, { flags, count, cda }: Word): Area[] {
  if (count === 0) return [];
  if ((flags & ccwFlag.skip) !== 0) return [{ address: undefined, length: count }];
  if ((flags & ccwFlag.indirect) === 0) return [{ address: cda, length: count }];
  const wide = (sch.orb.ctrl0 & orbFlag.indirect64) !== 0;
  const small = !wide || (sch.orb.ctrl0 & orbFlag.indirect2k) !== 0;
  return indirectAreas(cda, count, { wide, blockBytes: small ? 2048 : 4096 }, dma);
}

function remember(sch: SubchannelState, { cmd_code, flags, count, cda }: Ccw1State): void {
  sch.last_cmd = { cmd_code, flags, count, cda };
  sch.last_cmd_valid = true;
}

function countIdle(sch: SubchannelState, count: number): void {
  sch.ccw_no_data_cnt = count > 0 ? 0 : sch.ccw_no_data_cnt + 1;
  if (sch.ccw_no_data_cnt < maxWithoutData) return;
  sch.ccw_no_data_cnt = 0;
  throw new ProgramCheck("a program that moves no data");
}

/** The word that byte `used` falls on, and how much of it is left. */
function endOf(pieces: readonly Piece[], used: number): { word: Word; residual: number } {
  let left = used;
  let last = pieces[0] as Piece;
  for (const piece of pieces) {
    last = piece;
    if (left < piece.word.count) break;
    left -= piece.word.count;
    if (left === 0) return { word: piece.word, residual: 0 };
  }
  return { word: last.word, residual: last.word.count - left };
}

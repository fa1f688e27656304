// What the host keeps doing to a running machine: it sends lines, and wants another number of pages again and again.
import type { GuestStatus } from "../guest/status-block.ts";
import type { ReferenceMachine } from "../machine/machine.ts";
import { LINE_BYTES } from "../peripheral-evidence.ts";
import type { SerialLine, SerialLog } from "./serial-line.ts";

export interface HostWorkInit {
  readonly machine: ReferenceMachine;
  readonly line: SerialLine;
  readonly log: SerialLog;
  readonly guest: () => GuestStatus | undefined;
}

const turnMs = 8;
/** Turns between two wishes for another number of pages. */
const turnsPerTarget = 12;
/** Of the balloon's pages: 37 is prime to every number of them that there can be. */
const stride = 37;

export class HostWork {
  readonly #init: HostWorkInit;
  #timer: ReturnType<typeof setInterval> | undefined;
  #turns = 0;

  constructor(init: HostWorkInit) {
    this.#init = init;
  }

  start(): void {
    this.#timer ??= setInterval(() => this.#turn(), turnMs);
  }

  /** Nothing more is begun; only a line that the guest has in part still goes out. */
  finish(): void {
    this.stop();
    this.#timer = setInterval(() => {
      if (this.#init.line.isWithinLine) this.#init.line.send();
    }, turnMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** The guest is asked for another number of pages than it has given. */
  changeTarget(): void {
    const { machine, guest } = this.#init;
    const pages = guest()?.balloonPages ?? 0;
    const balloon = machine.peripherals?.balloon;
    // What the host wants of a machine that stands, its guest would not hear of.
    if (balloon === undefined || pages === 0 || !machine.kernel.clock.running) return;
    balloon.setTarget((balloon.target + stride) % (pages + 1));
  }

  /** All that the host has asked for is done. */
  isSettled(): boolean {
    const { machine, log, guest } = this.#init;
    const status = guest();
    if (machine.peripherals === undefined || status === undefined) return true;
    const { balloon } = machine.peripherals;
    const { linesTaken, linesLost } = status;
    return (
      balloon.actual === balloon.target &&
      status.balloonGiven === balloon.target &&
      linesTaken + linesLost >= Math.floor(log.sentBytes() / LINE_BYTES)
    );
  }

  #turn(): void {
    if (!this.#init.machine.kernel.clock.running) return;
    this.#init.line.send();
    if (++this.#turns % turnsPerTarget === 0) this.changeTarget();
  }
}

// The machine at the source: held back, stopped, and set going again as if nothing had been, whatever goes wrong with it.
import type { MigrationError, OutgoingAttempt } from "@godwit/core";
import { asMigrationError, migrationError } from "./codes.ts";
import { CpuThrottle } from "./converge/throttle.ts";
import type { MigratableMachine, MigratableRam, RamSendModes } from "./host.ts";
import type { Interrupt } from "./interrupt.ts";

export class SourceMachine {
  readonly throttle: CpuThrottle;
  /** What the handlers' own clean-up threw last; it changes nothing of how the migration ends. */
  cleanupError: MigrationError | undefined;
  readonly #machine: MigratableMachine;
  readonly #ram: MigratableRam | undefined;
  #attempt: OutgoingAttempt | undefined;
  #hasModes = false;
  #isQuiesced = false;
  #isPaused = false;

  constructor(machine: MigratableMachine, ram: MigratableRam | undefined) {
    this.#machine = machine;
    this.#ram = ram;
    this.throttle = new CpuThrottle(machine);
  }

  /** How its memory is sent in the attempt that comes, and in that one only. `ATTEMPT_ACTIVE`. */
  sendBy(modes: RamSendModes): void {
    this.#hasModes = this.#ram !== undefined;
    this.#ram?.sendBy(modes);
  }

  begin(): OutgoingAttempt {
    this.#attempt = this.#machine.outgoing({ reuse: true });
    return this.#attempt;
  }

  /** Waits for what must not be cut in two, and pauses. `stopping` is called just before that. */
  async stop(interrupt: Interrupt, stopping: () => void): Promise<void> {
    this.#isQuiesced = true;
    await interrupt.wait(this.#machine.quiesce());
    interrupt.check();
    stopping();
    this.#machine.pause();
    this.#isPaused = true;
    this.unthrottle();
  }

  /** True where the machine stands, or holds something back: it goes on only with `resume`. */
  get isHeld(): boolean {
    return this.#isQuiesced;
  }

  /** What `quiesce` held back goes on only with a resume, and only a machine that stands is resumed. */
  resume(): MigrationError | undefined {
    try {
      if (!this.#isPaused) this.#machine.pause();
      this.#machine.resume();
      return undefined;
    } catch (cause) {
      return migrationError("MACHINE_FAILED", "the machine could not be resumed", { side: "source", cause });
    }
  }

  /** Its memory is then sent plainly again: a checkpoint must not go where this attempt's pages went. */
  endAttempt(completed: boolean): void {
    this.#cleanUp(() => this.#attempt?.end(completed));
    if (this.#hasModes) this.#cleanUp(() => this.#ram?.sendBy({}));
    this.#hasModes = false;
  }

  /** Nothing but a running pre-copy slows a machine down, wherever it runs next. */
  unthrottle(): void {
    this.#cleanUp(() => this.throttle.release());
  }

  #cleanUp(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.cleanupError = asMigrationError(error, "source");
    }
  }
}

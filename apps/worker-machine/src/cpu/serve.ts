// The worker's side: it executes until it is told to stop, and answers with the registers.
import { Hart } from "./hart.ts";
import { type FromWorker, stopWord, type ToWorker } from "./messages.ts";

/** Between two looks at the stop word; a prime, so that a run ends anywhere in a loop. At most that many are late. */
const instructionsPerLook = 61;

/** What answers each message of the machine, through `post`. */
export function serveCpu(post: (message: FromWorker) => void): (message: ToWorker) => void {
  let hart: Hart | undefined;
  let control: Int32Array = new Int32Array(1);
  return (message) => {
    if (message.type === "attach") {
      hart = new Hart(new Uint8Array(message.ram));
      control = new Int32Array(message.control);
      return;
    }
    if (hart === undefined) throw new Error(`"${message.type}" before "attach"`);
    if (message.type === "load") {
      hart.registers = message.registers;
      post({ type: "loaded", id: message.id });
      return;
    }
    const { run, until } = message;
    while (!hart.halted && hart.instret < until) {
      hart.execute(Math.min(instructionsPerLook, until - hart.instret));
      if (Atomics.load(control, stopWord) === run) break;
    }
    post({ type: "stopped", run, registers: hart.registers });
  };
}

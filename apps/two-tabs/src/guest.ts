// The guest: it writes records over all of its memory, for ever, each with a number and a value that depends on all before
// it. What it must have written by then is computed anew, and compared with what is there.

/** Pages of 4 KiB. */
export const ramBytes = 4 * 1024 * 1024;
const recordBytes = 16;
const slots = ramBytes / recordBytes;
/** Records that fill a page. */
export const stepsPerPage = 4096 / recordBytes;

/** What the guest's processor holds between two steps. */
export interface Registers {
  /** Steps since it was switched on. */
  steps: number;
  /** Of 32 bits, unsigned. */
  chain: number;
}

/** Memory as it is when the machine is switched on: no page of it is empty. */
export function boot(ram: Uint8Array): void {
  const words = new Uint32Array(ram.buffer, ram.byteOffset, ramBytes / 4);
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + 1, 0x9e37_79b1);
}

/** One step; gives the offset of the record that it wrote. */
export function step(registers: Registers, words: Uint32Array): number {
  const { chain } = nextStep(registers);
  const at = (registers.steps % slots) * (recordBytes / 4);
  words[at] = registers.steps;
  words[at + 1] = chain;
  words[at + 2] = registers.steps ^ chain;
  words[at + 3] = ~(registers.steps ^ chain);
  return at * 4;
}

function nextStep(registers: Registers): Registers {
  registers.steps++;
  let chain = registers.chain;
  chain ^= chain << 13;
  chain ^= chain >>> 17;
  chain ^= chain << 5;
  registers.chain = (chain + registers.steps) >>> 0;
  return registers;
}

/** Whether a standing machine has lost, repeated or torn anything: what is wrong, at most five lines. */
export function examine(registers: Registers, ram: Uint8Array): string[] {
  const expected = new Uint8Array(ramBytes);
  boot(expected);
  const words = new Uint32Array(expected.buffer);
  const model: Registers = { steps: 0, chain: 0 };
  // What is written over later need not be written.
  for (const last = registers.steps - slots; model.steps < last; ) nextStep(model);
  while (model.steps < registers.steps) step(model, words);
  const problems: string[] = [];
  if (model.chain !== registers.chain) problems.push(`chain: expected ${model.chain}, found ${registers.chain}`);
  const found = new Uint32Array(ram.buffer, ram.byteOffset, ramBytes / 4);
  for (let i = 0; i < words.length && problems.length < 5; i++) {
    if (words[i] !== found[i]) problems.push(`word ${i}: expected ${words[i]}, found ${found[i]}`);
  }
  return problems;
}

/** Of memory, to compare two machines by: FNV-1a, over words. */
export function checksum(ram: Uint8Array): string {
  let hash = 0x811c_9dc5;
  for (const word of new Uint32Array(ram.buffer, ram.byteOffset, ramBytes / 4)) {
    hash = Math.imul(hash ^ word, 0x0100_0193);
  }
  return (hash >>> 0).toString(16).padStart(8, "0");
}

// What tests do with a worker machine, in any runtime: run it, let it stand, save it, examine it.
import { isMigrationError, type Kernel, type MigrationError } from "@godwit/core";
import type { Registers } from "../../src/cpu/registers.ts";
import { examine } from "../../src/guest/evidence.ts";
import { layout } from "../../src/guest/program.ts";
import type { WorkerMachine } from "../../src/machine/machine.ts";

export async function saved(kernel: Kernel): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of kernel.save()) chunks.push(chunk.slice());
  return joined(chunks);
}

export function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** Stops the machine between two instructions. */
export async function stand({ kernel, cpu }: WorkerMachine): Promise<Registers> {
  await kernel.quiesce();
  kernel.pause();
  return cpu.registers;
}

/** Runs on to an instruction count, and stands there. */
export async function runTo(machine: WorkerMachine, instret: number): Promise<Registers> {
  const reached = machine.cpu.reach(instret, 20_000);
  machine.kernel.resume();
  await reached;
  return stand(machine);
}

/** Waits until the guest has completed `more` records. */
export async function progress({ ram }: WorkerMachine, more: number): Promise<void> {
  const word = new Int32Array(ram.buffer, layout.doneAt, 1);
  const from = Atomics.load(word, 0);
  const started = performance.now();
  while (Atomics.load(word, 0) - from < more) {
    if (performance.now() - started > 20_000) throw new Error(`the guest did not complete ${more} records in 20 s`);
    await sleep(1);
  }
}

export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** The records of a standing machine whose evidence is whole. */
export function records({ ram, cpu }: WorkerMachine): number {
  const { records: count, problems } = examine(ram, cpu.registers);
  if (problems.length > 0) throw new Error(`the evidence is not whole:\n${problems.join("\n")}`);
  return count;
}

export async function refusal(work: () => unknown): Promise<MigrationError> {
  try {
    await work();
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("was not refused");
}

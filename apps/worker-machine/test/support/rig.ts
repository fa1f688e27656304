// Worker machines for tests, ended behind each.
import { onTestFinished } from "vitest";
import { type WorkerMachine, type WorkerMachineInit, workerMachine } from "../../src/machine/machine.ts";
import { startWorker } from "./worker.ts";

export async function startMachine(init: Partial<WorkerMachineInit> = {}): Promise<WorkerMachine> {
  const machine = workerMachine({ worker: init.worker ?? (await startWorker()), ...init });
  onTestFinished(() => machine.close());
  return machine;
}

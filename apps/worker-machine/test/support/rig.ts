// Worker machines for tests, ended behind each.
import { afterEach } from "vitest";
import { type WorkerMachine, type WorkerMachineInit, workerMachine } from "../../src/machine/machine.ts";
import { startWorker } from "./worker.ts";

const open: WorkerMachine[] = [];

afterEach(() => {
  for (const machine of open.splice(0)) machine.close();
});

export async function startMachine(init: Partial<WorkerMachineInit> = {}): Promise<WorkerMachine> {
  const machine = workerMachine({ worker: init.worker ?? (await startWorker()), ...init });
  open.push(machine);
  return machine;
}

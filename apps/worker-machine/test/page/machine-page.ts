// The worker machine in a browser page: it pauses, saves and resumes there, and exchanges saves with the test's process.
import { receive, runPage, tell } from "@godwit/test-support/page";
import { type WorkerMachineInit, workerMachine } from "../../src/machine/machine.ts";
import { webWorker } from "../../src/workers/web.ts";
import { progress, records, runTo, saved, sleep, stand } from "../support/drive.ts";

export interface Told {
  readonly pauses: number;
  readonly stops: number;
  readonly recordsWhenSaved: number;
  readonly recordsAtTheEnd: number;
  readonly recordsReceived: number;
  readonly recordsGoneOn: number;
}

const start = (init: Partial<WorkerMachineInit> = {}) =>
  workerMachine({ worker: webWorker("/worker-web.js"), ...init });

runPage(async () => {
  const machine = start();
  const target = start();
  const stops = new Set<number>();
  const pauses = 500;
  for (let i = 1; i <= pauses; i++) {
    machine.kernel.resume();
    if (i % 5 === 0) await sleep(0);
    stops.add((await stand(machine)).pc);
    if (i % 50 === 0) {
      machine.kernel.resume();
      await target.kernel.load(await saved(machine.kernel));
      records(target);
      await stand(machine);
    }
  }
  machine.kernel.resume();
  await progress(machine, 5000);
  const bytes = await saved(machine.kernel);
  await target.kernel.load(bytes);
  const recordsWhenSaved = records(target);
  await progress(machine, 5000);
  await stand(machine);
  const recordsAtTheEnd = records(machine);
  await tell("saved", bytes.slice());

  const other = start();
  await other.kernel.load(await receive("saved"));
  const recordsReceived = records(other);
  other.kernel.resume();
  await progress(other, 5000);
  await stand(other);
  const recordsGoneOn = records(other);

  const frozen = start({ hostNow: () => 0n });
  await runTo(frozen, 300_007);
  await tell("equal", (await saved(frozen.kernel)).slice());
  const told: Told = {
    pauses,
    stops: stops.size,
    recordsWhenSaved,
    recordsAtTheEnd,
    recordsReceived,
    recordsGoneOn,
  };
  await tell("done", JSON.stringify(told));
});

// A run to look at, on Bun or Deno. Without arguments: a machine is saved again and again while it runs, and a second
// one goes on from each save. `go-on IN OUT`: loads IN, goes on, and saves to OUT while it runs.
import { readFile, writeFile } from "node:fs/promises";
import { examine } from "./guest/evidence.ts";
import { type WorkerMachine, workerMachine } from "./machine/machine.ts";
import { webWorker } from "./workers/web.ts";

const worker = () => webWorker(new URL("./cpu/worker-web.ts", import.meta.url));

async function save({ kernel }: WorkerMachine): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of kernel.save()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Stops the machine between two instructions and looks at its memory; throws where anything is lost or torn. */
async function pauseAndExamine({ kernel, cpu, ram }: WorkerMachine): Promise<{ records: number; instret: number }> {
  await kernel.quiesce();
  kernel.pause();
  const { records, problems } = examine(ram, cpu.registers);
  if (problems.length > 0) throw new Error(`the evidence is not whole:\n${problems.join("\n")}`);
  return { records, instret: cpu.registers.instret };
}

async function runFor({ kernel }: WorkerMachine, ms: number): Promise<void> {
  kernel.resume();
  await new Promise((resolve) => setTimeout(resolve, ms));
}

async function show(): Promise<void> {
  const source = workerMachine({ worker: worker() });
  const target = workerMachine({ worker: worker() });
  for (let round = 1; round <= 5; round++) {
    await runFor(source, 100);
    const started = performance.now();
    const bytes = await save(source);
    const stoodMs = performance.now() - started;
    await target.kernel.load(bytes);
    const loaded = await pauseAndExamine(target);
    await runFor(target, 50);
    const after = await pauseAndExamine(target);
    console.log(
      `save ${round}: ${bytes.length} bytes in ${stoodMs.toFixed(1)} ms at instruction ${loaded.instret}; ` +
        `the second machine goes on from record ${loaded.records} to ${after.records}`,
    );
  }
  const { records, instret } = await pauseAndExamine(source);
  console.log(`the first machine is at instruction ${instret}, record ${records}; nothing lost, repeated or torn`);
  source.close();
  target.close();
}

async function goOn(from: string, to: string): Promise<void> {
  const machine = workerMachine({ worker: worker() });
  await machine.kernel.load(await readFile(from));
  const loaded = await pauseAndExamine(machine);
  await runFor(machine, 50);
  await writeFile(to, await save(machine));
  const after = await pauseAndExamine(machine);
  machine.close();
  console.log(JSON.stringify({ loaded: loaded.records, after: after.records }));
}

const [command, from, to] = process.argv.slice(2);
if (command === undefined) await show();
else if (command === "go-on" && from !== undefined && to !== undefined) await goOn(from, to);
else {
  console.error("usage: main.ts [go-on IN OUT]");
  process.exitCode = 1;
}

// A machine of one hart and its RAM. The hart executes in a worker, the kernel and everything else do here, and both
// see the same RAM.
import { createKernel, type Kernel, virtualClock } from "@godwit/core";
import { compareTracker, ram, ramBlock } from "@godwit/ram-dirty-tracker";
import type { WorkerPort } from "../cpu/messages.ts";
import { resetRegisters } from "../cpu/registers.ts";
import { loadProgram, ramBytes } from "../guest/program.ts";
import { hartDescription, hartDevice } from "./hart-device.ts";
import { RemoteCpu } from "./remote-cpu.ts";

const machineType = "worker-1.0";

export interface WorkerMachineInit {
  readonly worker: WorkerPort;
  /** How long the worker may take over an answer; the default is 5000. */
  readonly timeoutMs?: number;
  /** Monotonic host time in nanoseconds, for the virtual clock; the default is that of `performance`. */
  readonly hostNow?: () => bigint;
}

export interface WorkerMachine {
  readonly kernel: Kernel;
  /** The guest's memory, shared with the worker. */
  readonly ram: Uint8Array;
  readonly cpu: RemoteCpu;
  /** Ends the worker. */
  close(): void;
}

export function workerMachine({
  worker,
  timeoutMs = 5000,
  hostNow = () => BigInt(Math.round(performance.now() * 1e6)),
}: WorkerMachineInit): WorkerMachine {
  const memory = new SharedArrayBuffer(ramBytes);
  const bytes = new Uint8Array(memory);
  loadProgram(bytes);
  const cpu = new RemoteCpu({ worker, ram: memory, timeoutMs });
  const kernel = createKernel({
    machineType,
    clock: virtualClock(hostNow),
    machine: {
      pause: () => cpu.requestStop(),
      // The hart's `resumed` follows, and lets it run.
      resume: () => {},
      reset() {
        cpu.registers = resetRegisters();
        bytes.fill(0);
        loadProgram(bytes);
      },
    },
  });
  kernel.use(
    ram({
      blocks: [
        ramBlock({
          idstr: "worker.ram",
          // No `adopt`: the worker keeps this memory, so that what a load brings is written into it.
          bytes: () => bytes,
          // The worker's stores report themselves to nobody here.
          tracker: compareTracker(ramBytes),
          map: [{ gpa: 0, offset: 0, length: ramBytes }],
        }),
      ],
    }),
  );
  kernel.device(hartDescription, hartDevice(cpu));
  return { kernel, ram: bytes, cpu, close: () => cpu.terminate() };
}

// One machine on one simulated host: begun, saved.
import type { Save } from "./differences.ts";
import { type HostTimes, type SimulatedHost, simulatedHost } from "./host.ts";
import type { SavedSection, TimedKernel, TimedMachine, TimedSetup } from "./machine.ts";

/** By device, the virtual times at which it fired. */
export type Times = Readonly<Record<string, readonly bigint[]>>;

export interface Running {
  readonly host: SimulatedHost;
  readonly machine: TimedMachine;
}

export async function begin(setup: TimedSetup, times: HostTimes): Promise<Running> {
  const host = simulatedHost(times);
  const machine = await setup(host);
  machine.kernel.resume();
  return { host, machine };
}

export function saved({ machine }: Running): Promise<Save> {
  return saveOf(machine.kernel);
}

export async function saveOf(kernel: TimedKernel): Promise<Save> {
  let sections: readonly SavedSection[] = [];
  const told = (all: readonly SavedSection[]) => {
    sections = all;
  };
  kernel.events.once("saved", told);
  const chunks: Uint8Array[] = [];
  for await (const chunk of kernel.save()) chunks.push(chunk.slice());
  const bytes = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return { bytes, sections };
}

export function copied(fired: Times): Times {
  return Object.fromEntries(Object.entries(fired).map(([device, times]) => [device, [...times]]));
}

/** Machines for tests, switched off afterwards, and what is done to their streams. */
import {
  type Description,
  decodeState,
  encodeState,
  isMigrationError,
  type MigrationError,
  type StateOf,
} from "@godwit/core";
import { StreamReader } from "@godwit/core/stream";
import { type RamSection, type RamWalkerInit, ramWalker } from "@godwit/ram-dirty-tracker";
import { onTestFinished } from "vitest";
import { bootDisk } from "../../src/guest/boot-disk.ts";
import type { Seabios } from "../../src/host/seabios.ts";
import { type MachineOptions, type V86Machine, v86Machine } from "../../src/machine.ts";

/** Switches `machine` off when the test is over. */
export function whileTesting<M extends { destroy(): Promise<void> }>(machine: M): M {
  onTestFinished(() => machine.destroy());
  return machine;
}

export async function machineWith(seabios: Seabios, options: Partial<MachineOptions> = {}): Promise<V86Machine> {
  return whileTesting(await v86Machine({ ...seabios, disk: bootDisk(), ...options }));
}

export function linesOf(machine: V86Machine): number {
  return machine.sent().split("\n").length - 1;
}

/** A machine whose guest has sent some lines and is in the middle of the next. */
export async function countingMachine(seabios: Seabios, options: Partial<MachineOptions> = {}): Promise<V86Machine> {
  const machine = await machineWith(seabios, options);
  await machine.runUntil(() => linesOf(machine) >= 20);
  return machine;
}

export async function streamOf(machine: V86Machine): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of machine.kernel.save()) chunks.push(chunk.slice());
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

export async function refusal(work: () => Promise<unknown>): Promise<MigrationError> {
  try {
    await work();
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("was not refused");
}

const footerBytes = 5;

export interface SectionOf<D extends Description> {
  readonly idstr: string;
  readonly instance?: number;
  readonly description: D;
}

/** The stream with the state of one section changed; the state must keep its length in bytes. */
export function withState<D extends Description>(
  stream: Uint8Array,
  section: SectionOf<D>,
  change: (state: StateOf<D>) => StateOf<D>,
): Uint8Array {
  const { start, end } = bodyIn(stream, section);
  const changed = encodeState(section.description, change(stateIn(stream, section)));
  if (changed.length !== end - start) throw new Error(`${section.idstr} has changed its length`);
  const patched = stream.slice();
  patched.set(changed, start);
  return patched;
}

export function stateIn<D extends Description>(stream: Uint8Array, section: SectionOf<D>): StateOf<D> {
  const { start, end } = bodyIn(stream, section);
  return decodeState(section.description, stream.subarray(start, end)) as StateOf<D>;
}

function bodyIn(stream: Uint8Array, { idstr, instance = 0 }: SectionOf<Description>) {
  const found = sectionsOf(stream).find(({ head }) => head.idstr === idstr && head.instance === instance);
  if (found === undefined) throw new Error(`the stream has no section ${idstr}/${instance}`);
  const end = found.offset + found.bytes - footerBytes;
  return { start: end - found.bodyBytes, end };
}

/** What a tool sees that knows RAM, and nothing of this machine. */
export function sectionsOf(stream: Uint8Array, ofRam: RamWalkerInit = {}) {
  return eventsOf(stream, ofRam).flatMap((event) => (event.type === "section" ? [event] : []));
}

export function eventsOf(stream: Uint8Array, ofRam: RamWalkerInit = {}) {
  const walker = ramWalker(ofRam);
  const reader = new StreamReader({
    open: ({ idstr }, phase, previous) =>
      idstr === "ram" && phase !== "full" ? walker.decoder(phase, previous as RamSection) : undefined,
  });
  return [...reader.push(stream), ...reader.end()];
}

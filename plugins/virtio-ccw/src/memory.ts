// The channel subsystem's structures in guest memory. They are big-endian there, as in a stream, so that the
// descriptions serve both.
import { type Description, decodeState, encodeState } from "@godwit/core";
import type { DmaReader } from "@godwit/virtio-core";
import { schibBytes } from "./constants.ts";
import { type Ccw1State, ccw1, type OrbState, orb, type SchibState, schib } from "./descriptions.ts";

export const ccwBytes = 8;
const orbBytes = 12;

// Copied: what `read` gives is not to be kept, and a state may hold views of it.
function read<S>(description: Description<S>, memory: DmaReader, address: number, length: number): S {
  return decodeState(description as Description, memory.read(address, length).slice()) as S;
}

export function readOrb(memory: DmaReader, address: number): OrbState {
  return read<OrbState>(orb, memory, address, orbBytes);
}

export function readSchib(memory: DmaReader, address: number): SchibState {
  return read<SchibState>(schib, memory, address, schibBytes);
}

/** A format-1 channel-command word. */
export function readCcw1(memory: DmaReader, address: number): Ccw1State {
  return read<Ccw1State>(ccw1, memory, address, ccwBytes);
}

export function schibImage(state: SchibState): Uint8Array {
  return encodeState(schib, state);
}

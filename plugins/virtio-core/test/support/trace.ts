// Writes down, in one list, every real step of a save or a load: calls of both ends, each common field that is taken or
// set, and each read of guest memory.
import type { CommonDevice } from "../../src/device.ts";
import type { Dma, TransportedDevice } from "../../src/index.ts";
import type { Calls } from "./parts.ts";

const text = (value: unknown): string => (typeof value === "bigint" ? `0x${value.toString(16)}` : String(value));

/** A save takes, a load sets. What a step takes in passing is no row of a table. */
export type Use = "get" | "set";

/** Puts an accessor before a data property, so that each use of it is a step. */
function follow(object: object, key: string, name: string, calls: Calls, use: Use): void {
  let value: unknown = Reflect.get(object, key);
  Object.defineProperty(object, key, {
    enumerable: true,
    configurable: true,
    get: () => {
      if (use === "get") calls.push(`get ${name}`);
      return value;
    },
    set: (next: unknown) => {
      if (use === "set") calls.push(`set ${name} ${text(next)}`);
      value = next;
    },
  });
}

/** Puts a step before each call of a method. */
function followCall(object: object, key: string, name: string, calls: Calls): void {
  const method = Reflect.get(object, key) as (...given: unknown[]) => unknown;
  Object.defineProperty(object, key, {
    configurable: true,
    value: (...given: unknown[]): unknown => {
      calls.push(name);
      return Reflect.apply(method, object, given);
    },
  });
}

/** Of the common part: its registers, its queues. */
export function followDevice(device: TransportedDevice, calls: Calls, use: Use): void {
  const common = device as CommonDevice;
  for (const key of Object.keys(common.registers)) follow(common.registers, key, key, calls, use);
  for (const queue of common.queues) {
    for (const key of ["size", "sizeDefault"]) follow(queue, key, `vqs[${queue.index}].${key}`, calls, use);
    for (const key of ["setRings", "load"]) followCall(queue, key, `vqs[${queue.index}].${key}`, calls);
  }
}

/** Of guest memory, as the device and as a check reads it. */
export function followMemory(memory: Dma, calls: Calls): void {
  followCall(memory, "read", "read the rings", calls);
}

/** The steps without their arguments' echo: strings, in order, and runs of the same one once. */
export function steps(calls: Calls): string[] {
  const flat = calls.map((call) => (typeof call === "string" ? call : call.map(text).join(" ")));
  return flat.filter((one, i) => one !== flat[i - 1]);
}

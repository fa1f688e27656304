// What tests about sections of earlier releases share: small descriptions, saves with them, and where an error points.
import {
  buffer,
  createKernel,
  type Description,
  type DeviceInit,
  isMigrationError,
  type Kernel,
  type MigrationError,
  type Registration,
  type StateOf,
  u8,
  u16,
  virtualClock,
  vmstate,
} from "../src/index.ts";
import { StreamReader } from "../src/stream/index.ts";

export const pair = vmstate({ name: "pair", version: 2, minimumVersion: 1, fields: { a: u8, b: u16 } });
export const left = vmstate({ name: "left", version: 1, fields: { a: u8, data: buffer(2) } });
export const right = vmstate({ name: "right", version: 1, fields: { b: u16, data: buffer(2) } });
export const cell = vmstate({ name: "cell", version: 1, fields: { x: u8 } });
export const optional = vmstate({
  name: "optional",
  version: 1,
  fields: { x: u8 },
  needed: (state) => state.x !== 0,
  absent: { x: 0 },
});

export function emptyKernel(): Kernel {
  let now = 0n;
  return createKernel({
    machineType: "succession",
    clock: virtualClock(() => ++now),
    machine: { pause() {}, resume() {}, reset() {} },
  });
}

export type States = readonly (readonly [Description, object, Partial<DeviceInit<never>>?])[];

/** A save of an earlier release that had these devices. */
export function saveOf(states: States): Uint8Array {
  const kernel = emptyKernel();
  for (const [description, state, more] of states) {
    kernel.device(description, { save: () => state as never, load: () => {}, ...(more as object) });
  }
  return kernel.snapshot();
}

/** A device that holds its state and logs its loads. */
export function held<D extends Description>(kernel: Kernel, description: D, state: StateOf<D>, more: object = {}) {
  const own = { state, loads: 0, registration: undefined as unknown as Registration<StateOf<D>> };
  own.registration = kernel.device(description, {
    save: () => own.state,
    load: (next: StateOf<D>) => {
      own.state = next;
      own.loads++;
    },
    ...more,
  });
  return own;
}

export function errorOf(work: () => unknown): MigrationError {
  try {
    work();
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("no error");
}

export async function rejection(work: Promise<unknown>): Promise<MigrationError> {
  return await work.then(
    () => {
      throw new Error("no error");
    },
    (error: unknown) => {
      if (isMigrationError(error)) return error;
      throw error;
    },
  );
}

/** Code, section, field, offset from the section's first byte of data. */
export function placeOf(error: MigrationError, save: Uint8Array, section: string): [string, unknown, unknown, unknown] {
  const { location } = error;
  const body = bodyOf(save, section);
  return [
    error.code,
    location.section,
    location.path,
    location.offset === undefined ? undefined : location.offset - body,
  ];
}

export function bodyOf(save: Uint8Array, section: string): number {
  let at = Number.NaN;
  const reader = new StreamReader({ open: () => undefined, footerScan: true });
  for (const event of [...reader.push(save), ...reader.end()]) {
    if (event.type !== "section") continue;
    if (`${event.head.idstr}/${event.head.instance}` === section) at = event.offset + event.bytes - 5 - event.bodyBytes;
  }
  return at;
}

export const oldPair: States = [[pair, { a: 7, b: 515 }]];

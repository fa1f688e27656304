// Machines for tests of post-copy: RAM at guest address 0 and devices of plain bytes, in a kernel.
import { array, createKernel, type Kernel, u8, virtualClock, vmstate } from "@godwit/core";
import { type RamInit, type RamOffer, ram } from "@godwit/ram-dirty-tracker";
import { page, type TestBlock, testBlock } from "./rig.ts";

export const command = {
  openReturnPath: 1,
  ping: 2,
  advise: 3,
  listen: 4,
  run: 5,
  discard: 6,
  packaged: 7,
} as const;

export interface PostcopyMachine {
  readonly kernel: Kernel;
  readonly offer: RamOffer;
  readonly blocks: readonly TestBlock[];
  /** What each device holds, by its idstr and instance. */
  readonly states: Map<string, Uint8Array>;
}

export interface MachineShape {
  readonly machineType: string;
  readonly blocks: readonly { readonly idstr: string; readonly bytes: number }[];
  readonly devices: readonly {
    readonly idstr: string;
    readonly instance: number;
    readonly version: number;
    readonly bytes: number;
  }[];
}

const smallShape: MachineShape = {
  machineType: "postcopy-1",
  blocks: [
    { idstr: "mach.ram", bytes: 64 * page },
    { idstr: "mach.rom", bytes: 8 * page },
  ],
  devices: [{ idstr: "uart", instance: 0, version: 1, bytes: 8 }],
};

export function postcopyMachine(
  shape: MachineShape = smallShape,
  init: Pick<RamInit, "inflateRaw"> = {},
): PostcopyMachine {
  let gpa = 0;
  const blocks = shape.blocks.map(({ idstr, bytes }) => {
    const block = testBlock(idstr, bytes, { map: [{ gpa, offset: 0, length: bytes }] });
    gpa += bytes;
    return block;
  });
  const kernel = createKernel({
    machineType: shape.machineType,
    clock: virtualClock(() => 0n),
    machine: { pause() {}, resume() {}, reset() {} },
  });
  const offer = kernel.use(ram({ blocks: blocks.map(({ block }) => block), ...init }));
  const states = new Map<string, Uint8Array>();
  for (const { idstr, instance, version, bytes } of shape.devices) {
    const key = `${idstr}/${instance}`;
    states.set(key, new Uint8Array(bytes));
    kernel.device(vmstate({ name: idstr, version, fields: { content: array(u8, bytes) } }), {
      instance,
      save: () => ({ content: states.get(key) as Uint8Array }),
      load: ({ content }) => states.set(key, content as Uint8Array),
    });
  }
  return { kernel, offer, blocks, states };
}

/** POSTCOPY_RAM_DISCARD's payload (wire reference 9.1). */
export function discardPayload(
  idstr: string,
  ranges: readonly { readonly start: number; readonly length: number }[],
): Uint8Array {
  const payload = new Uint8Array(3 + idstr.length + 16 * ranges.length);
  payload.set([0, idstr.length, ...new TextEncoder().encode(idstr), 0]);
  const view = new DataView(payload.buffer);
  for (const [index, { start, length }] of ranges.entries()) {
    view.setBigUint64(3 + idstr.length + 16 * index, BigInt(start));
    view.setBigUint64(11 + idstr.length + 16 * index, BigInt(length));
  }
  return payload;
}

export function discardOf(payload: Uint8Array): { idstr: string; ranges: { start: number; length: number }[] } {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const nameEnd = 2 + (payload[1] as number);
  const ranges: { start: number; length: number }[] = [];
  for (let at = nameEnd + 1; at < payload.length; at += 16) {
    ranges.push({ start: Number(view.getBigUint64(at)), length: Number(view.getBigUint64(at + 8)) });
  }
  return { idstr: new TextDecoder().decode(payload.subarray(2, nameEnd)), ranges };
}

export function u32Payload(value: number): Uint8Array {
  const payload = new Uint8Array(4);
  new DataView(payload.buffer).setUint32(0, value);
  return payload;
}

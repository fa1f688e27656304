/** A hart with a little RAM, and a bus that logs what it is asked and answers from a table. */
import type { Bus } from "../../src/hart/bus.ts";
import { Hart } from "../../src/hart/hart.ts";

export const RAM = 0x4000_0000;
export const PORT = 0x1000_0000;
export const HANDLER = RAM + 0x800;

export interface Access {
  kind: "read" | "write";
  address: number;
  size: number;
  value: number;
}

export interface Rig {
  hart: Hart;
  ram: Uint8Array;
  view: DataView;
  dirty: Uint32Array;
  log: Access[];
  /** Values for reads, by address; an address that is absent answers nothing, for reads and writes alike. */
  ports: Map<number, number>;
  /** Called on each logged access. */
  onAccess: (access: Access) => void;
  /** Writes words at an offset from the RAM base. */
  put(offset: number, words: readonly number[]): void;
}

export function makeRig(ramBytes: number = 64 * 1024): Rig {
  const log: Access[] = [];
  const ports = new Map<number, number>([[PORT, 0]]);
  const bus: Bus = {
    mmioRead(address, size) {
      const value = ports.get(address);
      if (value === undefined) return undefined;
      const access: Access = { kind: "read", address, size, value };
      log.push(access);
      rig.onAccess(access);
      return value;
    },
    mmioWrite(address, size, value) {
      if (!ports.has(address)) return false;
      const access: Access = { kind: "write", address, size, value };
      log.push(access);
      rig.onAccess(access);
      return true;
    },
  };
  const ram = new Uint8Array(ramBytes);
  const view = new DataView(ram.buffer);
  const dirty = new Uint32Array(Math.ceil(ramBytes / 4096 / 32));
  const hart = new Hart({ hartId: 0, bus });
  hart.attachRam(RAM, ram, dirty);
  hart.reset(RAM, 0, 0);
  const rig: Rig = {
    hart,
    ram,
    view,
    dirty,
    log,
    ports,
    onAccess: () => {},
    put(offset, words) {
      words.forEach((word, index) => {
        view.setUint32(offset + 4 * index, word, true);
      });
    },
  };
  return rig;
}

/** Runs `words` from the RAM base with the given registers set, one step each, and gives the registers after. */
export function execute(words: readonly number[], registers: Readonly<Record<number, number>> = {}): Uint32Array {
  const rig = makeRig();
  rig.put(0, words);
  const state = rig.hart.save();
  for (const [register, value] of Object.entries(registers)) state.x[Number(register)] = value;
  rig.hart.load(state);
  rig.hart.run(words.length);
  return rig.hart.save().x;
}

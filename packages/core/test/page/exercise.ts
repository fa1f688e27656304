// Descriptions of every common shape, written and read thousands of times, and a machine saved and loaded: the same
// bytes wherever it runs.
import {
  array,
  type Description,
  decodeRecord,
  encodeRecord,
  encodeState,
  type StateOf,
  since,
  struct,
  subsection,
  u8,
  u16,
  u32,
  u64,
  u64n,
  varray,
  vmstate,
} from "../../src/index.ts";
import { smallMachine } from "../machine.ts";

const rounds = 2000;

const queue = vmstate({ name: "queue", version: 1, fields: { address: u64, index: u16, used: u16, size: u32 } });
const device = vmstate({
  name: "device",
  version: 3,
  minimumVersion: 1,
  fields: {
    status: u8,
    features: u64,
    cycles: u64n,
    config: array(u32, 8),
    queues: array(struct(queue), 4),
    count: u8,
    pending: varray("count", u16),
    late: since(2, u32, { absent: 0 }),
  },
  subsections: {
    extra: subsection({
      name: "device/extra",
      version: 1,
      fields: { ticks: u32 },
      needed: (own) => own.ticks !== 0,
      absent: { ticks: 0 },
    }),
  },
});

function deviceState(random: () => number): StateOf<typeof device> {
  const count = random() & 7;
  return {
    status: random() & 0xff,
    features: (BigInt(random()) << 32n) | BigInt(random()),
    cycles: random() * 2 ** 20,
    config: Uint32Array.from({ length: 8 }, random),
    queues: Array.from({ length: 4 }, () => queueState(random)),
    count,
    pending: Uint16Array.from({ length: count }, random),
    late: random(),
    extra: { ticks: random() & 1 ? random() : 0 },
  };
}

function queueState(random: () => number): StateOf<typeof queue> {
  const [low, high] = [random(), random()];
  return { address: (BigInt(high) << 32n) | BigInt(low), index: low & 0xffff, used: high & 0xffff, size: low };
}

/** A 32-bit generator, the same everywhere. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return (state ^ (state >>> 15)) >>> 0;
  };
}

/** All bytes that came out, one after the other. Throws where bytes -> record -> bytes does not give them back. */
export async function exercise(): Promise<Uint8Array<ArrayBuffer>> {
  const random = generator(2026);
  const parts: Uint8Array[] = [];
  const round = <D extends Description>(description: D, state: StateOf<D>) => {
    const bytes = encodeState(description, state);
    const again = encodeRecord(description, decodeRecord(description, bytes));
    if (bytes.length !== again.length || bytes.some((byte, i) => byte !== again[i])) {
      throw new Error(`"${description.name}" is not what it was`);
    }
    parts.push(bytes);
  };
  for (let i = 0; i < rounds; i++) {
    round(queue, queueState(random));
    round(device, deviceState(random));
  }
  const machine = smallMachine(7);
  for (let i = 0; i < 100; i++) {
    const snapshot = machine.kernel.snapshot();
    machine.kernel.restore(snapshot);
    parts.push(snapshot);
  }
  const target = smallMachine(1);
  await target.kernel.load(machine.kernel.save());
  parts.push(target.kernel.snapshot());
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

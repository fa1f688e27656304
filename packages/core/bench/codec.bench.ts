// Decode and encode of two records, VT-d's (602 bytes) and one of a virtio-net device's size (46 KB), beside hand-written
// DataView code that makes the same objects, and binary-parser, which only decodes.
import { Parser } from "binary-parser";
import { measure } from "mitata";
import {
  array,
  bool,
  buffer,
  type Description,
  decodeRecord,
  decodeState,
  encodeRecord,
  encodeState,
  type StateOf,
  sameValue,
  struct,
  subsection,
  u8,
  u16,
  u32,
  u64,
  unused,
  varray,
  vmstate,
} from "../src/index.ts";
import { accelerate } from "../src/jit.ts";

// The record of plugins/iommu-vtd, whose description core cannot import; wire reference 14.3.
const vtd = vmstate({
  name: "iommu-intel",
  version: 1,
  fields: {
    root: u64,
    intr_root: u64,
    iq: u64,
    intr_size: u32,
    iq_head: u16,
    iq_tail: u16,
    iq_size: u16,
    next_frcd_reg: u16,
    csr: array(u8, 0x230),
    iq_last_desc_type: u8,
    _unused: unused(1),
    dmar_enabled: bool,
    qi_enabled: bool,
    intr_enabled: bool,
    intr_eime: bool,
  },
});
type Vtd = StateOf<typeof vtd>;

const vtdState: Vtd = {
  root: 0x1234_5000n,
  intr_root: 0x7fff_0000_1000n,
  iq: 0x55_0000n,
  intr_size: 0x10000,
  iq_head: 1,
  iq_tail: 2,
  iq_size: 256,
  next_frcd_reg: 3,
  csr: Uint8Array.from({ length: 0x230 }, (_, i) => i & 0xff),
  iq_last_desc_type: 5,
  dmar_enabled: true,
  qi_enabled: true,
  intr_enabled: false,
  intr_eime: false,
};

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function decodeVtdByHand(bytes: Uint8Array): Vtd {
  const view = viewOf(bytes);
  return {
    root: view.getBigUint64(0),
    intr_root: view.getBigUint64(8),
    iq: view.getBigUint64(16),
    intr_size: view.getUint32(24),
    iq_head: view.getUint16(28),
    iq_tail: view.getUint16(30),
    iq_size: view.getUint16(32),
    next_frcd_reg: view.getUint16(34),
    csr: bytes.slice(36, 596),
    iq_last_desc_type: view.getUint8(596),
    dmar_enabled: view.getUint8(598) !== 0,
    qi_enabled: view.getUint8(599) !== 0,
    intr_enabled: view.getUint8(600) !== 0,
    intr_eime: view.getUint8(601) !== 0,
  };
}

function encodeVtdByHand(state: Vtd): Uint8Array {
  const bytes = new Uint8Array(602);
  const view = viewOf(bytes);
  view.setBigUint64(0, state.root);
  view.setBigUint64(8, state.intr_root);
  view.setBigUint64(16, state.iq);
  view.setUint32(24, state.intr_size);
  view.setUint16(28, state.iq_head);
  view.setUint16(30, state.iq_tail);
  view.setUint16(32, state.iq_size);
  view.setUint16(34, state.next_frcd_reg);
  bytes.set(state.csr, 36);
  view.setUint8(596, state.iq_last_desc_type);
  view.setUint8(598, state.dmar_enabled ? 1 : 0);
  view.setUint8(599, state.qi_enabled ? 1 : 0);
  view.setUint8(600, state.intr_enabled ? 1 : 0);
  view.setUint8(601, state.intr_eime ? 1 : 0);
  return bytes;
}

const vtdParser = new Parser()
  .endianness("big")
  .uint64("root")
  .uint64("intr_root")
  .uint64("iq")
  .uint32("intr_size")
  .uint16("iq_head")
  .uint16("iq_tail")
  .uint16("iq_size")
  .uint16("next_frcd_reg")
  .buffer("csr", { length: 0x230 })
  .uint8("iq_last_desc_type")
  .seek(1)
  .uint8("dmar_enabled")
  .uint8("qi_enabled")
  .uint8("intr_enabled")
  .uint8("intr_eime");

const queues = 1024;
const queue = vmstate({
  name: "virtqueue",
  version: 1,
  fields: { num: u32, desc: u64, last_avail_idx: u16, vector: u16 },
});
const addresses = vmstate({ name: "virtqueue_state", version: 1, fields: { avail: u64, used: u64 } });
const modern = vmstate({
  name: "modern_queue_state",
  version: 1,
  fields: { num: u16, _unused: unused(1), enabled: u8, desc: array(u32, 2), avail: array(u32, 2), used: array(u32, 2) },
});
const net = vmstate({
  name: "virtio-net",
  version: 11,
  fields: {
    config: buffer(256),
    msix: buffer(64),
    status: u8,
    isr: u8,
    features: u32,
    queue_count: u32,
    vqs: varray("queue_count", struct(queue)),
    mac: buffer(6),
    promisc: u8,
    vlans: buffer(512),
  },
  subsections: {
    virtqueues: subsection({
      name: "virtio-net/virtqueues",
      version: 1,
      fields: { vq: array(struct(addresses), queues) },
      absent: () => ({ vq: Array.from({ length: queues }, () => ({ avail: 0n, used: 0n })) }),
    }),
    modern_state: subsection({
      name: "virtio-net/modern_state",
      version: 1,
      fields: { dfselect: u32, gfselect: u32, guest_features: array(u32, 2), vqs: array(struct(modern), queues) },
      absent: { dfselect: 0, gfselect: 0, guest_features: Uint32Array.of(0, 0), vqs: [] },
    }),
  },
});
type Net = StateOf<typeof net>;

const netState: Net = {
  config: new Uint8Array(256).fill(0x11),
  msix: new Uint8Array(64),
  status: 15,
  isr: 0,
  features: 0x3000_0000,
  queue_count: 3,
  vqs: Array.from({ length: 3 }, (_, i) => ({
    num: 256,
    desc: BigInt(i) << 20n,
    last_avail_idx: 40 + i,
    vector: i,
  })),
  mac: Uint8Array.of(0x52, 0x54, 0, 0x12, 0x34, 0x56),
  promisc: 1,
  vlans: new Uint8Array(512),
  virtqueues: { vq: Array.from({ length: queues }, (_, i) => ({ avail: BigInt(i) << 12n, used: BigInt(i) << 13n })) },
  modern_state: {
    dfselect: 1,
    gfselect: 1,
    guest_features: Uint32Array.of(0x3000_0000, 1),
    vqs: Array.from({ length: queues }, (_, i) => ({
      num: 256,
      enabled: i < 3 ? 1 : 0,
      desc: Uint32Array.of(i, 1),
      avail: Uint32Array.of(i, 2),
      used: Uint32Array.of(i, 3),
    })),
  },
};

class Reader {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  at = 0;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = viewOf(bytes);
  }
  u8(): number {
    return this.view.getUint8(this.at++);
  }
  u16(): number {
    this.at += 2;
    return this.view.getUint16(this.at - 2);
  }
  u32(): number {
    this.at += 4;
    return this.view.getUint32(this.at - 4);
  }
  u64(): bigint {
    this.at += 8;
    return this.view.getBigUint64(this.at - 8);
  }
  raw(size: number): Uint8Array {
    this.at += size;
    return this.bytes.slice(this.at - size, this.at);
  }
  pair(): Uint32Array {
    const words = new Uint32Array(2);
    words[0] = this.u32();
    words[1] = this.u32();
    return words;
  }
  subsection(name: string): void {
    let fits = this.u8() === 5 && this.u8() === name.length;
    for (let i = 0; fits && i < name.length; i++) fits = this.u8() === name.charCodeAt(i);
    if (!fits || this.u32() !== 1) throw new Error(`no ${name}`);
  }
}

function decodeNetByHand(bytes: Uint8Array): Net {
  const r = new Reader(bytes);
  const head = {
    config: r.raw(256),
    msix: r.raw(64),
    status: r.u8(),
    isr: r.u8(),
    features: r.u32(),
    queue_count: r.u32(),
  };
  const vqs: Net["vqs"] = [];
  for (let i = 0; i < head.queue_count; i++) {
    vqs.push({ num: r.u32(), desc: r.u64(), last_avail_idx: r.u16(), vector: r.u16() });
  }
  const device = { mac: r.raw(6), promisc: r.u8(), vlans: r.raw(512) };
  r.subsection("virtio-net/virtqueues");
  const vq: Net["virtqueues"]["vq"] = [];
  for (let i = 0; i < queues; i++) vq.push({ avail: r.u64(), used: r.u64() });
  r.subsection("virtio-net/modern_state");
  const registers = { dfselect: r.u32(), gfselect: r.u32(), guest_features: r.pair() };
  const modern: Net["modern_state"]["vqs"] = [];
  for (let i = 0; i < queues; i++) {
    const num = r.u16();
    r.at++;
    modern.push({ num, enabled: r.u8(), desc: r.pair(), avail: r.pair(), used: r.pair() });
  }
  return { ...head, vqs, ...device, virtqueues: { vq }, modern_state: { ...registers, vqs: modern } };
}

class Writer {
  readonly bytes = new Uint8Array(64 * 1024);
  readonly view = viewOf(this.bytes);
  at = 0;
  u8(value: number): void {
    this.view.setUint8(this.at++, value);
  }
  u16(value: number): void {
    this.view.setUint16(this.at, value);
    this.at += 2;
  }
  u32(value: number): void {
    this.view.setUint32(this.at, value);
    this.at += 4;
  }
  u64(value: bigint): void {
    this.view.setBigUint64(this.at, value);
    this.at += 8;
  }
  raw(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.at);
    this.at += bytes.length;
  }
  pair(words: Uint32Array): void {
    this.u32(words[0] as number);
    this.u32(words[1] as number);
  }
  subsection(name: string): void {
    this.u8(5);
    this.u8(name.length);
    for (let i = 0; i < name.length; i++) this.u8(name.charCodeAt(i));
    this.u32(1);
  }
}

function encodeNetByHand(state: Net): Uint8Array {
  const w = new Writer();
  w.raw(state.config);
  w.raw(state.msix);
  w.u8(state.status);
  w.u8(state.isr);
  w.u32(state.features);
  w.u32(state.queue_count);
  for (const { num, desc, last_avail_idx, vector } of state.vqs) {
    w.u32(num);
    w.u64(desc);
    w.u16(last_avail_idx);
    w.u16(vector);
  }
  w.raw(state.mac);
  w.u8(state.promisc);
  w.raw(state.vlans);
  w.subsection("virtio-net/virtqueues");
  for (const { avail, used } of state.virtqueues.vq) {
    w.u64(avail);
    w.u64(used);
  }
  w.subsection("virtio-net/modern_state");
  w.u32(state.modern_state.dfselect);
  w.u32(state.modern_state.gfselect);
  w.pair(state.modern_state.guest_features);
  for (const { num, enabled, desc, avail, used } of state.modern_state.vqs) {
    w.u16(num);
    w.u8(0);
    w.u8(enabled);
    w.pair(desc);
    w.pair(avail);
    w.pair(used);
  }
  return w.bytes.subarray(0, w.at);
}

const pair = { type: "uint32be", length: 2 } as const;
const netParser = new Parser()
  .endianness("big")
  .buffer("config", { length: 256 })
  .buffer("msix", { length: 64 })
  .uint8("status")
  .uint8("isr")
  .uint32("features")
  .uint32("queue_count")
  .array("vqs", {
    length: "queue_count",
    type: new Parser().endianness("big").uint32("num").uint64("desc").uint16("last_avail_idx").uint16("vector"),
  })
  .buffer("mac", { length: 6 })
  .uint8("promisc")
  .buffer("vlans", { length: 512 })
  .seek(1 + 1 + 21 + 4)
  .array("virtqueues", { length: queues, type: new Parser().endianness("big").uint64("avail").uint64("used") })
  .seek(1 + 1 + 23 + 4)
  .uint32("dfselect")
  .uint32("gfselect")
  .array("guest_features", pair)
  .array("modern", {
    length: queues,
    type: new Parser()
      .endianness("big")
      .uint16("num")
      .seek(1)
      .uint8("enabled")
      .array("desc", pair)
      .array("avail", pair)
      .array("used", pair),
  });

interface Case {
  readonly name: string;
  readonly description: Description;
  readonly state: Record<string, unknown>;
  readonly decode: (bytes: Uint8Array) => unknown;
  readonly encode: (state: never) => Uint8Array;
  readonly parser: Parser;
}

const cases: readonly Case[] = [
  {
    name: "VT-d",
    description: vtd,
    state: vtdState,
    decode: decodeVtdByHand,
    encode: encodeVtdByHand,
    parser: vtdParser,
  },
  {
    name: "virtio-net",
    description: net,
    state: netState,
    decode: decodeNetByHand,
    encode: encodeNetByHand,
    parser: netParser,
  },
];

/** Median, in microseconds. */
async function median(run: () => unknown): Promise<number> {
  const { p50 } = await measure(run, { min_cpu_time: 400e6, min_samples: 20 });
  return p50 / 1000;
}

export default async function codecBenchmark(): Promise<void> {
  accelerate();
  const rows: Record<string, string | number>[] = [];
  const add = (what: string, us: number, byHand: number, parser?: number): void => {
    const by = (other: number | undefined): string => (other === undefined ? "" : (us / other).toFixed(2));
    rows.push({ what, "median, us": us.toFixed(2), "of hand-written": by(byHand), "of binary-parser": by(parser) });
  };
  for (const { name, description, state, decode, encode, parser } of cases) {
    const bytes = encodeState(description, state as never).slice();
    const record = decodeRecord(description, bytes);
    const same = sameValue(decode(bytes), decodeState(description, bytes)) && sameValue(encode(state as never), bytes);
    if (!same) throw new Error(`the hand-written code of ${name} does something else`);
    const parsed = parser.parse(Buffer.from(bytes)) as Record<string, unknown>;
    if (parsed === undefined) throw new Error(`binary-parser does not read ${name}`);
    const buffer = Buffer.from(bytes);
    const decodedByHand = await median(() => decode(bytes));
    const decodedByParser = await median(() => parser.parse(buffer));
    const size = `${name}, ${bytes.length} bytes`;
    add(
      `decode ${size}: to the state`,
      await median(() => decodeState(description, bytes)),
      decodedByHand,
      decodedByParser,
    );
    add(
      `decode ${size}: to the record`,
      await median(() => decodeRecord(description, bytes)),
      decodedByHand,
      decodedByParser,
    );
    add(`decode ${size}: by hand`, decodedByHand, decodedByHand, decodedByParser);
    add(`decode ${size}: binary-parser`, decodedByParser, decodedByHand, decodedByParser);
    const encodedByHand = await median(() => encode(state as never));
    add(`encode ${size}: the state`, await median(() => encodeState(description, state as never)), encodedByHand);
    add(`encode ${size}: the record`, await median(() => encodeRecord(description, record)), encodedByHand);
    add(`encode ${size}: by hand`, encodedByHand, encodedByHand);
  }
  console.table(rows);
}

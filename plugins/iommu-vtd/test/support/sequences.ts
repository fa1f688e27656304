// What a guest and a device may do to a unit, as data: each sequence runs on our unit and on QEMU's, with the same end.
import type { CapabilityOptions } from "../../src/index.ts";

/**
 * One step. `reg` and `reg64` write a register at an offset (ours takes 64 bits as two halves, the low one first),
 * `mem` writes 64-bit words to guest memory, `msi` lets the device 00:04.0 interrupt, `see` looks at a 32-bit word.
 */
export type Step =
  | readonly ["reg", offset: number, value: number]
  | readonly ["reg64", offset: number, value: bigint]
  | readonly ["mem", gpa: number, ...words: bigint[]]
  | readonly ["msi", address: number, data: number]
  | readonly ["see", gpa: number];

export interface Sequence {
  readonly name: string;
  readonly unit: CapabilityOptions;
  readonly steps: readonly Step[];
  /** Where ours ends otherwise on purpose: why, and how its summary differs from QEMU's, as [theirs, ours]. */
  readonly differs?: { readonly why: string; readonly replace: readonly (readonly [theirs: string, ours: string])[] };
}

/** The device that interrupts: 00:04.0. */
export const deviceSourceId = 0x20;
const queue = 0x20_0000;
const table = 0x21_0000;
const status = 0x20_8000;

const reg = (offset: number, value: number): Step => ["reg", offset, value];
const reg64 = (offset: number, value: bigint): Step => ["reg64", offset, value];
const command = (bits: number): Step => reg(0x18, bits);

/** Descriptors of 128 bits, at the queue's beginning. */
const put = (...descriptors: (readonly [low: bigint, high?: bigint])[]): Step => [
  "mem",
  queue,
  ...descriptors.flatMap(([low, high = 0n]) => [low, high]),
];
const enableQueue: readonly Step[] = [reg64(0x90, BigInt(queue)), command(0x0400_0000)];
const submit = (...descriptors: (readonly [low: bigint, high?: bigint])[]): Step[] => [
  put(...descriptors),
  ...enableQueue,
  reg(0x88, 16 * descriptors.length),
];
const wait = (data: number): readonly [bigint, bigint] => [0x25n | (BigInt(data) << 32n), BigInt(status)];

/** Interrupt remapping on, with a table of 256 entries and what its entry 5 says. */
const remapping = (low: bigint, high = 0n, irta = BigInt(table) | 7n): Step[] => [
  ["mem", table + 16 * 5, low, high],
  reg64(0xb8, irta),
  command(0x0100_0000),
  command(0x0200_0000),
];
const entry5 = 0xfee0_00b0;
const interrupts = (name: string, low: bigint, high = 0n, address = entry5, data = 0): Sequence => ({
  name: `interrupt: ${name}`,
  unit: { intremap: true },
  steps: [...remapping(low, high), ["msi", address, data]],
});
const queues = (name: string, ...descriptors: (readonly [low: bigint, high?: bigint])[]): Sequence => ({
  name: `queue: ${name}`,
  unit: {},
  steps: [...submit(...descriptors), ["see", status]],
});
const of = (name: string, unit: CapabilityOptions, ...steps: Step[]): Sequence => ({ name, unit, steps });
const scalable = { scalableMode: true, intremap: true } as const;

/** How the end of one descriptor's queue differs where ours stops at it and QEMU's goes on. */
const stopped: readonly (readonly [theirs: string, ours: string])[] = [
  ["iq_head=1 iq_tail=1", "iq_tail=1"],
  ["38=80000000 80=10 88=10", "34=10 38=c0000000 88=10"],
];

export const sequences: readonly Sequence[] = [
  of("reset: interrupt remapping", { intremap: true }),
  of("reset: none of it", {}),
  of("reset: all for legacy mode", { intremap: true, deviceTlb: true, snoopControl: true, cachingMode: true }),
  of("reset: 48 bits, no drain, no pass-through", { addressWidth: 48, dmaDrain: false, passThrough: false }),
  of("reset: extended interrupts", { intremap: true, eim: true }),
  of("reset: scalable mode", scalable),
  of("reset: scalable mode with PASIDs", { ...scalable, pasid: true }),

  of("root: SRTP latches RTADDR", {}, reg64(0x20, 0x12_3000n), command(0x4000_0000)),
  of("root: RTADDR again", {}, reg64(0x20, 0x12_3000n), command(0x4000_0000), reg64(0x20, 0x45_6000n)),
  of("root: beyond 39 bits", {}, reg64(0x20, 0xffff_ffff_ffff_f000n), command(0x4000_0000)),
  of("root: beyond 48 bits", { addressWidth: 48 }, reg64(0x20, 0xffff_ffff_ffff_f000n), command(0x4000_0000)),
  of("root: scalable", scalable, reg64(0x20, 0x10_0400n), command(0x4000_0000)),
  of("root: scalable, all bits", scalable, reg64(0x20, 0xffff_ffff_ffff_ffffn), command(0x4000_0000)),
  of("root: a mode that is not offered", {}, reg64(0x20, 0x10_0400n), command(0x4000_0000)),
  of("translation: without a root", {}, command(0x8000_0000)),
  of("translation: on and off", {}, command(0xc000_0000), command(0)),

  of("table: IRTA before SIRTP", { intremap: true }, reg64(0xb8, 0x20_000fn)),
  of("table: the smallest", { intremap: true }, reg64(0xb8, 0x20_0000n), command(0x0100_0000)),
  of("table: the largest", { intremap: true }, reg64(0xb8, 0x20_000fn), command(0x0100_0000)),
  of("table: beyond 39 bits", { intremap: true }, reg64(0xb8, 0xffff_ffff_ffff_f007n), command(0x0100_0000)),
  of("table: EIME", { intremap: true, eim: true }, reg64(0xb8, 0x20_0807n), command(0x0100_0000)),
  of("table: EIME, not offered", { intremap: true }, reg64(0xb8, 0x20_0807n), command(0x0100_0000)),
  of("table: EIME, without interrupt remapping", {}, reg64(0xb8, 0x20_0807n), command(0x0100_0000)),
  of(
    "table: another one while remapping",
    { intremap: true },
    reg64(0xb8, 0x20_000fn),
    command(0x0100_0000),
    command(0x0200_0000),
    reg64(0xb8, 0x30_0003n),
    command(0x0300_0000),
  ),
  of("table: without interrupt remapping", {}, reg64(0xb8, 0x20_000fn), command(0x0300_0000)),
  of("remapping: without a table", { intremap: true }, command(0x0200_0000)),
  of("remapping: on and off", { intremap: true }, command(0x0300_0000), command(0)),
  of("remapping: CFI", { intremap: true }, command(0x0080_0000)),
  of("everything at once", { intremap: true }, command(0xffff_ffff)),

  interrupts("fixed, physical", 0x100_0041_0001n),
  interrupts("logical, redirected", 0x300_0042_000dn),
  interrupts("level", 0x42_0011n),
  interrupts("lowest priority", 0x42_0021n),
  interrupts("NMI", 0x42_0081n),
  interrupts("ExtINT", 0x42_00e1n),
  interrupts("a destination's other bits", 0x1234_5678_0042_0001n),
  interrupts("the guest's own bits", 0x41_0f01n),
  interrupts("the data without SHV", 0x41_0001n, 0n, entry5, 0x1234),
  interrupts("a subhandle", 0x46_0001n, 0n, 0xfee0_0078, 2),
  interrupts("not present", 0x41_0000n),
  interrupts("reserved bits", 0x41_1001n),
  interrupts("reserved bits, upper half", 0x41_0001n, 1n << 20n),
  interrupts("a source that fits", 0x41_0001n, 0x4_0020n),
  interrupts("a source that does not", 0x41_0001n, 0x4_0021n),
  interrupts("a source but for bit 2", 0x41_0001n, 0x5_0024n),
  interrupts("a source but for bits 2 and 1", 0x41_0001n, 0x6_0026n),
  interrupts("a source but for its function", 0x41_0001n, 0x7_0027n),
  interrupts("a source of another slot", 0x41_0001n, 0x7_0028n),
  interrupts("its bus", 0x41_0001n, 0x8_0000n),
  interrupts("another bus", 0x41_0001n, 0x8_0102n),
  interrupts("validation 3", 0x41_0001n, 0xc_0020n),
  interrupts("the last index", 0n, 0n, 0xfee0_1ff0),
  interrupts("an index outside", 0n, 0n, 0xfee0_2010),
  interrupts("index bit 15", 0n, 0n, 0xfee0_0014),
  interrupts("compatibility format", 0n, 0n, 0xfee0_1004, 0x45),
  {
    ...interrupts("a range of buses", 0x41_0001n, 0x8_0002n),
    differs: { why: "QEMU takes the bounds the wrong way round", replace: [["blocked", "fee00000 4041"]] },
  },
  {
    ...interrupts("posted format", 0x41_8001n),
    differs: { why: "posted interrupts are not offered: IM is reserved", replace: [["fee00000 4041", "blocked"]] },
  },
  of(
    "interrupt: 32-bit destination",
    { intremap: true, eim: true },
    ...remapping(0x1234_5678_0041_0001n, 0n, BigInt(table) | 0x807n),
    ["msi", entry5, 0],
  ),
  of("interrupt: remapping off", { intremap: true }, ["msi", entry5, 0x33]),

  queues("contexts, translations, wait", [0x11n], [0x12n], wait(5)),
  queues("drain bits", [0xd2n], wait(1)),
  queues("address mask 18", [0x32n, 0x1012n], wait(1)),
  queues("address mask 19", [0x32n, 0x1013n]),
  queues("no granularity (contexts)", [0x01n]),
  queues("no granularity (translations)", [0x02n]),
  queues("reserved bits (contexts)", [0x11n, 1n]),
  queues("reserved bits (contexts, low)", [0x111n]),
  queues("reserved bits (translations)", [0x1_0000_0012n]),
  queues("reserved bits (translations, address)", [0x12n, 0x100n]),
  queues("reserved bits (wait)", [0x1_0000_1025n, BigInt(status)]),
  queues("a status that is not aligned", [0x1_0000_0025n, BigInt(status) + 1n]),
  queues("type 0", [0n]),
  queues("type 15 after another", [0x11n], [0xfn]),
  queues("wait with a fence", [0x1_0000_0065n, BigInt(status)]),
  queues("wait with an interrupt, masked", [0x15n]),
  of("queue: wait with an interrupt", {}, reg(0xa4, 0x45), reg(0xa8, 0xfee0_0000), reg(0xa0, 0), ...submit([0x15n])),
  of("queue: the guest has seen it", {}, ...submit([0x15n]), reg(0x9c, 1)),
  of("queue: interrupt entries", { intremap: true }, ...submit([0x04n], [0x5_1800_0014n], wait(1)), ["see", status]),
  of("queue: a device's TLB", { deviceTlb: true }, ...submit([0x20_0000_0003n, 0x1000n], wait(1)), ["see", status]),
  of("queue: a device's TLB, reserved bits", { deviceTlb: true }, ...submit([0x20_0000_0013n, 0x1000n])),
  of("queue: PASIDs", scalable, ...submit([0x7n], [0x6n], wait(1)), ["see", status]),
  of("queue: type 8", scalable, ...submit([0x8n])),
  of("queue: the largest", {}, reg64(0x90, 0x20_0007n), command(0x0400_0000)),
  of("queue: beyond 39 bits", {}, reg64(0x90, 0xffff_ffff_ffff_f000n), command(0x0400_0000)),
  of("queue: IQA again", {}, ...enableQueue, reg64(0x90, 0x30_0007n)),
  of("queue: a tail outside", {}, ...enableQueue, reg(0x88, 256 * 16)),
  of("queue: a tail outside, cleared", {}, ...enableQueue, reg(0x88, 256 * 16), reg(0x88, 0), reg(0x34, 0x10)),
  of("queue: a tail's low bits", {}, put(wait(1)), ...enableQueue, reg(0x88, 0x1f), ["see", status]),
  of("queue: a tail before it is on", {}, reg(0x88, 16)),
  of("queue: worked off when it is switched on", {}, put(wait(7)), reg(0x88, 16), ...enableQueue, ["see", status]),
  of("queue: off", {}, ...submit(wait(1)), command(0)),
  of("queue: off after no wait", {}, ...submit([0x11n]), command(0)),
  of("queue: off and on", {}, ...submit(wait(1)), command(0), reg(0x88, 0), command(0x0400_0000)),
  of("queue: wide", scalable, reg64(0x90, 0x20_0800n), command(0x0400_0000)),
  of(
    "queue: wide, not offered",
    {},
    put(wait(1), wait(2)),
    reg64(0x90, 0x20_0801n),
    command(0x0400_0000),
    reg(0x88, 0x20),
    ["see", status],
  ),
  of("queue: the largest wide one", scalable, reg64(0x90, 0x20_0807n), command(0x0400_0000)),
  of(
    "queue: wide descriptors",
    scalable,
    put([0x11n], [0n], wait(7), [0n]),
    reg64(0x90, 0x20_0800n),
    command(0x0400_0000),
    reg(0x88, 0x40),
    ["see", status],
  ),
  of("queue: half a wide one", scalable, reg64(0x90, 0x20_0800n), command(0x0400_0000), reg(0x88, 0x10)),
  of("queue: a wide tail outside", scalable, reg64(0x90, 0x20_0800n), command(0x0400_0000), reg(0x88, 0x1000)),
  {
    ...of("queue: off at once", {}, ...enableQueue, command(0)),
    differs: {
      why: "QEMU never lets a queue go that has not worked yet",
      replace: [
        ["qi_enabled ", ""],
        ["1c=4000000 ", ""],
      ],
    },
  },
  {
    ...of("queue: mended", {}, ...submit([0xfn]), put(wait(3)), reg(0x34, 0x10), ["see", status]),
    differs: {
      why: "the queue goes on when IQE is cleared, not only when its tail moves",
      replace: [
        ["iq_tail=1", "iq_head=1 iq_tail=1"],
        ["iq_last_desc_type=15", "iq_last_desc_type=5"],
        ["38=80000000 88=10", "38=80000000 80=10 88=10"],
        ["see 0", "see 3"],
      ],
    },
  },

  {
    ...queues("wait for nothing", [0x5n]),
    differs: { why: "it is a fence, and valid", replace: stopped.map(([theirs, ours]) => [ours, theirs] as const) },
  },
  {
    ...queues("a device's TLB, not offered", [0x20_0000_0003n, 0x1000n]),
    differs: { why: "a descriptor for what is not offered is not valid", replace: stopped },
  },
  {
    ...queues("interrupt entries, not offered", [0x4n]),
    differs: { why: "a descriptor for what is not offered is not valid", replace: stopped },
  },
  {
    ...queues("PASIDs, not offered", [0x7n]),
    differs: { why: "a descriptor for what is not offered is not valid", replace: stopped },
  },
  {
    ...of("queue: reserved bits (interrupt entries)", { intremap: true }, ...submit([0x24n])),
    differs: { why: "reserved bits are looked at in every descriptor", replace: stopped },
  },
  {
    ...of("invalidation: by register while the queue is on", {}, ...enableQueue, reg64(0x28, 0xan << 60n)),
    differs: {
      why: "the request is answered with no granularity; in QEMU's unit it stays, and a guest that waits hangs",
      replace: [["2c=a0000000", "2c=20000000"]],
    },
  },
  of("invalidation: contexts, translations", {}, reg64(0x28, 0xa000n << 48n), reg64(0xf8, 0x9000n << 48n)),
  of("invalidation: no granularity", {}, reg64(0x28, 1n << 63n), reg64(0xf8, 1n << 63n)),
  {
    ...of(
      "invalidation: domain, page",
      {},
      reg64(0x28, (0xcn << 60n) | 15n),
      reg64(0xf0, 0x1000n),
      reg64(0xf8, 0xb000_000fn << 32n),
    ),
    differs: {
      why: "QEMU carries a domain's context invalidation out for all domains, and says so",
      replace: [["2c=48000000", "2c=50000000"]],
    },
  },
  of(
    "invalidation: device, mask 19",
    {},
    reg64(0x28, 0xen << 60n),
    reg64(0xf0, 0x1013n),
    reg64(0xf8, 0xb000_000fn << 32n),
  ),
  of("events: what can be written", {}, reg(0x38, 0), reg(0xa0, 0), reg(0x3c, 0x1234_5678), reg(0x44, 5), reg(0xac, 5)),
  of("events: addresses", {}, reg(0x40, 0xffff_ffff), reg(0xa8, 0xffff_ffff), reg(0xa4, 0xffff_ffff)),
];

const fields = [
  ["root", 0, 8],
  ["intr_root", 8, 8],
  ["iq", 16, 8],
  ["intr_size", 24, 4],
  ["iq_head", 28, 2],
  ["iq_tail", 30, 2],
  ["iq_size", 32, 2],
  ["next_frcd_reg", 34, 2],
  ["iq_last_desc_type", 596, 1],
] as const;
const flags = ["dmar_enabled", "qi_enabled", "intr_enabled", "intr_eime"];

/** A section and what else came of a sequence, as one line: what is not 0, by name, and registers by offset. */
export function summarize(section: Uint8Array, events: readonly string[]): string {
  const view = new DataView(section.buffer, section.byteOffset, section.byteLength);
  const words: string[] = [];
  for (const [name, at, size] of fields) {
    if (size === 8) words.push(`${name}=0x${view.getBigUint64(at).toString(16)}`);
    else words.push(`${name}=${size === 4 ? view.getUint32(at) : size === 2 ? view.getUint16(at) : view.getUint8(at)}`);
  }
  const set = flags.filter((_, i) => section[598 + i] !== 0);
  const registers: string[] = [];
  for (let at = 0; at < 0x230; at += 4) {
    registers.push(`${at.toString(16)}=${view.getUint32(36 + at, true).toString(16)}`);
  }
  const told = [...words, ...registers].filter((word) => !/=(0x)?0$/.test(word));
  return [
    ...told.filter((word) => /^[a-z]+_|^root|^iq=/.test(word)),
    ...set.map((flag) => flag),
    "|",
    ...told.filter((word) => !/^[a-z]+_|^root|^iq=/.test(word)),
    ...events.map((event) => `; ${event}`),
  ].join(" ");
}

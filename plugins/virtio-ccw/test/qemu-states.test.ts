// What a device of QEMU 7.2 (virtio-rng-ccw) had in its section after a guest of a few instructions had run these
// programs on it: ours has the same.
import { type NoData, noData, type VirtioModel } from "@godwit/virtio-core";
import { describe, expect, it } from "vitest";
import type { VirtioCcwConfigState } from "../src/index.ts";
import { rng } from "./support/classes.ts";
import type { Echo } from "./support/echo.ts";
import { be64, flag, Guest, place, type Word } from "./support/guest.ts";
import { ccwMachine } from "./support/machine.ts";
import { sectionIn } from "./support/section.ts";

const model: VirtioModel<NoData> = {
  name: "virtio-rng",
  sectionVersion: 1,
  minimumVersion: 1,
  deviceId: 4,
  description: noData,
  features: 0n,
  queueSizes: [8],
  configBytes: () => new Uint8Array(0),
  kick() {},
  reset() {},
  save: () => ({}),
  load() {},
};

const p = place.program;
const d = place.data;
const intparm = 0xabcd1234;
const nop: Word = { code: 0x03, flags: flag.sli, count: 1 };
const revision = (more: number): Word => ({ code: 0x83, flags: more, count: 4, address: d });

interface Case {
  readonly name: string;
  readonly words: readonly Word[];
  readonly data?: readonly (readonly [at: number, bytes: readonly number[]])[];
  readonly ctrl0?: number;
  readonly after?: (guest: Guest) => unknown;
  readonly scsw: object;
  readonly sch?: object;
  readonly transport?: object;
  readonly virtio?: object;
}

const ended = { flags: 0x80, ctrl: 0x4007, dstat: 0x0c, cstat: 0, count: 0 };
const taken = { ...ended, ctrl: 0 };
const test = (guest: Guest): unknown => guest.test();

const cases: readonly Case[] = [
  {
    name: "a program that has ended, its status pending",
    words: [nop],
    scsw: { ...ended, cpa: p + 8 },
    sch: {
      channel_prog: BigInt(p),
      last_cmd: { cmd_code: 3, flags: 0x20, count: 1, cda: 0 },
      last_cmd_valid: true,
      ccw_no_data_cnt: 1,
      ccw_fmt_1: true,
      orb: { intparm, ctrl0: 0x80, lpm: 0xff, ctrl1: 0, cpa: p },
    },
  },
  {
    name: "the same, taken back",
    words: [nop],
    after: test,
    scsw: { ...taken, cpa: p + 8 },
    sch: { last_cmd_valid: true, ccw_no_data_cnt: 1 },
  },
  {
    name: "a command that the device does not know",
    words: [{ code: 0x77, count: 1, address: d }],
    scsw: { flags: 0x80, ctrl: 0x4017, cpa: p + 8, dstat: 0x02, cstat: 0, count: 0 },
    sch: { sense_data: Uint8Array.of(0x80, ...new Array(31).fill(0)) },
    // A legacy driver, as it seems.
    transport: { revision: 0 },
  },
  {
    name: "a program that begins with a transfer",
    words: [{ code: 0x08, address: p }],
    after: test,
    scsw: { flags: 0x80, ctrl: 0, cpa: p + 8, dstat: 0, cstat: 0x20, count: 0 },
    sch: { last_cmd: { cmd_code: 8, flags: 0, count: 0, cda: p }, last_cmd_valid: true },
    transport: { revision: -1 },
  },
  {
    name: "SENSE ID with room for more",
    words: [{ code: 0xe4, flags: flag.sli, count: 300, address: d }],
    after: test,
    scsw: { ...taken, cpa: p + 8, count: 44 },
  },
  {
    name: "a program of format 0",
    words: [{ code: 0xe4, flags: flag.sli, count: 8, address: d }],
    ctrl0: 0,
    after: test,
    scsw: { ...taken, flags: 0, cpa: p + 8 },
    sch: { ccw_fmt_1: false, last_cmd: { cmd_code: 0xe4, flags: 0x20, count: 8, cda: d } },
  },
  {
    name: "data where no memory is",
    words: [{ code: 0xe4, flags: flag.sli, count: 8, address: 0x1000_0000 }],
    after: test,
    scsw: { flags: 0x80, ctrl: 0, cpa: p + 8, dstat: 0, cstat: 0x20, count: 0 },
  },
  {
    name: "revision 2, indicators and a queue",
    words: [
      revision(flag.chain),
      { code: 0x53, flags: flag.chain, count: 8, address: d + 8 },
      { code: 0x43, flags: flag.chain, count: 8, address: d + 16 },
      { code: 0x13, count: 32, address: d + 32 },
    ],
    data: [
      [d, [0, 2, 0, 0]],
      [d + 8, be64(0x1_4800)],
      [d + 16, be64(0x1_4808)],
      [d + 32, [...be64(0x1_5000), 0, 0, 0, 0, 0, 0, 0, 8, ...be64(0x1_6000), ...be64(0x1_7000)]],
    ],
    after: test,
    scsw: { ...taken, cpa: p + 32 },
    sch: { channel_prog: BigInt(p + 24), thinint_active: false },
    transport: {
      indicators: { len: 8, addr: 0x1_4808n },
      indicators2: { len: 8, addr: 0x1_4800n },
      summary_indicator: { len: 0, addr: 0n },
      config_vector: 1024,
      revision: 2,
    },
    virtio: { vqs: [{ num: 8, desc: 0x1_5000n, last_avail_idx: 0, transport: { vector: 0 } }] },
  },
  {
    name: "adapter indicators from bit 20 on",
    words: [
      revision(flag.chain),
      { code: 0x73, flags: flag.chain, count: 25, address: d + 64 },
      { code: 0x31, count: 1, address: d + 8 },
    ],
    data: [
      [d, [0, 2, 0, 0]],
      [d + 8, [3]],
      [d + 64, [...be64(0x1_4800), ...be64(0x1_4810), ...be64(20), 3]],
    ],
    after: test,
    scsw: { ...taken, cpa: p + 24 },
    sch: { thinint_active: true },
    transport: {
      indicators: { len: 3, addr: 0x1_4810n },
      indicators2: { len: 0, addr: 0n },
      summary_indicator: { len: 1, addr: 0x1_4800n },
      config_vector: 0xffff,
      routes: { adapter: { ind_offset: 20n, summary_offset: { summary_offset: 7 } } },
      thinint_isc: 3,
      revision: 2,
    },
    virtio: { status: 3, vqs: [{ num: 8, desc: 0n, transport: { vector: 0xffff } }] },
  },
  {
    name: "adapter indicators that the driver has taken back",
    words: [
      revision(flag.chain),
      { code: 0x73, flags: flag.chain, count: 25, address: d + 64 },
      { code: 0x73, count: 25, address: d + 128 },
    ],
    data: [
      [d, [0, 2, 0, 0]],
      [d + 64, [...be64(0x1_4800), ...be64(0x1_4810), ...be64(20), 3]],
      [d + 128, [...be64(0x1_4800), ...be64(0), ...be64(0), 3]],
    ],
    after: test,
    scsw: { ...taken, cpa: p + 24 },
    sch: { thinint_active: true },
    transport: {
      indicators: { len: 1, addr: 0n },
      summary_indicator: { len: 1, addr: 0x1_4800n },
      routes: { adapter: { ind_offset: 0n, summary_offset: { summary_offset: 7 } } },
      thinint_isc: 3,
    },
  },
  {
    name: "configuration's indicators, taken back",
    words: [
      revision(flag.chain),
      { code: 0x53, flags: flag.chain, count: 8, address: d + 8 },
      { code: 0x53, count: 8, address: d + 16 },
    ],
    data: [
      [d, [0, 2, 0, 0]],
      [d + 8, be64(0x1_4800)],
      [d + 16, be64(0)],
    ],
    after: test,
    scsw: { ...taken, cpa: p + 24 },
    transport: { indicators2: { len: 8, addr: 0n }, config_vector: 0xffff },
  },
  {
    name: "a reset after the revision",
    words: [revision(flag.chain), { code: 0x53, flags: flag.chain, count: 8, address: d + 8 }, { code: 0x33 }],
    data: [
      [d, [0, 2, 0, 0]],
      [d + 8, be64(0x1_4800)],
    ],
    after: test,
    scsw: { ...taken, cpa: p + 24 },
    sch: { ccw_no_data_cnt: 1 },
    transport: { indicators2: { len: 0, addr: 0n }, config_vector: 0xffff, revision: 2 },
  },
  {
    name: "a revision that comes twice",
    words: [revision(flag.chain), revision(0)],
    data: [[d, [0, 1, 0, 0]]],
    after: test,
    scsw: { flags: 0x80, ctrl: 0, cpa: p + 16, dstat: 0x02, cstat: 0, count: 0 },
    sch: { sense_data: new Uint8Array(32) },
    transport: { revision: 1 },
  },
  {
    name: "halt",
    words: [],
    after: (guest) => guest.sch.haltSubchannel(),
    scsw: { flags: 0, ctrl: 0x2001, cpa: 0, dstat: 0x04, cstat: 0, count: 0 },
    sch: { curr_status: { pmcw: { lpum: 0x80 } }, last_cmd_valid: false },
  },
  {
    name: "clear",
    words: [],
    after: (guest) => [guest.sch.clearSubchannel(), guest.test()],
    scsw: { flags: 0, ctrl: 0, cpa: 0, dstat: 0, cstat: 0, count: 0 },
    sch: { curr_status: { pmcw: { lpum: 0x80 } }, channel_prog: 0n, last_cmd_valid: false },
  },
];

describe("a section", () => {
  it.each(cases)("has what QEMU's has after $name", async ({ words, data = [], ctrl0 = 0x80, after, ...expected }) => {
    const guest = new Guest(ccwMachine({ transitional: true }, model as unknown as Echo));
    expect(guest.enable()).toBe(0);
    for (const [at, bytes] of data) guest.poke(at, bytes);
    guest.program(words, p, ctrl0 !== 0);
    if (words.length > 0) expect(guest.start({ ctrl0, intparm })).toBe(0);
    after?.(guest);
    guest.machine.kernel.pause();
    const { state } = sectionIn<NoData>(await guest.machine.save(), rng);
    const { transport, ...virtio } = state;
    const { sch }: VirtioCcwConfigState["parent_obj"] = transport.parent_obj;
    expect(sch.curr_status.scsw).toEqual(expected.scsw);
    expect(sch).toMatchObject({
      curr_status: { pmcw: { intparm: words.length > 0 ? intparm : 0, flags: 0x1881, lpm: 0x80, pim: 0x80, chars: 1 } },
    });
    expect(sch).toMatchObject(expected.sch ?? {});
    expect(transport).toMatchObject(expected.transport ?? {});
    expect(virtio).toMatchObject(expected.virtio ?? {});
  });
});

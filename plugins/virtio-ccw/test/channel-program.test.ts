// Channel programs: formats, chaining, lengths, indirect addresses, suspension, and what is wrong with some.
import { describe, expect, it } from "vitest";
import { done, flag, Guest, place, type Start, status, type Word } from "./support/guest.ts";
import { ccwMachine } from "./support/machine.ts";

const d = place.data;
const senseId = [0xff, 0x38, 0x32, 30, 0, 0, 0, 0];
const nop: Word = { code: 0x03, flags: flag.sli, count: 1 };
const chain = flag.chain | flag.sli;
const programCheck = { dstat: 0, cstat: 0x20 };

function guest(): Guest {
  const made = new Guest(ccwMachine());
  made.enable();
  made.must(0x83, [0, 2, 0, 0]);
  return made;
}

describe("a channel program", () => {
  it("may be of format 0 or 1", () => {
    const g = guest();
    const read = { code: 0xe4, flags: flag.sli, count: 8, address: d };
    expect(g.run([read], { ctrl0: 0 })).toMatchObject({ flags: 0, dstat: 0x0c, cstat: 0, count: 0 });
    expect(g.peek(d, 9)).toEqual([...senseId, 0]);
    g.poke(d, new Array(8).fill(0));
    expect(g.run([read], { ctrl0: 0x5080 })).toMatchObject({ flags: 0x5080, dstat: 0x0c });
    expect(g.peek(d, 8)).toEqual(senseId);
    // A format-0 transfer is told by four bits of its code.
    g.program([read], 0x600, false);
    expect(
      g.run(
        [nop, { code: 0xf8, address: 0x600 }].map((w) => ({ ...w, flags: w.code === 3 ? chain : 0 })),
        { ctrl0: 0 },
      ),
    ).toMatchObject({ dstat: 0x0c, cpa: 0x608 });
  });

  it("chains commands, also by transfer in channel, and ends where one fails", () => {
    const g = guest();
    g.program([{ code: 0xe4, flags: flag.sli, count: 8, address: d + 16 }], 0x600);
    const words = [
      { ...nop, flags: chain },
      { code: 0xe4, flags: chain, count: 4, address: d },
      { code: 0x08, address: 0x600 },
    ];
    expect(g.run(words)).toMatchObject({ dstat: 0x0c, cstat: 0, cpa: 0x608, ctrl: 0x4000 | done });
    expect([g.peek(d, 5), g.peek(d + 16, 8)]).toEqual([[0xff, 0x38, 0x32, 30, 0], senseId]);
    g.poke(d, new Array(32).fill(0));
    const failing = [words[0] as Word, { code: 0x77, flags: chain, count: 1, address: d }, words[1] as Word];
    expect(g.run(failing)).toMatchObject({ dstat: 0x02, cpa: place.program + 16, sense: 0x80 });
    expect(g.peek(d, 4)).toEqual([0, 0, 0, 0]);
  });

  it("chains data over several areas, and skips some", () => {
    const g = guest();
    const words = [
      { code: 0xe4, flags: flag.chainData, count: 2, address: d },
      { code: 0, flags: flag.chainData | flag.skip, count: 1, address: d + 8 },
      { code: 0, flags: flag.sli, count: 5, address: d + 16 },
    ];
    expect(g.run(words)).toMatchObject({ dstat: 0x0c, cstat: 0, count: 0, cpa: place.program + 24 });
    expect([g.peek(d, 3), g.peek(d + 8, 1), g.peek(d + 16, 6)]).toEqual([[0xff, 0x38, 0], [0], [30, 0, 0, 0, 0, 0]]);
    // A write gathers: feature word 0, in two pieces.
    g.poke(d, [5, 0, 0]);
    g.poke(d + 16, [0, 0]);
    const write = [
      { code: 0x11, flags: flag.chainData, count: 3, address: d },
      { code: 0, count: 2, address: d + 16 },
    ];
    expect(g.run(write)).toMatchObject({ dstat: 0x0c, cstat: 0 });
    expect(g.machine.model.device.features).toBe(5n);
    // The device ends within the first: length suppression does not hold where data is chained.
    expect(
      g.run([
        { code: 0x04, flags: flag.chainData | flag.sli, count: 40, address: d },
        { code: 0, flags: flag.sli, count: 5, address: d },
      ]),
    ).toMatchObject({ dstat: 0x0c, cstat: 0x40, count: 8, cpa: place.program + 8 });
  });

  it("tells an incorrect length, unless it is suppressed", () => {
    const g = guest();
    const long = { code: 0x04, count: 40, address: d };
    expect(g.run([{ ...long, flags: flag.chain }, nop])).toMatchObject({
      dstat: 0x0c,
      cstat: 0x40,
      count: 8,
      cpa: place.program + 8,
      ctrl: 0x4000 | done | status.alert,
    });
    expect(g.run([{ ...long, flags: flag.sli }])).toMatchObject({ dstat: 0x0c, cstat: 0, count: 8 });
    // The device has more.
    const short = { code: 0xe4, count: 8, address: d };
    expect(g.run([short])).toMatchObject({ dstat: 0x0c, cstat: 0x40, count: 0 });
    expect(g.peek(d, 9)).toEqual([...senseId, 0]);
    // Too little for the command: not carried out, and with suppression the device says so.
    expect(g.run([{ code: 0x11, count: 4, address: d }])).toMatchObject({ dstat: 0x0c, cstat: 0x40 });
    expect(g.run([{ code: 0x11, flags: flag.sli, count: 4, address: d }])).toMatchObject({ dstat: 0x02, sense: 0x80 });
    expect(g.machine.model.device.features).toBe(0n);
  });

  it("reaches data by lists of indirect addresses", () => {
    const g = guest();
    const read = { code: 0xe4, flags: flag.ida | flag.sli, count: 8, address: 0x700 };
    g.view.setUint32(0x700, 0x1ffd);
    g.view.setUint32(0x704, 0x4800);
    expect(g.run([read])).toMatchObject({ dstat: 0x0c, cstat: 0 });
    expect([g.peek(0x1ffc, 4), g.peek(0x4800, 6)]).toEqual([
      [0, 0xff, 0x38, 0x32],
      [30, 0, 0, 0, 0, 0],
    ]);
    for (const [ctrl0, block, second] of [
      [0x0082, 4096, 0x1_5000],
      [0x0083, 2048, 0x1_5800],
    ] as const) {
      g.view.setBigUint64(0x700, BigInt(2 * block - 1));
      g.view.setBigUint64(0x708, BigInt(second));
      expect(g.run([read], { ctrl0 })).toMatchObject({ dstat: 0x0c, cstat: 0 });
      expect([g.peek(2 * block - 1, 1), g.peek(second, 7)]).toEqual([[0xff], senseId.slice(1)]);
    }
    g.view.setBigUint64(0x708, 0x1_5800n);
    expect(g.run([read], { ctrl0: 0x0082 })).toMatchObject(programCheck);
    g.view.setBigUint64(0x704, 0x1_5000n);
    expect(g.run([{ ...read, address: 0x704 }], { ctrl0: 0x0082 })).toMatchObject(programCheck);
  });

  it("may be suspended, resumed, halted", () => {
    const g = guest();
    const word = { code: 0xe4, flags: flag.sli, count: 4, address: d };
    g.program([
      { ...nop, flags: chain },
      { ...word, flags: flag.sli | flag.suspend },
    ]);
    expect(g.start({ ctrl0: 0x0880 })).toBe(0);
    const suspended = 0x4000 | 0x20;
    expect(g.test()).toMatchObject({
      outcome: 0,
      flags: 0x0880,
      ctrl: suspended | status.intermediate | status.pending,
      cpa: place.program + 16,
      dstat: 0,
    });
    expect([g.test(), g.start(), g.peek(d, 1)]).toMatchObject([{ outcome: 1, ctrl: suspended }, 2, [0]]);
    // It is still marked, and suspended once more.
    expect(g.sch.resumeSubchannel()).toBe(0);
    expect(g.test().ctrl).toBe(suspended | status.intermediate | status.pending);
    g.program([word], place.program + 8);
    expect(g.sch.resumeSubchannel()).toBe(0);
    expect(g.test()).toMatchObject({ ctrl: 0x4000 | done, dstat: 0x0c, cpa: place.program + 16 });
    expect([g.peek(d, 4), g.sch.resumeSubchannel()]).toEqual([senseId.slice(0, 4), 2]);
    // The interruption can be suppressed, and a suspended program halted.
    g.program([{ ...word, flags: flag.suspend }]);
    const { length } = g.machine.log;
    expect(g.start({ ctrl0: 0x0888 })).toBe(0);
    expect([g.machine.log.length, g.test().outcome, g.sch.haltSubchannel()]).toEqual([length, 1, 0]);
    expect(g.test()).toMatchObject({ ctrl: 0x6000 | status.pending, dstat: 0x04 });
    expect([g.sch.resumeSubchannel(), g.start({ at: 0x400 })]).toEqual([2, 0]);
  });

  it("can ask for an interruption on its way", () => {
    const g = guest();
    expect(g.run([{ ...nop, flags: chain | flag.pci }, nop])).toMatchObject({
      ctrl: 0x4000 | done | status.intermediate,
      cstat: 0x80,
      dstat: 0x0c,
    });
    // Also where the program is suspended then, and wants to be so silently.
    const { length } = g.machine.log;
    g.program([
      { ...nop, flags: chain | flag.pci },
      { ...nop, flags: flag.suspend },
    ]);
    expect(g.start({ ctrl0: 0x0888 })).toBe(0);
    expect([g.machine.log.length, g.test()]).toMatchObject([
      length + 1,
      { ctrl: 0x4020 | status.intermediate | status.pending, cstat: 0x80 },
    ]);
  });

  const wrong: [string, Word[], Start?][] = [
    ["begins with a transfer", [{ code: 0x08, address: 0x600 }]],
    [
      "transfers to a transfer",
      [
        { ...nop, flags: chain },
        { code: 0x08, address: place.program + 16 },
        { code: 0x08, address: place.program },
      ],
    ],
    [
      "has a transfer with flags",
      [
        { ...nop, flags: chain },
        { code: 0x08, flags: flag.sli, address: place.program },
      ],
    ],
    [
      "has a transfer of another code",
      [
        { ...nop, flags: flag.chain },
        { code: 0x18, address: 0x600 },
      ],
    ],
    [
      "has a transfer to no doubleword",
      [
        { ...nop, flags: chain },
        { code: 0x08, address: place.program + 4 },
      ],
    ],
    ["begins at no doubleword", [nop], { at: place.program + 4 }],
    ["has no command", [{ code: 0x10, count: 1, address: d }]],
    [
      "chains data of no bytes",
      [
        { code: 0xe4, flags: flag.chainData, address: d },
        { code: 0, count: 8, address: d },
      ],
    ],
    ["has no bytes in format 0", [{ code: 0x03 }], { ctrl0: 0 }],
    ["is suspended without leave", [{ ...nop, flags: flag.suspend }]],
    ["has modified indirect addresses", [{ ...nop, flags: 1 }]],
    ["has a data address of 32 bits", [{ code: 0xe4, flags: flag.sli, count: 8, address: 0x8000_0000 }]],
    ["has its data where no memory is", [{ code: 0xe4, flags: flag.sli, count: 8, address: 0x0100_0000 }]],
    ["lies where no memory is", [], { at: 0x0100_0000 }],
  ];
  it.each(wrong)("is checked: one that %s", (_, words, start = {}) => {
    const g = guest();
    // Where transfers lead to there is a program.
    g.program([nop], 0x600);
    const { ctrl0 = 0x0080, at = place.program } = start;
    if (words.length > 0) g.program(words, at, (ctrl0 & 0x80) !== 0);
    expect(g.start(start)).toBe(0);
    expect(g.test()).toMatchObject({ ...programCheck, ctrl: 0x4000 | done | status.alert });
  });

  it("must end: with and without data", () => {
    const g = guest();
    expect(
      g.run([
        { code: 0x03, flags: flag.chain },
        { code: 0x08, address: place.program },
      ]),
    ).toMatchObject(programCheck);
    expect(
      g.run([
        { code: 0x04, flags: flag.chain, count: 32, address: d },
        { code: 0x08, address: place.program },
      ]),
    ).toMatchObject(programCheck);
    const many = Array.from({ length: 253 }, () => ({ code: 0x03, flags: flag.chain }));
    expect(g.run([...many, nop], { at: 0x2000 })).toMatchObject({ dstat: 0x0c });
    expect(g.run([...many, { code: 0x03, flags: flag.chain }, nop], { at: 0x2000 })).toMatchObject(programCheck);
  });
});

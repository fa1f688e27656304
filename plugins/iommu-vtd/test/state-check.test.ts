// Interrupt-remapping, queue and scalable-mode fields of a state: what contradicts itself is refused at its field.
import { describe, expect, it } from "vitest";
import { checkVtdState, translator, type VtdState } from "../src/index.ts";
import { stateAt, TestMemory } from "./support.ts";

const legacy = 0xf0_0f5an; // IR, EIM
const scalable = 0x4800_80f0_0f4an; // IR, SMTS
const plain = 0xf42n;

const set32 = (state: VtdState, offset: number, value: number) =>
  new DataView(state.csr.buffer, state.csr.byteOffset).setUint32(offset, value, true);

/** A state with translation, queue and interrupt remapping on, in a unit of these capabilities. */
function stateOf(ecap: bigint, changes: Partial<VtdState> = {}, registers: Record<number, number> = {}): VtdState {
  const state: VtdState = {
    ...stateAt(0x10_0000, { ecap, cap: 0x00d2_008c_222f_0606n }),
    qi_enabled: true,
    intr_enabled: ecap !== plain,
    intr_root: ecap === plain ? 0n : 0x20_0000n,
    intr_size: ecap === plain ? 0 : 256,
    iq: 0x3_0000n,
    iq_size: 256,
    iq_head: 2,
    iq_tail: 3,
    iq_last_desc_type: 4,
    ...changes,
  };
  set32(state, 0x1c, ecap === plain ? 0xc400_0000 : 0xc700_0000);
  set32(state, 0x80, 0x20);
  set32(state, 0x88, 0x30);
  set32(state, 0x90, 0x3_0000);
  for (const [offset, value] of Object.entries(registers)) set32(state, Number(offset), value);
  return state;
}

const refused = (state: VtdState) => {
  try {
    checkVtdState(state);
    return undefined;
  } catch (error) {
    const { code, location, expected, found } = error as {
      code: string;
      location: { path?: string };
      expected?: string;
      found?: string;
    };
    return [code, location.path, expected, found];
  }
};

describe("interrupt remapping in a state", () => {
  it.each<[string, VtdState]>([
    ["on", stateOf(legacy)],
    ["on, with 32-bit destinations", stateOf(legacy, { intr_eime: true })],
    ["32-bit destinations without EIM, as QEMU latches them", stateOf(scalable, { intr_eime: true })],
    ["on, with CFI", stateOf(legacy, {}, { 28: 0xc780_0000 })],
    [
      "on, without a table, as QEMU lets a guest",
      stateOf(legacy, { intr_root: 0n, intr_size: 0 }, { 28: 0xc600_0000 }),
    ],
    [
      "off, with a table, as QEMU's unit without it takes one",
      stateOf(plain, { intr_root: 0x5000n, intr_size: 2 }, { 28: 0xc500_0000 }),
    ],
    ["on, IRTA written again", stateOf(legacy, {}, { 184: 0x77_7803 })],
    ["the largest table", stateOf(legacy, { intr_size: 0x1_0000 })],
    ["a table at 0", stateOf(legacy, { intr_root: 0n })],
  ])("is taken: %s", (_, state) => {
    expect(refused(state)).toBeUndefined();
  });

  it.each<[string, VtdState, string, string, string]>([
    [
      "a table that is no page",
      stateOf(legacy, { intr_root: 0x20_0010n }),
      "intr_root",
      "a page's address below 2^52",
      "0x200010",
    ],
    [
      "a table that nothing set",
      stateOf(legacy, { intr_size: 0 }, { 28: 0xc600_0000 }),
      "intr_root",
      "0x0",
      "0x200000",
    ],
    [
      "a size that nothing set",
      stateOf(legacy, { intr_root: 0n }, { 28: 0xc600_0000 }),
      "intr_size",
      "0 before SIRTP has set a table",
      "256",
    ],
    ["a table of no size", stateOf(legacy, { intr_size: 0 }), "intr_size", "a power of two from 2 to 65536", "0"],
    ["one entry", stateOf(legacy, { intr_size: 1 }), "intr_size", "a power of two from 2 to 65536", "1"],
    ["three entries", stateOf(legacy, { intr_size: 3 }), "intr_size", "a power of two from 2 to 65536", "3"],
    [
      "too many entries",
      stateOf(legacy, { intr_size: 0x2_0000 }),
      "intr_size",
      "a power of two from 2 to 65536",
      "131072",
    ],
    ["on, but not in GSTS", stateOf(legacy, {}, { 28: 0xc500_0000 }), "intr_enabled", "false", "true"],
    ["off, but on in GSTS", stateOf(legacy, { intr_enabled: false }), "intr_enabled", "true", "false"],
    [
      "on, in a unit without it",
      stateOf(plain, { intr_enabled: true }, { 28: 0xc600_0000 }),
      "intr_enabled",
      "false",
      "true",
    ],
    [
      "32-bit destinations without a table",
      stateOf(legacy, { intr_eime: true, intr_root: 0n, intr_size: 0 }, { 28: 0xc600_0000 }),
      "intr_eime",
      "false",
      "true",
    ],
    ["CFI in a unit without remapping", stateOf(plain, {}, { 28: 0xc480_0000 }), "csr[28]", "CFIS 0", "CFIS 1"],
  ])("is refused: %s", (_, state, path, expected, found) => {
    expect(refused(state)).toEqual(["DEVICE_CHECK", path, expected, found]);
  });
});

describe("the queue in a state", () => {
  it.each<[string, VtdState]>([
    ["wide", stateOf(scalable, { iq_size: 128 }, { 128: 0x40, 136: 0x60, 144: 0x3_0800 })],
    ["the largest wide one", stateOf(scalable, { iq_size: 0x4000 }, { 128: 0x40, 136: 0x60, 144: 0x3_0807 })],
    ["wide, IQA written again", stateOf(scalable, { iq_size: 128 }, { 128: 0x40, 136: 0x60, 144: 0x5_0000 })],
    ["wide, with half a tail in IQT", stateOf(scalable, { iq_size: 128 }, { 128: 0x40, 136: 0x70, 144: 0x3_0800 })],
    ["narrow, in a unit that has both", stateOf(scalable, {})],
    ["narrow, with DW where it is not offered", stateOf(legacy, {}, { 144: 0x3_0800 })],
    ["off, with a tail left", stateOf(legacy, { qi_enabled: false, iq_head: 0 }, { 28: 0xc300_0000, 128: 0 })],
  ])("is taken: %s", (_, state) => {
    expect(refused(state)).toBeUndefined();
  });

  it.each<[string, VtdState, string, string, string]>([
    [
      "a wide queue where none is offered",
      stateOf(legacy, { iq_size: 128 }, { 144: 0x3_0800 }),
      "iq_size",
      "a power of two from 256 to 32768",
      "128",
    ],
    ["wide indexes without scalable mode", stateOf(legacy, {}, { 128: 0x40, 136: 0x60 }), "iq_head", "4", "2"],
    ["a wide tail without scalable mode", stateOf(legacy, {}, { 136: 0x60 }), "iq_tail", "6", "3"],
    [
      "a wide queue's size for a narrow one",
      stateOf(scalable, { iq_size: 128 }),
      "iq_size",
      "a power of two from 256 to 32768",
      "128",
    ],
    [
      "a narrow queue's size for a wide one",
      stateOf(scalable, { iq_size: 0x8000 }, { 128: 0x40, 136: 0x60, 144: 0x3_0807 }),
      "iq_size",
      "a power of two from 128 to 16384",
      "32768",
    ],
    ["a head that IQH does not have", stateOf(scalable, { iq_head: 7 }), "iq_head", "2", "7"],
    ["a tail that IQT does not have", stateOf(scalable, { iq_tail: 5 }, { 136: 0x60 }), "iq_tail", "6", "5"],
    [
      "a tail that a wide queue's IQT does not have",
      stateOf(scalable, { iq_tail: 5, iq_size: 128 }, { 128: 0x40, 136: 0x60, 144: 0x3_0800 }),
      "iq_tail",
      "6",
      "5",
    ],
    ["an odd tail that a narrow queue took", stateOf(scalable, { iq_tail: 5 }), "iq_tail", "3", "5"],
  ])("is refused: %s", (_, state, path, expected, found) => {
    expect(refused(state)).toEqual(["DEVICE_CHECK", path, expected, found]);
  });
});

describe("scalable mode in a state", () => {
  it("is carried where the unit offers it, and named where it is used", () => {
    const state = stateOf(scalable, {}, { 32: 0x10_0400 });
    expect(refused(state)).toBeUndefined();
    expect(() => translator(state, new TestMemory(0x20_0000)).translate("00:02.0", 0x1000, false)).toThrow(
      expect.objectContaining({
        code: "TRANSLATION_FAULT",
        expected: "RTADDR.TTM 0 (legacy mode)",
        found: "RTADDR.TTM 1",
      }),
    );
  });

  it("is carried where the unit does not, and means nothing there: QEMU lets a guest set the bits", () => {
    for (const mode of [0x400, 0x800, 0xc00]) {
      const state = stateOf(legacy, {}, { 32: 0x10_0000 | mode });
      expect(refused(state)).toBeUndefined();
      const { translate } = translator(state, new TestMemory(0x20_0000));
      expect(() => translate("00:02.0", 0x1000, false)).toThrow("the root entry");
    }
  });
});

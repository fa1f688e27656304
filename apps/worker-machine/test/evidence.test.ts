// The evidence can see: whatever is lost, repeated or torn is found.
import { describe, expect, it } from "vitest";
import { Hart } from "../src/cpu/hart.ts";
import { examine } from "../src/guest/evidence.ts";
import { layout, loadProgram, prologueLength, ramBytes, recordLength } from "../src/guest/program.ts";

function ranFor(instructions: number) {
  const ram = new Uint8Array(ramBytes);
  loadProgram(ram);
  const hart = new Hart(ram);
  hart.execute(instructions);
  return { ram, hart, view: new DataView(ram.buffer) };
}
const problems = ({ ram, hart }: { ram: Uint8Array; hart: Hart }) => examine(ram, hart.registers).problems;

describe("evidence", () => {
  it("is whole after every single instruction", () => {
    const { ram, hart } = ranFor(0);
    for (let i = 0; i <= prologueLength + 2 * recordLength; i++) {
      expect(examine(ram, hart.registers), `after ${i}`).toMatchObject({ problems: [] });
      hart.execute(1);
    }
    hart.execute(30_000);
    for (let i = 0; i < 2 * recordLength; i++) {
      expect(examine(ram, hart.registers).problems, `after ${hart.instret}`).toEqual([]);
      hart.execute(1);
    }
    expect(examine(ram, hart.registers).records).toBe(Math.floor((hart.instret - prologueLength) / recordLength));
  });

  it("misses an instruction that was lost or repeated, wherever", () => {
    const { ram, hart } = ranFor(10_000);
    for (let i = 0; i < recordLength; i++) {
      const { registers } = hart;
      for (const change of [-1, 1, recordLength]) {
        const instret = registers.instret + change;
        expect(examine(ram, { ...registers, instret }).problems).toHaveLength(1);
      }
      hart.execute(1);
    }
  });

  it("misses a store", () => {
    const words = [
      layout.doneAt,
      layout.recordsAt + 16 * 5,
      layout.recordsAt + 16 * 6 + 4,
      layout.recordsAt + 16 * 7 + 8,
      layout.recordsAt + 16 * 8 + 12,
      layout.tableAt + 4 * 77,
      layout.tableAt + layout.tableBytes - 4,
    ];
    for (const at of words) {
      const run = ranFor(100_000);
      run.view.setInt32(at, run.view.getInt32(at, true) + 1, true);
      expect(problems(run), `at ${at}`).not.toEqual([]);
    }
  });

  it("sees registers of one instant beside memory of another", () => {
    for (const later of [recordLength, 5 * recordLength, 3000 * recordLength]) {
      const { ram } = ranFor(50_000);
      const { hart } = ranFor(50_000 + later);
      expect(problems({ ram, hart }).length).toBeGreaterThan(0);
      const mixed = ranFor(50_000 + later);
      mixed.ram.set(ram.subarray(0x1_8000), 0x1_8000);
      if (later > 5 * recordLength) expect(problems(mixed).length).toBeGreaterThan(5);
    }
  });

  it("tells that the hart has halted", () => {
    const run = ranFor(1000);
    run.hart.registers = { ...run.hart.registers, halted: true, cause: 2 };
    expect(problems(run)[0]).toMatch(/^the hart has halted at \d+ with cause 2$/);
  });
});

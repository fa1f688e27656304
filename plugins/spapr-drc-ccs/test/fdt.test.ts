// Flattened device trees: what is built, what is refused, and QEMU's own tree walked to its end.
import { decodeState } from "@godwit/core";
import { haveStreams } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { ConnectorTree } from "../src/fdt/tree.ts";
import { buildFdt, cells, deviceTree, spaprFamily, strings } from "../src/index.ts";
import { deepTree, machine, pci } from "./support/machine.ts";
import { fullSections } from "./support/sections.ts";

const blob = buildFdt({
  name: "",
  properties: [["a", cells(1)]],
  children: [
    {
      name: "node@1",
      properties: [
        ["bc", strings("x")],
        ["a", new Uint8Array(0)],
      ],
    },
  ],
});
const words = (bytes: Uint8Array) =>
  Array.from({ length: bytes.length >> 2 }, (_, i) => new DataView(bytes.buffer).getUint32(4 * i));

describe("a tree that is built", () => {
  it("has version 17's header and blocks", () => {
    expect(words(blob.slice(0, 40))).toEqual([0xd00dfeed, 137, 56, 132, 40, 17, 16, 0, 5, 76]);
    expect([...blob.subarray(40, 56)]).toEqual(new Array(16).fill(0));
    expect(words(blob.slice(56, 132))).toEqual([
      1, 0, 3, 4, 0, 1, 1, 0x6e6f6465, 0x40310000, 3, 2, 2, 0x78000000, 3, 0, 0, 2, 2, 9,
    ]);
    expect(String.fromCharCode(...blob.subarray(132))).toBe("a\0bc\0");
  });
});

describe("a tree that is walked", () => {
  const open = (bytes: Uint8Array, start = 0) => new ConnectorTree({ fdt: bytes, start }, 4000);
  /** A blob of these structure words. */
  const of = (...structure: number[]): Uint8Array => {
    const header = cells(0xd00dfeed, 0, 40, 40 + 4 * structure.length, 40, 17, 16, 0, 4, 4 * structure.length);
    return Uint8Array.from([...header, ...cells(...structure), 0x70, 0, 0x71, 0]);
  };

  it("skips NOPs, and can go on before and behind each", () => {
    const tree = open(of(4, 1, 0, 4, 3, 0, 0, 4, 4, 1, 0x61000000, 2, 4, 2, 4, 9), 4);
    expect(tree.positions().map(({ offset, depth }) => [offset, depth])).toEqual([
      [4, 0],
      [12, 1],
      [16, 1],
      [28, 1],
      [32, 1],
      [36, 1],
      [44, 2],
      [48, 1],
      [52, 1],
    ]);
    const kinds: string[] = [];
    let at = tree.start;
    do {
      const { step, position } = tree.next(at);
      kinds.push(`${step.kind}@${position.depth}`);
      at = position;
    } while (at.depth > 0);
    expect(kinds).toEqual(["node@1", "property@1", "node@2", "end-node@1", "end-node@0"]);
  });

  it("does not change when the caller's bytes do", () => {
    const bytes = Buffer.from(of(1, 0, 2, 9));
    const tree = open(bytes);
    bytes.fill(0xff);
    expect(tree.next(tree.start).step.kind).toBe("node");
  });

  it.each([
    ["no header", new Uint8Array(39)],
    ["another magic", of(1, 0, 2, 9).with(0, 0)],
    ["version 16", of(1, 0, 2, 9).with(23, 16)],
    ["a last compatible version of 18", of(1, 0, 2, 9).with(27, 18)],
    ["a structure block beyond the end", of(1, 0, 2, 9).with(39, 99)],
    ["a strings block beyond the end", of(1, 0, 2, 9).with(35, 99)],
    ["no node at its start", of(2, 9)],
    ["a property at its start", of(3, 0, 0, 9)],
    ["an unknown token", of(1, 0, 7, 9)],
    ["an end inside of a node", of(1, 0, 9)],
    ["a node that is not closed", of(1, 0)],
    ["a name without an end", of(1, 0x61616161)],
    ["a cut property", of(1, 0, 3, 4, 0)],
    ["a property's name beyond the strings", of(1, 0, 3, 0, 9, 2, 9)],
    ["a property larger than a work area", of(1, 0, 3, 4076, 0, ...new Array(1019).fill(0), 2, 9)],
  ])("is refused with %s", (_, bytes) => {
    expect(() => open(bytes)).toThrow(expect.objectContaining({ code: "DEFINITION_INVALID" }));
    const on = machine();
    expect(() => on.drc.attach(pci, { fdt: bytes, start: 0 })).toThrow("DEFINITION_INVALID");
    expect(on.drc.connector(pci)?.attached).toBe(false);
  });

  it("is refused from a start that is no node's, and with names that are not ASCII", () => {
    for (const start of [-4, 1, 12, 4000]) {
      expect(() => open(deepTree(pci).fdt, start)).toThrow("DEFINITION_INVALID");
    }
    expect(() => deviceTree({ name: "é" })).toThrow("DEFINITION_INVALID");
    expect(() => deviceTree({ name: "a\0b" })).toThrow("DEFINITION_INVALID");
  });

  it.skipIf(!haveStreams())("is QEMU's own, from its first token to its last", () => {
    const sample = fullSections("pseries-bare-7.2.stream").find(({ idstr }) => idstr === "spapr");
    if (sample === undefined) throw new Error("no spapr");
    const { fdt_blob } = decodeState(spaprFamily.build(spaprFamily.infer(sample)), sample.bytes).dtb;
    const tree = new ConnectorTree({ fdt: fdt_blob, start: 0 }, 65_536);
    expect(Math.max(...tree.positions().map(({ depth }) => depth))).toBe(3);
    const names: string[] = [];
    let at = tree.start;
    do {
      const { step, position } = tree.next(at);
      if (step.kind === "node" && position.depth === 2) names.push(String.fromCharCode(...step.name));
      at = position;
    } while (at.depth > 0);
    expect(names).toEqual(
      expect.arrayContaining(["rtas", "cpus", "pci@800000020000000", "vdevice", "memory@0", "interrupt-controller"]),
    );
  });
});

// The doorbell of RTAS, as machine code sees it: words in RAM, big-endian.
import { MigrationError } from "@godwit/core";
import { cells, configureStatus, drcIndex, type RtasCall, rtasStatus, type SpaprDrcOffer } from "@godwit/spapr-drc-ccs";
import { beforeEach, describe, expect, it } from "vitest";
import { Rtas, rtasBusy } from "../src/machine/rtas.ts";
import * as map from "../src/memory-map.ts";
import { cards } from "../src/profiles/cards.ts";
import { sharedHost } from "./shared-host.ts";

const base = 0x4000_0000;
const memoryBytes = 0x4000;
const block = base + 0x100;
const area = base + 0x1000;
const connector = cards.b.connector;

let ram: Uint8Array<ArrayBuffer>;
let asked: [RtasCall, readonly number[]][];
let rtas: Rtas;

const memory = {
  read(gpa: number, length: number): Uint8Array {
    if (gpa < base || gpa + length > base + memoryBytes) throw new MigrationError("MEMORY_UNMAPPED", "no RAM");
    return ram.subarray(gpa - base, gpa - base + length);
  },
  write(gpa: number, bytes: Uint8Array): void {
    memory.read(gpa, bytes.length).set(bytes);
  },
};

beforeEach(() => {
  ram = new Uint8Array(memoryBytes);
  asked = [];
  const drc: Pick<SpaprDrcOffer, "rtas"> = {
    rtas(call, words) {
      asked.push([call, words]);
      if (call === "check-exception") memory.read(words[4] ?? 0, 1);
      return call === "get-sensor-state" ? [0, 7] : call === "ibm,configure-connector" ? [3] : [-3];
    },
  };
  rtas = new Rtas(memory, drc as SpaprDrcOffer);
});

/** The block's results after the call. */
function call(token: number, words: readonly number[], results: number, at = block): number[] {
  memory.write(at, cells(token, words.length, results, ...words, ...Array<number>(results).fill(0x5555_5555)));
  expect(rtas.write(map.RTAS_CALL, 4, at)).toBe(true);
  const bytes = memory.read(at + 12 + 4 * words.length, 4 * results);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: results }, (_, index) => view.getInt32(4 * index));
}

describe("RTAS", () => {
  it("hands arguments over and gives results back, as many as the guest has room for", () => {
    expect(call(map.RTAS_TOKEN_GET_SENSOR_STATE, [9003, connector], 2)).toEqual([0, 7]);
    expect(call(map.RTAS_TOKEN_GET_SENSOR_STATE, [9003, connector], 1)).toEqual([0]);
    expect(call(map.RTAS_TOKEN_SET_INDICATOR, [9001, connector, 1], 1)).toEqual([-3]);
    expect(call(map.RTAS_TOKEN_EVENT_SCAN, [1, 0, 0, 0], 1)).toEqual([-3]);
    expect(asked).toEqual([
      ["get-sensor-state", [9003, connector]],
      ["get-sensor-state", [9003, connector]],
      ["set-indicator", [9001, connector, 1]],
      ["event-scan", [1, 0, 0, 0]],
    ]);
  });

  it("touches nothing but the results", () => {
    ram.fill(0xaa);
    call(map.RTAS_TOKEN_GET_SENSOR_STATE, [9003, connector], 1);
    const untouched = [...ram.subarray(0, 0x100), ...ram.subarray(0x100 + 24)];
    expect(untouched.every((byte) => byte === 0xaa)).toBe(true);
    expect([...memory.read(block, 24)]).toEqual([...cells(map.RTAS_TOKEN_GET_SENSOR_STATE, 2, 1, 9003, connector, 0)]);
  });

  it("answers a token that it does not know, and a buffer that is not in RAM, as wrong arguments", () => {
    expect(call(0x2fff, [], 1)).toEqual([rtasStatus.PARAMETER]);
    expect(asked).toEqual([]);
    expect(call(map.RTAS_TOKEN_CHECK_EXCEPTION, [0x500, 0, 0x4000_0000, 0, base - 8, 64], 1)).toEqual([-3]);
  });

  it.each([
    ["another register", map.RTAS_CALL + 4, 4, block],
    ["a byte", map.RTAS_CALL, 1, block],
    ["a block below RAM", map.RTAS_CALL, 4, base - 4],
    ["a block whose results are beyond RAM", map.RTAS_CALL, 4, base + memoryBytes - 16],
    ["nothing at all", map.RTAS_CALL, 4, 0],
  ])("faults on %s", (_, offset, size, address) => {
    memory.write(block, cells(map.RTAS_TOKEN_EVENT_SCAN, 4, 1));
    memory.write(base + memoryBytes - 16, cells(map.RTAS_TOKEN_EVENT_SCAN, 4, 1, 0));
    expect(rtas.write(offset, size, address)).toBe(false);
    expect(rtas.read()).toBeUndefined();
    expect(asked).toEqual([]);
  });

  it("faults on more words than a call can have", () => {
    memory.write(block, cells(map.RTAS_TOKEN_EVENT_SCAN, 0xffff_ffff, 1));
    expect(rtas.write(map.RTAS_CALL, 4, block)).toBe(false);
    memory.write(block, cells(map.RTAS_TOKEN_EVENT_SCAN, 10, 7));
    expect(rtas.write(map.RTAS_CALL, 4, block)).toBe(false);
    expect(asked).toEqual([]);
  });

  it("is busy behind the tokens that firmware has ready, for that connector alone", () => {
    const configure = (index: number): number[] => {
      memory.write(area, cells(index, 0));
      return call(map.RTAS_TOKEN_CONFIGURE_CONNECTOR, [area, 0], 1);
    };
    rtas.ready(connector, 2);
    expect([configure(connector), configure(connector), configure(connector), configure(connector)]).toEqual([
      [configureStatus.NEXT_PROPERTY],
      [configureStatus.NEXT_PROPERTY],
      [rtasBusy],
      [rtasBusy],
    ]);
    expect(configure(cards.a.connector)).toEqual([configureStatus.NEXT_PROPERTY]);
    expect(asked.length).toBe(3);
    rtas.ready(connector, undefined);
    expect(configure(connector)).toEqual([configureStatus.NEXT_PROPERTY]);
  });
});

describe("the cards' slots", () => {
  it("are taken once, and named by their connectors", () => {
    const machine = sharedHost(1).machine({ profile: "pseries", memoryBytes: 1 << 20 });
    expect(machine.hotplug?.connector("a")).toMatchObject({ index: drcIndex("pci", 0x20), attached: false });
    machine.hotplug?.plug("a");
    expect(machine.hotplug?.connector("a")).toMatchObject({ attached: true });
    expect(machine.hotplug?.pendingEvents()).toBe(1);
    expect(() => machine.hotplug?.plug("a")).toThrow();
    expect(machine.hotplug?.pendingEvents()).toBe(1);
  });

  it("are a pseries machine's alone", () => {
    expect(sharedHost(1).machine({ profile: "q35", memoryBytes: 1 << 20 }).hotplug).toBeUndefined();
  });
});

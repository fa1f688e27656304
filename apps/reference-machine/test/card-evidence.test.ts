import { createKernel, virtualClock } from "@godwit/core";
import { barrierTracker, ram, ramBlock } from "@godwit/ram-dirty-tracker";
import { cells, deviceTree, drSensor, spaprDrc, strings } from "@godwit/spapr-drc-ccs";
import { describe, expect, it } from "vitest";
import { cardOf, checkCardPackets, checkTrees, haveGoneOn, reportCards } from "../src/card-evidence.ts";
import { checksum, expectedPacket, isClean } from "../src/evidence.ts";
import { type CardStatus, readCardBlocks } from "../src/guest/card-block.ts";
import * as map from "../src/memory-map.ts";
import { type CardName, cardNames, cards } from "../src/profiles/cards.ts";
import { treeFigures, withChecksum } from "../src/profiles/device-tree.ts";
import { macAddress } from "../src/profiles/profile.ts";

const seed = 9;

function status(name: CardName, more: Partial<CardStatus> = {}): CardStatus {
  const { connector, devfn, figures } = cards[name];
  return {
    connector,
    stage: map.CARD_STAGE_IN_USE,
    events: 1,
    busy: 0,
    walks: 3,
    releases: 2,
    packetsSubmitted: 5,
    packetsCompleted: 4,
    slot: devfn,
    ...figures,
    ...more,
  };
}

/** What a guest hears that walks the tree by RTAS, in the plugin's own words: one list of bytes for each answer. */
function heard(name: CardName): number[][] {
  const { connector, node } = cards[name];
  const bytes = new Uint8Array(0x4000);
  const kernel = createKernel({
    machineType: "walk",
    clock: virtualClock(() => 0n),
    machine: { pause() {}, resume() {}, reset() {} },
  });
  const block = ramBlock({ idstr: "ram", bytes: () => bytes, tracker: barrierTracker(bytes.length) });
  kernel.use(ram({ blocks: [block] }));
  const memory = {
    read: (gpa: number, length: number) => bytes.subarray(gpa, gpa + length),
    write: (gpa: number, from: Uint8Array) => bytes.set(from, gpa),
  };
  const drc = kernel.use(spaprDrc({ memory, connectors: [connector], rtc: { now: () => 0n } }));
  drc.plug(connector, deviceTree(node));
  drc.rtas("set-indicator", [drSensor.ISOLATION, connector, 1]);
  memory.write(0, cells(connector, 0));
  const view = new DataView(bytes.buffer);
  const answers: number[][] = [];
  for (;;) {
    const [answer = -1] = drc.rtas("ibm,configure-connector", [0, 0]);
    const at = view.getUint32(8);
    const text = [...bytes.subarray(at, bytes.indexOf(0, at) + 1)];
    const value = [...bytes.subarray(view.getUint32(16), view.getUint32(16) + view.getUint32(12))];
    const own = String.fromCharCode(...text.slice(0, -1)) === "godwit,checksum";
    if (answer === 2) answers.push([answer, ...text]);
    else if (answer === 3) answers.push([answer, ...text, ...cells(value.length), ...(own ? [] : value)]);
    else answers.push([answer]);
    if (answer <= 0) return answers;
  }
}

describe("the figures of a device tree", () => {
  it.each(cardNames)("are those of the walk that the plugin gives out: card %s", (name) => {
    const answers = heard(name);
    const count = (kind: number) => answers.filter(([answer]) => answer === kind).length;
    expect(cards[name].figures).toEqual({
      tokens: answers.length,
      nodes: count(2),
      properties: count(3),
      checksum: checksum(Uint8Array.from(answers.flat())),
    });
    const own = cards[name].node.properties?.find(([key]) => key === "godwit,checksum");
    expect(own?.[1]).toEqual(cells(cards[name].figures.checksum));
  });

  it("change with every name and value, and with the order", () => {
    const child = (name: string) => ({ name });
    const trees = [
      { name: "a", properties: [["p", cells(1)]] as const, children: [child("x"), child("y")] },
      { name: "b", properties: [["p", cells(1)]] as const, children: [child("x"), child("y")] },
      { name: "a", properties: [["q", cells(1)]] as const, children: [child("x"), child("y")] },
      { name: "a", properties: [["p", cells(2)]] as const, children: [child("x"), child("y")] },
      { name: "a", properties: [["p", strings("abc")]] as const, children: [child("x"), child("y")] },
      { name: "a", properties: [["p", cells(1)]] as const, children: [child("y"), child("x")] },
      { name: "a", properties: [["p", cells(1)]] as const, children: [{ ...child("x"), children: [child("y")] }] },
    ];
    expect(new Set(trees.map((tree) => treeFigures(tree).checksum)).size).toBe(trees.length);
    for (const tree of trees) expect(treeFigures(withChecksum(tree)).properties).toBe(2);
  });
});

describe("the trees that a guest has fetched", () => {
  it("are whole when they are what the host gave", () => {
    const verdict = checkTrees([status("a"), status("b", { stage: map.CARD_STAGE_WALKING, tokens: 5 })], cardNames);
    expect(verdict).toEqual({ intact: 6, missing: [], repeated: [], torn: [], unexpected: [] });
  });

  it.each([
    ["nodes", { nodes: 2 }],
    ["properties", { properties: 2 }],
    ["checksum", { checksum: 2 }],
    ["slot", { slot: 2 }],
    ["tokens", { tokens: 99 }],
    ["refused by the guest", { stage: map.CARD_STAGE_FAILED, walks: 0 }],
  ])("are torn by %s", (reason, more) => {
    const verdict = checkTrees([status("a"), status("b", more)], cardNames);
    expect(verdict.torn).toEqual([{ at: 1, number: cards.b.connector, reason }]);
    expect([isClean(verdict), verdict.intact]).toEqual([false, 3]);
  });

  it("are lost, repeated or unknown by the events that announced them", () => {
    expect(checkTrees([status("a", { events: 0 })], cardNames).missing).toEqual([cards.a.connector]);
    expect(checkTrees([status("a", { events: 2 })], cardNames).repeated).toEqual([cards.a.connector]);
    expect(checkTrees([status("a"), status("c")], ["a"]).unexpected).toEqual([cards.c.connector]);
  });
});

describe("the packets of cards", () => {
  const frame = (name: CardName, number: number) => expectedPacket(number, seed, cards[name].mac);
  const all = [status("a"), status("b", { packetsSubmitted: 1, packetsCompleted: 1 })];

  it("are each card's own, in the order of its numbers", () => {
    const frames = [frame("a", 1), frame("b", 1), frame("a", 2), frame("a", 3), frame("a", 4), frame("a", 5)];
    expect(checkCardPackets(frames, all, seed)).toEqual({
      intact: 6,
      missing: [],
      repeated: [],
      torn: [],
      unexpected: [],
    });
    expect(frames.map((one) => cardOf(one)?.name)).toEqual(["a", "b", "a", "a", "a", "a"]);
    expect(cardOf(expectedPacket(1, seed, macAddress))).toBeUndefined();
  });

  it("are lost, repeated, torn, or ahead of what was submitted", () => {
    const torn = frame("a", 4);
    torn[40] = (torn[40] ?? 0) ^ 1;
    const frames = [frame("a", 1), frame("a", 1), frame("a", 3), torn, frame("b", 2), frame("b", 1)];
    const verdict = checkCardPackets(frames, all, seed);
    expect(verdict).toMatchObject({ missing: [2, 4], repeated: [1], unexpected: [2] });
    expect(verdict.torn).toMatchObject([{ number: 4, reason: "checksum" }]);
  });
});

describe("the report", () => {
  const before = [
    status("a", { stage: map.CARD_STAGE_RELEASED }),
    status("b", { stage: map.CARD_STAGE_WALKING, tokens: 7, walks: 0, packetsCompleted: 0 }),
  ];
  const later = (more: Partial<CardStatus>) => [
    status("a", { walks: 4, packetsCompleted: 9 }),
    status("b", { walks: 1, packetsCompleted: 2, ...more }),
    status("c", { walks: 1, packetsCompleted: 1 }),
  ];

  it("tells the three situations", () => {
    expect(reportCards(before, later({})).map((report) => report.before)).toEqual([
      { kind: "returned to firmware" },
      { kind: "tree half fetched", tokens: 7, of: cards.b.figures.tokens },
      { kind: "event pending" },
    ]);
  });

  it("is content when every card has been configured and used since", () => {
    expect(haveGoneOn(reportCards(before, later({})))).toBe(true);
    expect(haveGoneOn(reportCards(before, later({ walks: 0 })))).toBe(false);
    expect(haveGoneOn(reportCards(before, later({ packetsCompleted: 0 })))).toBe(false);
    expect(haveGoneOn(reportCards(before, before))).toBe(false);
  });
});

describe("a card block", () => {
  it("has each of its fields in its place, and is free without a connector", () => {
    const bytes = new Uint8Array(0x1_2000);
    const view = new DataView(bytes.buffer);
    const second = map.CARD_BLOCK_OFFSET + map.CARD_BLOCK_BYTES;
    for (let word = 0; word < map.CARD_BLOCK_BYTES / 4; word++) view.setUint32(second + 4 * word, 100 + word, true);
    const [only, ...more] = readCardBlocks(bytes);
    expect(more).toEqual([]);
    const byOffset: Record<number, keyof CardStatus> = {
      [map.CARD_BLOCK_CONNECTOR]: "connector",
      [map.CARD_BLOCK_STAGE]: "stage",
      [map.CARD_BLOCK_EVENTS]: "events",
      [map.CARD_BLOCK_TOKENS]: "tokens",
      [map.CARD_BLOCK_BUSY]: "busy",
      [map.CARD_BLOCK_WALKS]: "walks",
      [map.CARD_BLOCK_NODES]: "nodes",
      [map.CARD_BLOCK_PROPERTIES]: "properties",
      [map.CARD_BLOCK_CHECKSUM]: "checksum",
      [map.CARD_BLOCK_RELEASES]: "releases",
      [map.CARD_BLOCK_PACKETS_SUBMITTED]: "packetsSubmitted",
      [map.CARD_BLOCK_PACKETS_COMPLETED]: "packetsCompleted",
      [map.CARD_BLOCK_SLOT]: "slot",
    };
    const expected = Object.entries(byOffset).map(([offset, key]) => [key, 100 + Number(offset) / 4]);
    expect(only).toEqual(Object.fromEntries(expected));
    // All of them end before the next page, which is the guest's own.
    expect(map.CARD_BLOCK_OFFSET + map.CARD_COUNT * map.CARD_BLOCK_BYTES).toBeLessThanOrEqual(0x1_2000);
    expect(map.CARD_BLOCK_OFFSET).toBeGreaterThanOrEqual(map.STATUS_BLOCK_OFFSET + map.STATUS_BLOCK_BYTES);
    expect(map.CARD_COUNT).toBe(cardNames.length);
  });
});

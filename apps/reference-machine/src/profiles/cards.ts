// The network cards that can be plugged into a pseries machine while it runs: slots, addresses, device trees.
import { cells, drcIndex, type FdtNode, strings } from "@godwit/spapr-drc-ccs";
import { type TreeFigures, treeFigures, withChecksum } from "./device-tree.ts";
import { macAddress } from "./profile.ts";

export const cardNames = ["a", "b", "c"] as const;
export type CardName = (typeof cardNames)[number];

export interface Card {
  readonly name: CardName;
  /** device << 3 | function. */
  readonly devfn: number;
  /** `00:04.0` */
  readonly slot: string;
  readonly connector: number;
  readonly mac: Uint8Array;
  readonly node: FdtNode;
  /** What a walk of the tree must come to. */
  readonly figures: TreeFigures;
}

const firstDevice = 4;

export const cards: Readonly<Record<CardName, Card>> = {
  a: card("a", 2),
  b: card("b", 5),
  c: card("c", 1),
};

/** With so many queues in its tree, which makes a long one. */
function card(name: CardName, queues: number): Card {
  const number = cardNames.indexOf(name);
  const device = firstDevice + number;
  const devfn = device << 3;
  const connector = drcIndex("pci", devfn);
  const mac = Uint8Array.from(macAddress);
  mac[5] = (macAddress[5] ?? 0) + 1 + number;
  const node = withChecksum({
    name: `ethernet@${device}`,
    properties: [
      ["reg", cells(devfn << 8, 0, 0, 0, 0)],
      ["vendor-id", cells(0x1af4)],
      ["device-id", cells(0x1041)],
      ["class-code", cells(0x2_0000)],
      ["name", strings("ethernet")],
      ["ibm,loc-code", strings(`C${number}`)],
      ["ibm,my-drc-index", cells(connector)],
      ["local-mac-address", mac],
    ],
    children: [
      {
        name: "mdio",
        properties: [["#address-cells", cells(1)]],
        children: [
          {
            name: "phy@0",
            properties: [
              ["reg", cells(0)],
              ["compatible", strings("ethernet-phy-id0022.1620", "ethernet-phy-ieee802.3-c22")],
              ["broken-turn-around", new Uint8Array(0)],
            ],
          },
        ],
      },
      {
        name: "queues",
        children: Array.from({ length: queues }, (_, queue) => ({
          name: `queue@${queue}`,
          properties: [["reg", cells(queue)]] as const,
        })),
      },
    ],
  });
  const slot = `00:${device.toString(16).padStart(2, "0")}.0`;
  return { name, devfn, slot, connector, mac, node, figures: treeFigures(node) };
}

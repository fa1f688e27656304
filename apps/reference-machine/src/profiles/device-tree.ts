// What a guest gets to hear of a connector's device tree, and the checksum of it that the tree itself carries.
// The bytes that it is over are those of `guest/device_tree.c`.
import { cells, configureStatus, type FdtNode } from "@godwit/spapr-drc-ccs";
import { checksum } from "../evidence.ts";

const checksumName = "godwit,checksum";

/** Of a whole walk. */
export interface TreeFigures {
  /** Answers until the last one, "complete", which counts. */
  readonly tokens: number;
  readonly nodes: number;
  readonly properties: number;
  /** FNV-1a, 32 bits: each answer's status; names with their NUL; values behind their be32 length. */
  readonly checksum: number;
}

/** The node with its checksum as the last of its own properties. */
export function withChecksum(node: FdtNode): FdtNode {
  const properties = (sum: number) => [...(node.properties ?? []), [checksumName, cells(sum)] as const];
  const { checksum: sum } = treeFigures({ ...node, properties: properties(0) });
  return { ...node, properties: properties(sum) };
}

export function treeFigures(root: FdtNode): TreeFigures {
  const bytes: number[] = [];
  let [tokens, nodes, properties] = [0, 0, 0];
  const say = (status: number, ...more: number[]) => {
    tokens++;
    bytes.push(status, ...more);
  };
  const walk = (node: FdtNode, depth: number) => {
    nodes++;
    say(configureStatus.NEXT_CHILD, ...ascii(node.name), 0);
    for (const [name, value] of node.properties ?? []) {
      properties++;
      // What the checksum is stored in cannot be part of it.
      const told = depth === 1 && name === checksumName ? [] : value;
      say(configureStatus.NEXT_PROPERTY, ...ascii(name), 0, ...cells(value.length), ...told);
    }
    for (const child of node.children ?? []) walk(child, depth + 1);
    say(depth === 1 ? configureStatus.COMPLETE : configureStatus.PREVIOUS_PARENT);
  };
  walk(root, 1);
  return { tokens, nodes, properties, checksum: checksum(Uint8Array.from(bytes)) };
}

function ascii(text: string): number[] {
  return Array.from(text, (char) => char.charCodeAt(0));
}

// A connector's tree: the part of a flattened device tree that configure-connector gives out, checked once.
import { type FdtBlocks, malformed, openFdt } from "./blob.ts";
import { buildFdt, type FdtNode } from "./build.ts";
import { type FdtStep, tokenAt } from "./token.ts";

/** A walk's place: the offset of the next token in the structure block, and how many nodes are open there. */
export interface FdtPosition {
  readonly offset: number;
  readonly depth: number;
}

/** A flattened tree, and the offset in its structure block of the one node that a connector is for. */
export interface DeviceTree {
  readonly fdt: Uint8Array;
  readonly start: number;
}

/** The tree of one node, in a blob whose root it is the only child of, as QEMU makes them. */
export function deviceTree(node: FdtNode): DeviceTree {
  return { fdt: buildFdt({ name: "", children: [node] }), start: 8 };
}

/** A token that says something, and the place behind it. */
export interface WalkedStep {
  readonly step: Exclude<FdtStep, { readonly kind: "nop" | "end" }>;
  readonly position: FdtPosition;
}

export class ConnectorTree {
  readonly start: FdtPosition;
  readonly #blocks: FdtBlocks;
  /** Every place where a call can begin, with its depth. */
  readonly #boundaries = new Map<number, number>();

  /** `DEFINITION_INVALID` where the node is not whole, or something in it does not fit `limitBytes`. */
  constructor({ fdt, start }: DeviceTree, limitBytes: number) {
    // A copy: what was checked must not change under a guest that walks it.
    this.#blocks = openFdt(new Uint8Array(fdt));
    this.start = { offset: start, depth: 0 };
    if (tokenAt(this.#blocks, start).kind !== "node") throw malformed("no node where a connector's begins", start);
    let at = this.start;
    do {
      // A NOP is a boundary as well: a walk that stands before it skips it.
      this.#boundaries.set(at.offset, at.depth);
      const step = tokenAt(this.#blocks, at.offset);
      if (step.kind === "end") throw malformed("an end inside of a node", at.offset);
      if (sizeOf(step) > limitBytes) throw malformed(`more than ${limitBytes} bytes to give out at once`, at.offset);
      at = after(at, step);
    } while (at.depth > 0);
  }

  /** Whether a walk can go on from here: a token begins, and so many nodes are open. */
  isBoundary({ offset, depth }: FdtPosition): boolean {
    return this.#boundaries.get(offset) === depth;
  }

  /** The depth at an offset, if a token begins there. */
  depthAt(offset: number): number | undefined {
    return this.#boundaries.get(offset);
  }

  /** All places where a walk can stand, in order. */
  positions(): readonly FdtPosition[] {
    return Array.from(this.#boundaries, ([offset, depth]) => ({ offset, depth }));
  }

  /** The next token that says something, and the place behind it. */
  next(from: FdtPosition): WalkedStep {
    for (let at = from; ; ) {
      const step = tokenAt(this.#blocks, at.offset);
      at = after(at, step);
      if (step.kind === "end") throw malformed("an end inside of a node", from.offset);
      if (step.kind !== "nop") return { step, position: at };
    }
  }
}

function after({ depth }: FdtPosition, { kind, next }: FdtStep): FdtPosition {
  return { offset: next, depth: depth + (kind === "node" ? 1 : kind === "end-node" ? -1 : 0) };
}

function sizeOf(step: FdtStep): number {
  if (step.kind === "node") return step.name.length + 1;
  return step.kind === "property" ? step.name.length + 1 + step.value.length : 0;
}

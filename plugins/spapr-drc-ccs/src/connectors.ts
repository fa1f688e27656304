// All connectors of a machine: found by index, walked, and brought back as they were.
import { MigrationError } from "@godwit/core";
import { workAreaDataBytes } from "./configure.ts";
import { Connector } from "./connector.ts";
import { ConnectorTree, type DeviceTree } from "./fdt/tree.ts";
import { ccsMismatch } from "./mismatch.ts";
import type { CcsState } from "./sections/ccs.ts";

export class Connectors {
  readonly #all: ReadonlyMap<number, Connector>;

  /** `DEFINITION_INVALID` where an index has no type, or stands twice. */
  constructor(indexes: readonly number[], released: (index: number) => void) {
    const all = new Map<number, Connector>();
    for (const index of indexes) {
      if (all.has(index)) throw invalid("a connector's index stands twice", index);
      all.set(index, new Connector(index, released));
    }
    this.#all = all;
  }

  get(index: number): Connector | undefined {
    return this.#all.get(index);
  }

  values(): Iterable<Connector> {
    return this.#all.values();
  }

  /** The connector of a machine's own call; `DEFINITION_INVALID` where there is none, or it is not `free` or taken. */
  expect(index: number, isFree: boolean): Connector {
    const connector = this.#all.get(index);
    if (connector === undefined) throw invalid("there is no such connector", index);
    if ((connector.tree === undefined) !== isFree) {
      throw invalid(isFree ? "something is attached to the connector" : "nothing is attached to the connector", index);
    }
    return connector;
  }

  attach(index: number, tree: DeviceTree, isCold: boolean): void {
    this.expect(index, true).attach(new ConnectorTree(tree, workAreaDataBytes), isCold);
  }

  /** The walks that are under way, in the order of the connectors. */
  saveWalks(): CcsState[] {
    return [...this.#all.values()].flatMap(({ index, walk }) =>
      walk === undefined ? [] : [{ drc_index: index, fdt_offset: walk.offset, fdt_depth: walk.depth }],
    );
  }

  /**
   * Each walk must be able to go on in the tree that is here: `ccs-fdt-mismatch` names the field that says otherwise. A
   * tree that differs and has a token of that depth at that place cannot be told from the right one.
   */
  checkWalks(walks: readonly CcsState[]): void {
    const seen = new Set<number>();
    for (const [i, { drc_index, fdt_offset, fdt_depth }] of walks.entries()) {
      const path = `spaprccslist.ccs_list[${i}]`;
      const tree = this.#all.get(drc_index)?.tree;
      if (tree === undefined || seen.has(drc_index)) {
        const why = seen.has(drc_index)
          ? "a second walk of the same tree"
          : this.#all.has(drc_index)
            ? "nothing is attached to the connector whose tree is walked"
            : "there is no connector whose tree is walked";
        throw ccsMismatch(why, `${path}.drc_index`, "a connector with a device", `0x${drc_index.toString(16)}`);
      }
      seen.add(drc_index);
      const depth = tree.depthAt(fdt_offset);
      if (depth === undefined) {
        throw ccsMismatch("no token begins here", `${path}.fdt_offset`, "a token's first byte", String(fdt_offset));
      }
      if (depth !== fdt_depth) {
        throw ccsMismatch("the token is of another depth", `${path}.fdt_depth`, String(depth), String(fdt_depth));
      }
    }
  }

  /** What has been checked. Walks that are not among them are over. */
  loadWalks(walks: readonly CcsState[]): void {
    for (const connector of this.#all.values()) connector.walk = undefined;
    for (const { drc_index, fdt_offset, fdt_depth } of walks) {
      const connector = this.#all.get(drc_index);
      if (connector !== undefined) connector.walk = { offset: fdt_offset, depth: fdt_depth };
    }
  }
}

function invalid(why: string, index: number): MigrationError {
  return new MigrationError("DEFINITION_INVALID", why, { side: "define", found: `0x${index.toString(16)}` });
}

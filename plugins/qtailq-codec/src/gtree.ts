// GTree: nodes in the order of their keys, counted. Source: wire reference 2.4; QEMU: vmstate_info_gtree.
import {
  type CustomItem,
  customField,
  type Description,
  type Field,
  MigrationError,
  type StateOf,
  struct,
  u32,
  u64,
} from "@godwit/core";
import { asArray, end, follows, marker, more } from "./marker.ts";

/** One node of a tree: in memory the value comes first, on the wire the key. */
export interface TreeNode<K, V> {
  key: K;
  value: V;
}

interface TreeInit<V extends Description> {
  readonly value: V;
}

/** The order of keys: negative, zero or positive, as for `Array.prototype.sort`. */
export type KeyOrder<K> = (a: K, b: K) => number;

/**
 * A GTree. The state is an array of nodes in the order of their keys, no key twice; anything else is `FIELD_CUSTOM`, on
 * save and on load, and so is a stream whose count of nodes is not the number of nodes that it holds.
 * A `direct` key is an integer that QEMU keeps in the pointer itself: be64, a `bigint`, ascending unless told otherwise.
 * A described key needs its order; it sees keys as they stand on the wire.
 */
export function gtree<V extends Description>(
  init: TreeInit<V> & { readonly key: "direct"; readonly order?: KeyOrder<bigint> },
): Field<TreeNode<bigint, StateOf<V>>[]>;
export function gtree<K extends Description, V extends Description>(
  init: TreeInit<V> & { readonly key: K; readonly order: KeyOrder<StateOf<K>> },
): Field<TreeNode<StateOf<K>, StateOf<V>>[]>;
export function gtree(
  init: TreeInit<Description> & { readonly key: "direct" | Description; readonly order?: KeyOrder<never> },
): Field<TreeNode<unknown, unknown>[]> {
  const key: Field = init.key === "direct" ? u64 : struct(init.key);
  const value: Field = struct(init.value);
  const order = (init.order ?? ascending) as KeyOrder<unknown>;
  return customField<TreeNode<unknown, unknown>[], Steps>({
    kind: "gtree",
    begin: () => ({ nodes: [], count: -1, key: undefined, next: "count" }),
    next(steps) {
      if (steps.next === "end") return undefined;
      return { count: u32, marker, key, value }[steps.next];
    },
    take: (steps, taken) => take(steps, taken, order),
    end: (steps) => steps.nodes,
    segment: (steps) => (steps.next === "count" ? "count" : `[${steps.nodes.length}]${within(steps)}`),
    *encode(nodes): Iterable<CustomItem> {
      yield { field: u32, value: asArray(nodes, "gtree").length, segment: "count" };
      for (const [index, node] of nodes.entries()) {
        if (typeof node !== "object" || node === null) throw noNode(index);
        if (index > 0) mustAscend(nodes[index - 1]?.key, node.key, order, `[${index}].key`);
        yield { field: marker, value: more };
        yield { field: key, value: node.key, segment: `[${index}].key` };
        yield { field: value, value: node.value, segment: `[${index}].value` };
      }
      yield { field: marker, value: end };
    },
    map: (nodes, each) => nodes.map((node) => ({ key: each(key, node.key), value: each(value, node.value) })),
    // Keys stand in their order, each once.
    sample(choose) {
      const nodes = choose.list(4, () => ({ key: choose.of(key), value: choose.of(value) }));
      nodes.sort((a, b) => order(a.key, b.key));
      return nodes.filter(
        (node, i) => i === 0 || order((nodes[i - 1] as TreeNode<unknown, unknown>).key, node.key) < 0,
      );
    },
    elements: init.value,
  });
}

interface Steps {
  readonly nodes: TreeNode<unknown, unknown>[];
  /** What the stream says. */
  count: number;
  /** Of the node that is being read. */
  key: unknown;
  next: "count" | "marker" | "key" | "value" | "end";
}

function within(steps: Steps): string {
  return steps.next === "key" || steps.next === "value" ? `.${steps.next}` : "";
}

function take(steps: Steps, taken: unknown, order: KeyOrder<unknown>): void {
  const { nodes, count } = steps;
  switch (steps.next) {
    case "count":
      steps.count = taken as number;
      steps.next = "marker";
      return;
    case "marker": {
      const goesOn = follows(taken);
      if (goesOn ? nodes.length >= count : nodes.length < count) throw inconsistent(count, nodes.length, goesOn);
      steps.next = goesOn ? "key" : "end";
      return;
    }
    case "key": {
      const last = nodes[nodes.length - 1];
      if (last !== undefined) mustAscend(last.key, taken, order);
      steps.key = taken;
      steps.next = "value";
      return;
    }
    case "value":
      nodes.push({ key: steps.key, value: taken });
      steps.next = "marker";
  }
}

function ascending(a: unknown, b: unknown): number {
  return (a as bigint) < (b as bigint) ? -1 : a === b ? 0 : 1;
}

function inconsistent(count: number, held: number, goesOn: boolean): MigrationError {
  return new MigrationError("FIELD_CUSTOM", "the tree is inconsistent: it does not hold as many nodes as it counts", {
    expected: String(count),
    found: goesOn ? `more than ${held}` : String(held),
  });
}

function noNode(index: number): MigrationError {
  return new MigrationError("FIELD_CUSTOM", "a node of a tree has a key and a value", { path: `[${index}]` });
}

function mustAscend(before: unknown, key: unknown, order: KeyOrder<unknown>, path?: string): void {
  if (order(before, key) < 0) return;
  throw new MigrationError("FIELD_CUSTOM", "the tree's keys are not in their order, each once", { path });
}

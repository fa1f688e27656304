// From a description's data to the nodes that read and write it. The cache belongs to this copy of core only: a
// description made by another copy is compiled here like any other.
import { MigrationError } from "../errors.ts";
import { ArrayNode } from "./nodes/array.ts";
import { Body } from "./nodes/body.ts";
import { BitmapLeaf, BufferLeaf } from "./nodes/bytes.ts";
import { CheckedNode } from "./nodes/checked.ts";
import { CustomNode } from "./nodes/custom.ts";
import { IntArrayLeaf, IntLeaf } from "./nodes/int.ts";
import { BoolLeaf, DoubleLeaf, TimerLeaf } from "./nodes/leaf.ts";
import type { Node } from "./nodes/node.ts";
import { PointersNode } from "./nodes/pointers.ts";
import { StructNode, TmpNode } from "./nodes/struct.ts";
import type { Spec } from "./spec.ts";
import type { Description, Field } from "./types.ts";

const bodies = new WeakMap<Description, Body>();
const nodes = new WeakMap<Field, Node>();

export function bodyOf(description: Description): Body {
  let body = bodies.get(description);
  if (body === undefined) {
    body = new Body(description, compile, bodyOf);
    bodies.set(description, body);
  }
  return body;
}

function compile(field: Field): Node {
  let node = nodes.get(field);
  if (node === undefined) {
    node = build(field as Spec);
    nodes.set(field, node);
  }
  return node;
}

function build(spec: Spec): Node {
  switch (spec.kind) {
    case "int":
      return new IntLeaf(spec);
    case "bool":
      return new BoolLeaf();
    case "timer":
      return new TimerLeaf();
    case "cpudouble":
      return new DoubleLeaf();
    case "buffer":
      return new BufferLeaf(spec);
    case "bitmap":
      return new BitmapLeaf(spec);
    case "struct":
      return new StructNode(bodyOf(spec.description), spec.version);
    case "tmp":
      return new TmpNode(bodyOf(spec.description), spec.save, spec.load);
    case "array": {
      const element = spec.element as Spec;
      if (element.kind === "int") return new IntArrayLeaf(element, spec.count, spec.max);
      return new ArrayNode(compile(spec.element), spec.count, spec.max);
    }
    case "pointers":
      return new PointersNode(compile(spec.element), spec.count, spec.max, spec.isNull);
    case "checked":
      return new CheckedNode(compile(spec.element), spec);
    case "custom":
      return new CustomNode(spec.custom, compile);
    default:
      throw new MigrationError("DEFINITION_INVALID", `a field of kind "${spec.kind}" cannot stand here`, {
        side: "define",
      });
  }
}

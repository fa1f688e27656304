// Bodies of fixed size and simple fields as plain data: what generated code is made from.
import { bodyOf } from "./compile.ts";
import type { Body } from "./nodes/body.ts";
import { typedArrayOf } from "./nodes/int.ts";
import type { Probe } from "./nodes/probe.ts";
import type { IntSpec, Spec } from "./spec.ts";
import type { Count, Field } from "./types.ts";

/** A value of fixed size, as plain data. */
export type Shape =
  | { readonly kind: "int"; readonly spec: IntSpec }
  | { readonly kind: "bool" | "timer" | "cpudouble" }
  | { readonly kind: "bytes" | "padding"; readonly size: number }
  | { readonly kind: "ints"; readonly spec: IntSpec; readonly typed: string; readonly n: number }
  | { readonly kind: "array"; readonly element: Shape; readonly n: number }
  | StructShape;

export interface StructShape {
  readonly kind: "struct";
  readonly members: readonly (readonly [key: string, shape: Shape])[];
  readonly probe: Probe;
}

/** Of the fields of a body; undefined where one is not simple. */
export function shapeOfBody(body: Body): StructShape | undefined {
  const members: [string, Shape][] = [];
  for (const [key, field] of Object.entries(body.description.fields)) {
    const shape = shapeOf(field);
    if (shape === undefined) return undefined;
    members.push([key, shape]);
  }
  return { kind: "struct", members, probe: body.probe };
}

function shapeOf(field: Field): Shape | undefined {
  const spec = field as Spec;
  switch (spec.kind) {
    case "named":
      return shapeOf(spec.element);
    case "int":
      return { kind: "int", spec };
    case "bool":
    case "timer":
    case "cpudouble":
      return { kind: spec.kind };
    case "buffer":
      return isFixed(spec.size) ? { kind: spec.padding ? "padding" : "bytes", size: spec.size } : undefined;
    case "array":
      return isFixed(spec.count) ? shapeOfArray(spec.element, spec.count) : undefined;
    case "struct": {
      const body = bodyOf(spec.description);
      return body.isSimple ? shapeOfBody(body) : undefined;
    }
    default:
      return undefined;
  }
}

function shapeOfArray(element: Field, n: number): Shape | undefined {
  const spec = element as Spec;
  if (spec.kind === "int") {
    const typed = typedArrayOf(spec)?.name;
    return typed === undefined ? undefined : { kind: "ints", spec, typed, n };
  }
  const shape = shapeOf(element);
  return shape && { kind: "array", element: shape, n };
}

function isFixed(count: Count): count is number {
  return typeof count === "number";
}

export function membersIn(shape: Shape): number {
  if (shape.kind === "array") return membersIn(shape.element);
  if (shape.kind !== "struct") return 1;
  return shape.members.reduce((sum, [, one]) => sum + membersIn(one), 1);
}

export function sizeOf(shape: Shape): number {
  switch (shape.kind) {
    case "int":
      return shape.spec.bytes;
    case "bool":
      return 1;
    case "timer":
    case "cpudouble":
      return 8;
    case "bytes":
    case "padding":
      return shape.size;
    case "ints":
      return shape.n * shape.spec.bytes;
    case "array":
      return shape.n * sizeOf(shape.element);
    case "struct":
      return shape.members.reduce((sum, [, one]) => sum + sizeOf(one), 0);
  }
}

/** Field decodes, as the nodes count them. */
export function decodesOf(shape: Shape): number {
  if (shape.kind === "array") return 1 + shape.n * decodesOf(shape.element);
  if (shape.kind !== "struct") return 1;
  return shape.members.reduce((sum, [, one]) => sum + decodesOf(one), 1);
}

export function allocatesOf(shape: Shape): number {
  if (shape.kind === "array") return shape.n * allocatesOf(shape.element);
  if (shape.kind === "struct") return shape.members.reduce((sum, [, one]) => sum + allocatesOf(one), 0);
  return shape.kind === "bytes" || shape.kind === "ints" ? sizeOf(shape) : 0;
}

/** True where every record's value is a state's. */
export function isPlain(shape: Shape): boolean {
  if (shape.kind === "array") return isPlain(shape.element);
  if (shape.kind === "struct") return shape.members.every(([, one]) => isPlain(one));
  return shape.kind !== "bool" && shape.kind !== "padding";
}

// A description's fields as a body keeps them: the node, its names, and the condition on which it is there.
import { MigrationError } from "../../errors.ts";
import type { ConditionSpec, Spec } from "../spec.ts";
import type { Description, Field, Scope } from "../types.ts";
import type { Node } from "./node.ts";

export interface Member {
  readonly key: string;
  /** The wire's name. */
  readonly name: string;
  /** Undefined for a mere test of the record. */
  readonly node: Node | undefined;
  readonly condition: ConditionSpec | undefined;
  readonly padding: boolean;
  /** The condition is an existence test, and not only a version. */
  readonly tested: boolean;
}

/** Whether a field with a condition is there. Where it must be, an error tells that it is not. */
export function exists(name: string, condition: ConditionSpec, scope: Scope): boolean {
  if (condition.exists(scope.record, scope)) return true;
  if (condition.mustExist) throw new MigrationError("FIELD_MUST_EXIST", `the test of "${name}" fails`);
  return false;
}

export function membersOf(description: Description, compile: (field: Field) => Node): Member[] {
  return Object.entries(description.fields).map(([key, field]) => {
    const padding = (field as { padding?: true }).padding === true;
    let name: string | undefined;
    let condition: ConditionSpec | undefined;
    let inner: Field | undefined = field;
    while (inner !== undefined) {
      const spec = inner as Spec;
      if (spec.kind === "named") name ??= spec.name;
      else if (spec.kind !== "condition") break;
      else if (condition === undefined) condition = spec;
      else throw twoConditions(key, description.name);
      inner = spec.element;
    }
    const tested = condition !== undefined && condition.since === undefined;
    const node = inner === undefined ? undefined : compile(inner);
    return { key, name: name ?? (padding && node !== undefined ? "unused" : key), node, condition, padding, tested };
  });
}

function twoConditions(key: string, description: string): MigrationError {
  return new MigrationError("DEFINITION_INVALID", `field "${key}" of "${description}" has two conditions`, {
    side: "define",
  });
}

// A list whose elements may hold lists of their own kind: a tree of any shape, as deep as its bound.
import {
  type CustomCodec,
  customField,
  type Description,
  type Field,
  MigrationError,
  type Scope,
  struct,
} from "@godwit/core";
import { type ListDialect, type ListKind, type ListSteps, listSteps, vmdescType } from "./list-steps.ts";

export interface RecursiveListInit {
  readonly dialect?: ListDialect;
  /**
   * How many records may stand around a list, the section's own among them. A stream can ask for one level a byte: what
   * goes deeper is `FIELD_CUSTOM`, on save and on load. The default is 64.
   */
  readonly maxDepth?: number;
}

const defaultDepth = 64;

/** `element` is asked when the first list is met, when the description that holds the list has a name. */
export function recursiveList(
  kind: ListKind,
  element: () => Description,
  { dialect = "merged", maxDepth = defaultDepth }: RecursiveListInit,
): Field<unknown[]> {
  let known: Field | undefined;
  const field = (): Field => {
    known ??= struct(element());
    return known;
  };
  const steps = listSteps(kind, field, field);
  const codec: CustomCodec<unknown[], ListSteps> = {
    kind: vmdescType(kind, dialect),
    ...steps,
    begin(scope) {
      mustBeWithin(scope, maxDepth);
      return steps.begin(scope);
    },
    encode(elements, scope) {
      mustBeWithin(scope, maxDepth);
      return steps.encode(elements, scope);
    },
    // A getter: while the list is defined, what it holds is not.
    get elements() {
      return element();
    },
  };
  return customField(codec);
}

function mustBeWithin(scope: Scope, maxDepth: number): void {
  let depth = 0;
  for (let at: Scope | undefined = scope; at !== undefined; at = at.parent) {
    if (++depth <= maxDepth) continue;
    throw new MigrationError("FIELD_CUSTOM", "a list stands deeper than it may", {
      expected: `at most ${maxDepth} records around it`,
      found: "more",
    });
  }
}

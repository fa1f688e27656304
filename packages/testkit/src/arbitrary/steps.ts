// Values of a custom field that gives no `sample`: its own steps say which field stands on the wire next.
import type { CustomCodec, Field, Scope } from "@godwit/core";

interface Sampling {
  /** Makes a value; with `most`, the field frames others, and its numbers stay small. */
  readonly make: (field: Field, index: number, most: number | undefined) => unknown;
  readonly refuse: (expected: string) => Error;
}

const smallFraming = 4;
/** From here on framing is 0, which ends the lists that there are. */
const manySteps = 12;
const mostSteps = 256;

/**
 * Works where the steps collect values and small numbers frame them: lengths, marks in front of elements. What the steps
 * refuse is chosen anew; a codec whose values hang together in other ways needs a `sample`.
 */
export function sampleBySteps(
  custom: CustomCodec<unknown, unknown>,
  scope: Scope,
  { make, refuse }: Sampling,
): unknown {
  const steps = custom.begin(scope);
  for (let index = 0; ; index++) {
    const field = custom.next(steps);
    if (field === undefined) return custom.end(steps);
    if (index === mostSteps) throw refuse("a list that ends");
    const isFraming = innerKind(field) === "int";
    custom.take(steps, make(field, index, isFraming ? (index < manySteps ? smallFraming : 0) : undefined));
  }
}

function innerKind(field: Field): string {
  const { kind, element } = field as Field & { readonly element?: Field };
  return kind === "checked" && element !== undefined ? innerKind(element) : kind;
}

// One row of the tables: macros of QEMU's, the field that stands for them, and a value with its bytes.
import type { Field, PaddingField, StateOfField } from "@godwit/core";

export interface Row {
  readonly macros: readonly string[];
  /** The field as the guide shows it. `check-rows.ts` sees that `field` is this code. */
  readonly says: string;
  readonly field: Field<unknown>;
  /** Earlier fields of the record: a u8, u16 or u32, by the key `n8`, `n16` or `n32`. */
  readonly before?: Readonly<Record<string, number>>;
  /** None for padding. */
  readonly value?: unknown;
  /** Of the field alone, hexadecimal. */
  readonly bytes: string;
  /** What the guide says of the wire. */
  readonly wire: string;
}

type Init<F> = Omit<Row, "macros" | "field" | "value"> & { readonly field: F };

/** `value` is of the field's type. */
export function row<F extends Field<unknown>>(
  macros: string,
  init: F extends PaddingField ? Init<F> : Init<F> & { readonly value: StateOfField<F> },
): Row {
  return { ...(init as unknown as Init<F>), macros: macros.split(" ") };
}

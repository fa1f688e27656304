// Where a generator stands in a state.

export interface Place {
  /** Tells one choice from another: the field's path with its indices, and which try this is. */
  readonly name: string;
  /** The field's path without indices, `vqs[].last_avail_idx`: what overrides are given for, and errors show. */
  readonly path: string;
}

export const root: Place = { name: "", path: "" };

export function member({ name, path }: Place, key: string): Place {
  return { name: `${name}.${key}`, path: path === "" ? key : `${path}.${key}` };
}

export function element({ name, path }: Place, index: number): Place {
  return { name: `${name}[${index}]`, path: `${path}[]` };
}

/** Another choice at the same place: a later try, or a choice that is no field. */
export function other({ name, path }: Place, tag: string | number): Place {
  return { name: `${name}~${tag}`, path };
}

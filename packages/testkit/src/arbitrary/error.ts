// How a generator says that it cannot make a state: to itself, when a try fails, and to the caller, when all do.

/** A choice that led to no state. The generator tries again; the last one becomes the text of an `ArbitraryError`. */
export class Unmet extends Error {
  readonly path: string;
  readonly expected: string;
  constructor(path: string, expected: string) {
    super(`${path}: ${expected}`);
    this.name = "Unmet";
    this.path = path;
    this.expected = expected;
  }
}

/** `STATE_NOT_FOUND`: choices by the hundred led to no state of a description. `path` is the field that refused last. */
export class ArbitraryError extends Error {
  readonly code = "STATE_NOT_FOUND";
  readonly path: string;
  constructor(name: string, { path, expected }: Unmet) {
    const remedy = `give \`override\` an arbitrary for "${path}" or for what stands around it`;
    super(`STATE_NOT_FOUND: no state of "${name}" was found: ${path}: ${expected}; ${remedy}`);
    this.name = "ArbitraryError";
    this.path = path;
  }
}

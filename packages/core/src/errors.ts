// MigrationError, the one error of Godwit: a stable code, and the place in the stream that it is about.

/** Which end of a migration noticed the error. `define` is a fault in a description, before any stream exists. */
export type Side = "source" | "destination" | "define";

/** Where an error happened. Every part that is known is filled in; none is guessed. */
export interface ErrorLocation {
  readonly side?: Side | undefined;
  /** The section as `idstr/instance`. */
  readonly section?: string | undefined;
  /** The version the section was written with. */
  readonly version?: number | undefined;
  /** The field inside the section, such as `vqs[1].last_avail_idx`. */
  readonly path?: string | undefined;
  /** Offset from the first byte of the stream (of the input, where there is no stream). Bytes. */
  readonly offset?: number | undefined;
}

/** The stable codes. They are API: a code keeps its meaning for ever; messages may change. */
export const errorCodes = {
  ABSENT_MISMATCH: "a value would not be carried by the stream and differs from what the destination would assume",
  ALLOCATION_UNJUSTIFIED: "the stream asks for more memory than what has arrived justifies",
  ATTEMPT_ACTIVE: "another attempt to save, send or load is under way",
  ATTEMPT_ENDED: "the incoming or outgoing attempt has already ended",
  BITS_RANGE: "a value does not fit the field's width or type",
  CAPABILITY_MISMATCH: "source and destination differ in a migration capability",
  CHECK_TOO_LARGE: "two descriptions differ in more fields than can be compared",
  CLOCK_RUNNING: "the virtual clock must be stopped for this",
  COMMAND_LENGTH: "a command has the wrong length",
  COMMAND_UNKNOWN: "the stream holds a command that is not known",
  COMMAND_UNEXPECTED: "the stream holds a command that this load cannot serve",
  CONFIGURATION_MISMATCH: "the configuration section does not fit this machine",
  COUNT_BOUND: "a count is beyond its bound",
  COUNT_MISMATCH: "an array's length differs from the field that counts it",
  DEFINITION_INVALID: "a description is not well formed",
  DEPENDENCY_CYCLE: "devices wait for each other in a cycle",
  DEPENDENCY_UNKNOWN: "a device names a dependency that is not registered",
  DEPENDENCY_ITERABLE: "an iterable handler cannot wait for a non-iterable one",
  DEVICE_ASYNC: "a function that must answer at once returned a promise",
  DEVICE_CHECK: "a device refuses the state that arrived",
  DEVICE_UNMIGRATABLE: "a device that cannot migrate is present",
  DEVICE_FAILED: "a device's own function threw",
  DUMP_INVALID: "this is no dump of descriptions",
  FIELD_CHECK: "a field's value fails the description's check",
  FIELD_CUSTOM: "a custom field refuses its bytes",
  FIELD_MISSING: "the state lacks a described field",
  FIELD_MUST_EXIST: "a field that must exist does not",
  FIELD_UNEQUAL: "a field must be equal on both sides and is not",
  FOOTER_MISMATCH: "a section's footer carries another section's id",
  FOOTER_MISSING: "a section does not end where its description ends",
  INSTANCE_AMBIGUOUS: "a second device of the same idstr needs an explicit instance or path",
  LENGTH_BOUND: "a length is beyond its bound",
  MACHINE_MISMATCH: "the stream is of another machine type",
  MACHINE_TORN: "taking over a state failed, and so did putting the old one back",
  MAGIC_WRONG: "this is not a QEMU migration stream",
  MEMORY_UNMAPPED: "an address is not backed by migrated memory",
  NULL_PATTERN: "an array of pointers has another pattern of nulls than expected",
  PAGE_ABSENT: "a page of memory has not come yet, in post-copy",
  PARAMETER_AMBIGUOUS: "an instance parameter cannot be inferred from the stream",
  PARAMETER_WRONG: "an instance parameter contradicts the stream",
  PLUGIN_CONTRACT: "a plugin was built for a contract that this kernel does not accept",
  RAM_BLOCK_MISMATCH: "a RAM block's size or page size differs",
  RAM_BLOCK_UNKNOWN: "the stream names a RAM block that this machine does not have",
  RAM_ENCODING: "a page is encoded in a way that is not supported here",
  RAM_FLAGS: "a RAM record carries an invalid combination of flags",
  RAM_OFFSET: "a page lies outside its RAM block",
  RAM_ORDER: "a RAM record came where it may not",
  RECORD_CYCLE: "a record of the state is reached again through itself",
  REGISTRY_FROZEN: "devices may not come or go during a migration",
  SAVE_ASYNC: "a device's save returned a promise",
  SECTION_DUPLICATE: "a section came twice, or two devices claim it",
  SECTION_ID: "a PART or END names a section that was not started",
  SECTION_MISSING: "the stream ended without a section that this machine needs",
  SECTION_ORDER: "a section came where it may not",
  SECTION_TYPE: "an unknown section type",
  SECTION_UNDELIMITED: "a section is not described and nothing tells where it ends",
  SECTION_UNKNOWN: "the stream holds a section that this machine does not have",
  SECTION_VERSION: "a section's version is not readable here",
  STREAM_TRAILING: "bytes follow the end of the stream",
  STREAM_TRUNCATED: "the stream ends in the middle of an element",
  STREAM_VERSION: "the stream's version is not 3",
  SUBSECTION_DUPLICATE: "a subsection came twice",
  SUBSECTION_UNKNOWN: "the stream holds a subsection that the description does not know",
  SUBSECTION_VERSION: "a subsection's version is not readable here",
  TRANSLATION_FAULT: "a device address does not translate",
  VIRTQUEUE_INDEX: "a virtqueue's indices cannot be",
  VMDESC_INVALID: "the stream's own description is not usable",
} as const;

export type ErrorCode = keyof typeof errorCodes;

export interface MigrationErrorInit extends ErrorLocation {
  readonly expected?: string | undefined;
  readonly found?: string | undefined;
  readonly cause?: unknown;
}

export interface MigrationErrorJson extends ErrorLocation {
  readonly name: "MigrationError";
  readonly code: string;
  readonly detail: string;
  readonly expected?: string;
  readonly found?: string;
}

const marker: symbol = Symbol.for("godwit.MigrationError");

/** The error of every failed save, load or migration. Recognise it with `isMigrationError`, never with `instanceof`. */
export class MigrationError extends Error {
  readonly code: string;
  /** The sentence without the location. */
  readonly detail: string;
  readonly location: ErrorLocation;
  readonly expected: string | undefined;
  readonly found: string | undefined;

  constructor(code: ErrorCode | (string & {}), detail: string, init: MigrationErrorInit = {}) {
    const { expected, found, cause, ...rest } = init;
    const location: ErrorLocation = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
    super(compose(code, detail, location, expected, found), cause === undefined ? undefined : { cause });
    this.name = "MigrationError";
    this.code = code;
    this.detail = detail;
    this.location = location;
    this.expected = expected;
    this.found = found;
    Object.defineProperty(this, marker, { value: true });
  }

  /** The same error with what `more` knows added; what is already known stays. */
  at(more: ErrorLocation): MigrationError {
    const { code, detail, location, expected, found, cause } = this;
    const path = joinPath(more.path, location.path);
    return new MigrationError(code, detail, { ...more, ...location, path, expected, found, cause });
  }

  toJSON(): MigrationErrorJson {
    const { code, detail, location, expected, found } = this;
    return {
      name: "MigrationError",
      code,
      detail,
      ...location,
      ...(expected === undefined ? {} : { expected }),
      ...(found === undefined ? {} : { found }),
    };
  }

  static fromJSON(json: MigrationErrorJson): MigrationError {
    const { name: _, code, detail, ...init } = json;
    return new MigrationError(code, detail, init);
  }
}

/** True for a MigrationError of any copy of core, on this side of a thread or the other. */
export function isMigrationError(error: unknown): error is MigrationError {
  return typeof error === "object" && error !== null && (error as Record<symbol, unknown>)[marker] === true;
}

/** `a` then `b`; an index segment follows without a dot. */
export function joinPath(a: string | undefined, b: string | undefined): string | undefined {
  if (!a) return b;
  if (!b) return a;
  return b.startsWith("[") ? a + b : `${a}.${b}`;
}

function compose(
  code: string,
  detail: string,
  at: ErrorLocation,
  expected: string | undefined,
  found: string | undefined,
): string {
  const { section, version, path, offset } = at;
  const place = [
    section && `section ${section}${version === undefined ? "" : ` v${version}`}`,
    path && `field ${path}`,
    offset !== undefined && `offset ${offset}`,
  ].filter(Boolean);
  const values =
    (expected === undefined ? "" : `; expected ${expected}`) + (found === undefined ? "" : `; found ${found}`);
  return `${code}: ${detail}${values}${place.length > 0 ? ` (${place.join(", ")})` : ""}`;
}

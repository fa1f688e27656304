// What may be wrong with a wish for a new plugin: stable codes, and a sentence for the one who asked.

/** The stable codes. They are API: a code keeps its meaning; messages may change. */
export const createErrorCodes = {
  ARGUMENT_SURPLUS: "more arguments than one name",
  DEVICE_INVALID: "the device's name cannot be one on the wire and in the code",
  FOLDER_NOT_EMPTY: "the folder, or what is in its place, holds something; nothing is ever written over",
  FOLDER_UNWRITABLE: "the folder cannot be written; nothing was",
  NAME_INVALID: "no package can be published under this name",
  NAME_MISSING: "the package's name is not given",
  OPTION_UNKNOWN: "there is no such option",
  OPTION_VALUE: "an option lacks its value",
} as const;

export type CreateErrorCode = keyof typeof createErrorCodes;

/** Nothing has been written when this is thrown. Recognise it by its `code`. */
export class CreateError extends Error {
  readonly code: CreateErrorCode;
  constructor(code: CreateErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "CreateError";
    this.code = code;
  }
}

// create-godwit-plugin as a module: what the command does, for programs.
export { type CreatedPlugin, type CreateOptions, createPlugin } from "./create.ts";
export { CreateError, type CreateErrorCode, createErrorCodes } from "./errors.ts";

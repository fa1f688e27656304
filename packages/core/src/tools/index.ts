// @godwit/core/tools: what tools make of descriptions and streams; a machine that migrates needs none of it.

export {
  type Dump,
  type DumpDescription,
  type DumpDescriptionMore,
  type DumpField,
  type DumpFieldMore,
  type DumpMachine,
  type DumpOptions,
  type DumpSection,
  dumpOf,
} from "./dump.ts";
export { dumpSectionOfVmdesc } from "./dump-vmdesc.ts";
export * from "./json-record.ts";
export { type JsonSchema, jsonSchemaOf } from "./json-schema.ts";
export { type JsonObject, type JsonValue, valueToJson } from "./json-value.ts";
export { type MarkdownOptions, markdownOf } from "./markdown.ts";
export * from "./vmdesc-leaf.ts";
export * from "./vmdesc-values.ts";

// Streams for tests: built of states or of raw bytes, taken apart, and spoiled at known places.
export {
  cutAt,
  flip,
  reorderSections,
  sectionKeys,
  withoutFooter,
  withoutSection,
  withoutVmdesc,
  withSection,
} from "./streams/change.ts";
export { streamOf } from "./streams/read.ts";
export type { SectionInit, SectionPart } from "./streams/section.ts";
export {
  buildStream,
  type StreamElement,
  type StreamInit,
  type StreamParts,
  type TestStream,
} from "./streams/stream.ts";

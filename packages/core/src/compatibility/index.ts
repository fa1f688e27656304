// @godwit/core/compatibility: two sets of descriptions compared by their dumps. What one writes, does the other read it?

export { align, type Pairing } from "./align.ts";
export { type ClassChoice, compareClasses } from "./classes.ts";
export { type CheckCode, type Condition, checkCodes, type Severity, severities } from "./codes.ts";
export { type Comparison, compareSections } from "./compare.ts";
export { dumpSide, sideOf } from "./dump.ts";
export { type Direction, type Finding, findingsOf, type Place, type Remark } from "./finding.ts";
export * from "./model.ts";
export { comparePublished } from "./published.ts";

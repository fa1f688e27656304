// @godwit/qtailq-codec: QEMU's QTAILQ, QLIST and GTree, made of core's `customField` and public fields alone.
export { gtree, type KeyOrder, type TreeNode } from "./gtree.ts";
export { type ListInit, qlist, qtailq } from "./list.ts";
export type { ListDialect } from "./list-steps.ts";
export type { RecursiveListInit } from "./recursive-list.ts";

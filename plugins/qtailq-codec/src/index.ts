// @godwit/qtailq-codec: QEMU's QTAILQ, QLIST and GTree, made of core's `customField` and public fields alone.
export { gtree, type KeyOrder, type TreeNode } from "./gtree.ts";
export { type ListDialect, type ListInit, qlist, qtailq } from "./list.ts";

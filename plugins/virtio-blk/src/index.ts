// @godwit/virtio-blk: the virtio block device.
export type * from "./backend.ts";
export type { Geometry } from "./configuration.ts";
export { blkFeature, requestStatus, requestType, sectorBytes } from "./constants.ts";
export { type VirtioBlkModel, type VirtioBlkOptions, virtioBlk } from "./model.ts";
export { maxRequestBytes } from "./request.ts";
export { type CarriedRequest, type RequestListParameters, requestList } from "./request-list.ts";
export { virtioBlkClass } from "./section.ts";

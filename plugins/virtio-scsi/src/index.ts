// @godwit/virtio-scsi: the virtio SCSI host adapter, and its disks.
export type * from "./backend.ts";
export { type BlockCommand, blockCommand } from "./cdb.ts";
export { event, opcode, response, scsiFeature, scsiStatus, tmf, tmfResponse } from "./constants.ts";
export { type ScsiDiskOptions, ScsiDiskUnit, type UnitHost, type UnitRequest } from "./disk.ts";
export { type ScsiDiskParameters, type ScsiDiskState, scsiDisk, scsiDiskFamily } from "./disk-state.ts";
export { type VirtioScsiModel, type VirtioScsiOptions, virtioScsi } from "./model.ts";
export type { Answer, UnitAddress } from "./request.ts";
export { type CarriedScsiRequest, scsiRequests } from "./requests-field.ts";
export { virtioScsiClass } from "./section.ts";
export { type Sense, senseOf } from "./sense.ts";

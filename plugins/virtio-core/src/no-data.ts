// What stands where a transport or a device has nothing to say.
import { type Description, vmstate } from "@godwit/core";

export type NoData = Record<never, never>;
/** A description without a single field: no bytes, `{}` as state. */
export const noData: Description<NoData> = vmstate({ name: "(no data)", version: 1, fields: {} });

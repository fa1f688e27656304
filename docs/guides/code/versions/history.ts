// Descriptions that the present release has no more.
import { i64, u8, vmstate } from "@godwit/core";

/** Release 5. Release 6 has an alarm. */
export const rtcOfRelease5 = vmstate({ name: "rtc", version: 1, fields: { now_ns: i64, control: u8 } });

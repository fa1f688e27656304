// The buzzer's state as of 1.0.
import { u32, vmstate } from "@godwit/core";

export const buzzer = vmstate({ name: "acme-buzzer", version: 1, fields: { pitchHz: u32 } });

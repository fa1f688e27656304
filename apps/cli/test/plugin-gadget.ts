// A third party's module: one device that no plugin of ours knows.
import { u32, vmstate } from "@godwit/core";

export const gadget = vmstate({ name: "gadget", version: 2, fields: { level: u32, limit: u32 } });

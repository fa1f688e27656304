// "Cannot migrate" and "has nothing to save" are said, never left out.
import { type Description, vmstate } from "../vmstate/index.ts";

/** The description of a device that keeps its machine from migrating: `DEVICE_UNMIGRATABLE` with the reason. */
export function unmigratable(name: string, reason: string): Description<Record<never, never>> {
  return vmstate({ name, version: 0, unmigratable: reason, fields: {}, needed: () => false, absent: {} });
}

/** The description of a device that has nothing to save; nothing of it travels. */
export function stateless(name: string): Description<Record<never, never>> {
  return vmstate({ name, version: 0, fields: {}, needed: () => false, absent: {} });
}

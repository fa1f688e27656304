// Which subsections a device would send as its state is now.
import type { Entry } from "../registry/registry.ts";
import { writeState } from "../vmstate/codec.ts";
import { Writer } from "../writer.ts";
import { atOnce } from "./synchronous.ts";

/**
 * Their names, at whatever depth. Undefined where the device cannot say so now: its `save` waits for `quiesce`, or its state
 * is not one to be sent yet. What stays wrong, the save itself tells.
 */
export function neededSubsections({ description, device }: Entry): string[] | undefined {
  if (description === undefined || device === undefined) return [];
  try {
    const state = atOnce(device.save(), "SAVE_ASYNC", "save");
    if (description.needed?.(state) === false) return [];
    const names = new Set<string>();
    writeState(new Writer(256), description, state, (name) => names.add(name));
    return [...names];
  } catch {
    return undefined;
  }
}

// Which subsections a device would send as its state is now.
import type { Entry } from "../registry/registry.ts";
import type { VmdescField, VmdescMembers } from "../stream/vmdesc-types.ts";
import { listState } from "../vmstate/codec.ts";
import { Writer } from "../writer.ts";
import { atOnce } from "./synchronous.ts";

/** Their names, at whatever depth. Undefined where the device cannot say so now: its `save` waits for `quiesce`. */
export function neededSubsections({ description, device }: Entry): string[] | undefined {
  if (description === undefined || device === undefined) return [];
  try {
    const state = atOnce(device.save(), "SAVE_ASYNC", "save");
    if (description.needed?.(state) === false) return [];
    const names = new Set<string>();
    collect(listState(new Writer(256), description, state, "10.0"), names);
    return [...names];
  } catch {
    return undefined;
  }
}

function collect({ fields = [], subsections = [] }: Partial<VmdescMembers | VmdescField>, names: Set<string>): void {
  for (const subsection of subsections) {
    names.add(subsection.vmsd_name);
    collect(subsection, names);
  }
  for (const field of fields) {
    collect(field, names);
    if (field.struct !== undefined) collect(field.struct, names);
  }
}

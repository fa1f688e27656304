// What the destination's own stream lets suspect, and does not prove: a section may be missing because it was not needed, a
// field because its condition did not hold.
import { isMigrationError } from "@godwit/core";
import type { VmdescDevice } from "@godwit/core/stream";
import { valuesByVmdesc } from "@godwit/core/tools";
import type { DecodedSection, DecodedTarget } from "./decoded.ts";

const keyOf = ({ name, instance_id }: VmdescDevice): string => `${name}/${instance_id}`;

/** Sections of FULL kind on one side only, and sections whose fields are not the same ones. */
export function targetNotes(sections: readonly DecodedSection[], target: DecodedTarget | undefined): readonly string[] {
  const theirs = target?.sections?.filter(({ phase }) => phase === "full").map(({ key }) => key);
  const keys = theirs ?? target?.vmdesc?.devices.map(keyOf);
  if (keys === undefined) return [];
  const own = new Set(sections.map(({ key }) => key));
  const others = new Set(keys);
  return [
    ...[...own]
      .filter((key) => !others.has(key))
      .map((key) => `${key}: the destination has saved no such section: without the device it refuses the stream`),
    ...[...others]
      .filter((key) => !own.has(key))
      .map(
        (key) =>
          `${key}: the destination has saved such a section, and the stream has none: the device would begin anew`,
      ),
    ...sections.flatMap((section) => fieldNote(section, target) ?? []),
  ];
}

/** Types of lists: how long they are is state. */
const listTypes = new Set(["qtailq", "qlist", "gtree", "rest"]);

function fieldNote(section: DecodedSection, target: DecodedTarget | undefined): string | undefined {
  const theirs = target?.sections?.find(({ key, phase }) => key === section.key && phase === "full");
  const [a, b] = [section, theirs].map((one) => one && fixedFields(one));
  // Names alone may change between releases; what follows a field is misread where the bytes are others.
  if (a === undefined || b === undefined || a.bytes === b.bytes) return undefined;
  const only = [...a.names].filter((name) => !b.names.has(name));
  const missing = [...b.names].filter((name) => !a.names.has(name));
  if (only.length === 0 && missing.length === 0) return undefined;
  const sides = [
    ...(only.length > 0 ? [`only the stream has ${only.join(", ")}`] : []),
    ...(missing.length > 0 ? [`only the destination's has ${missing.join(", ")}`] : []),
  ];
  return `${section.key}: ${sides.join("; ")}: if the machine decides about that, it is misread; if the state does, it is not`;
}

/** Without subsections, which have names of their own on the wire. Undefined where no vmdesc lists them. */
function fixedFields(
  section: DecodedSection,
): { readonly names: ReadonlySet<string>; readonly bytes: number } | undefined {
  const { listed, body } = section;
  if (listed?.fields === undefined || body === undefined) return undefined;
  try {
    const names = new Set<string>();
    let bytes = 0;
    for (const { path, type, bytes: own } of valuesByVmdesc(listed, body)) {
      // The first name of a subsection has the separator of its name.
      if (path.includes("/") || listTypes.has(type)) continue;
      names.add(path.replaceAll(/\[\d+\]/g, "[]"));
      bytes += own;
    }
    return { names, bytes };
  } catch (error) {
    if (isMigrationError(error)) return undefined;
    throw error;
  }
}

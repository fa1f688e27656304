// What a comparison finds: the raw remark about one place, and the finding that puts like remarks together.
import { type CheckCode, type Condition, checkCodes, type Severity, severities } from "./codes.ts";

/** forward: the old QEMU saves, the new one loads. */
export type Direction = "forward" | "backward";

export interface Place {
  /** The device class; for what only a stream shows, `idstr/instance`. */
  readonly section: string;
  /** Names of structs and subsections from the section to the field; empty for the section itself. */
  readonly path: string;
}

/** About one place in one direction. */
export interface Remark extends Place {
  readonly code: CheckCode;
  readonly direction: Direction;
  /** The description that holds it: the innermost. */
  readonly description: string;
  /** The field or subsection; empty where the description itself is meant. */
  readonly subject: string;
  readonly writer: string;
  readonly reader: string;
  readonly conditions: readonly Condition[];
}

/** One change, wherever it stands. What was in each is told as `old` and `new`, whichever of them saves. */
export interface Finding {
  readonly severity: Severity;
  readonly code: CheckCode;
  readonly direction: Direction;
  readonly description: string;
  readonly subject: string;
  readonly old: string;
  readonly new: string;
  /** What must be so before it matters. */
  readonly conditions: readonly Condition[];
  readonly places: readonly Place[];
  readonly says: string;
  readonly remedy: string;
}

/** A remark with conditions is no certain break. */
function severityOf({ code, conditions }: Remark): Severity {
  const { severity, softened } = checkCodes[code];
  if (conditions.length === 0) return severity;
  return softened ?? (severity === "breaks" ? "may break" : severity);
}

/** The worst first, like remarks together. */
export function findingsOf(remarks: readonly Remark[]): Finding[] {
  const rank = new Map<Severity, number>(severities.map((severity, i) => [severity, i]));
  const at = ({ severity, direction }: Finding) => (rank.get(severity) ?? 0) * 2 + (direction === "forward" ? 0 : 1);
  return grouped(remarks).sort((a, b) => at(a) - at(b));
}

/** Like remarks about the same description are one finding with all its places. */
function grouped(remarks: readonly Remark[]): Finding[] {
  const groups = new Map<string, { readonly first: Remark; readonly places: Map<string, Place> }>();
  for (const remark of remarks) {
    const { code, direction, description, subject, writer, reader, conditions, section, path } = remark;
    const key = JSON.stringify([code, direction, description, subject, writer, reader, conditions]);
    const group = groups.get(key) ?? { first: remark, places: new Map<string, Place>() };
    groups.set(key, group);
    group.places.set(`${section}#${path}`, { section, path });
  }
  return [...groups.values()].map(({ first, places }) => {
    const { code, direction, description, subject, writer, reader, conditions } = first;
    const forward = direction === "forward";
    const { says, remedy } = checkCodes[code];
    return {
      severity: severityOf(first),
      code,
      direction,
      description,
      subject,
      old: forward ? writer : reader,
      new: forward ? reader : writer,
      conditions,
      places: [...places.values()],
      says,
      remedy,
    };
  });
}

// Of many findings those that the others follow from: a device that is broken in one way shows it in many.
import type { PluginCode, PluginFinding } from "./findings.ts";

interface Consequences {
  readonly of: readonly PluginCode[];
  readonly are: readonly PluginCode[];
  /** Only at the same section. */
  readonly inSection: boolean;
}

const table: readonly Consequences[] = [
  {
    of: ["HOST_TIME_STORED", "CHANCE_STORED"],
    are: ["STATE_LOST", "SAVE_FAILED", "SAVE_CHANGES_DEVICE", "ORDER_DEPENDENT", "STATE_SHARED"],
    inSection: true,
  },
  { of: ["CHECK_CHANGES_STATE"], are: ["STATE_LOST"], inSection: true },
  {
    of: ["STATE_SHARED"],
    are: ["NOT_DETERMINISTIC", "LOAD_REFUSED", "MOSTLY_REFUSED", "GOLDEN_UNREADABLE"],
    inSection: false,
  },
  { of: ["SUBSECTION_LOST"], are: ["WIRE_CHANGED"], inSection: true },
  { of: ["LOAD_REFUSED"], are: ["MOSTLY_REFUSED", "VERSION_UNREADABLE", "GOLDEN_UNREADABLE"], inSection: false },
  { of: ["CHECK_FAILED", "MACHINE_TORN"], are: ["GOLDEN_UNREADABLE", "ORDER_DEPENDENT"], inSection: false },
];

export function causesOf(findings: readonly PluginFinding[]): readonly PluginFinding[] {
  let left = findings.filter((one, i) => findings.findIndex((other) => isSame(one, other)) === i);
  for (const { of, are, inSection } of table) {
    const causes = left.filter(({ code }) => of.includes(code));
    const follows = ({ code, section }: PluginFinding) =>
      are.includes(code) && causes.some((cause) => !inSection || cause.section === section);
    left = left.filter((one) => !follows(one));
  }
  return left;
}

const isSame = (a: PluginFinding, b: PluginFinding): boolean =>
  a.code === b.code && a.section === b.section && a.path === b.path;

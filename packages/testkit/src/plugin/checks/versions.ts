// Older versions: what a release of that version would have written is loaded, with what it lacked as `absent`.
import type { CheckFunction } from "../check.ts";
import { writable } from "../compare.ts";
import type { Findings } from "../findings.ts";
import { statesOf } from "../generated.ts";
import { devicesOf, type Lab, messageOf, saveWith } from "../lab.ts";
import { olderBody, presentState } from "../older.ts";
import type { RecordedDevice } from "../recorded.ts";
import { fullSection, type Parts, partsOf, withSection } from "../sections.ts";
import { carry } from "./states.ts";

export const versionsCheck: CheckFunction = async (lab, findings) => {
  const source = await lab.exercised();
  const older = devicesOf(source.bench).filter(({ description }) => description.minimumVersion < description.version);
  if (older.length === 0) return "no description of the plugin reads an older version";
  const save = await saveWith(findings, source, "after `exercise`");
  if (save === undefined) return undefined;
  for (const device of older) {
    const { minimumVersion, version } = device.description;
    for (let v = minimumVersion; v < version; v++) await checkVersion(lab, findings, partsOf(save), device, v);
  }
  return undefined;
};

async function checkVersion<M>(
  lab: Lab<M>,
  findings: Findings,
  parts: Parts,
  device: RecordedDevice,
  version: number,
): Promise<void> {
  const { key: section, description } = device;
  const states = statesOf(lab, findings, device, version);
  let refused = 0;
  let unwritable = 0;
  let first: unknown;
  for (const state of states) {
    if ("error" in writable(description, presentState(description, state, version))) {
      unwritable++;
      continue;
    }
    const body = olderBody(description, state, version);
    const answer =
      body instanceof Error
        ? body
        : await carry(
            findings,
            lab.make(),
            device,
            withSection(parts, fullSection(device, version, body)),
            `version ${version}`,
            version,
          );
    if (answer === undefined) continue;
    first ??= answer;
    refused++;
  }
  if (unwritable * 2 > states.length) {
    const text = `version ${version}: ${unwritable} of ${states.length} cannot be written`;
    findings.add("MOSTLY_REFUSED", { section, text });
  }
  if (refused * 2 <= states.length - unwritable) return;
  const text = `version ${version}: ${refused} of ${states.length} states are refused; ${messageOf(first)}`;
  findings.add("VERSION_UNREADABLE", { section, text, cause: first });
}

// Generated states: each goes in its section through a whole stream into a second machine, and back out of its save.
import { type AnyRecord, type Description, isMigrationError, type MigrationError } from "@godwit/core";
import type { CheckFunction } from "../check.ts";
import { bodyDifference, writable } from "../compare.ts";
import type { Findings } from "../findings.ts";
import { statesOf } from "../generated.ts";
import {
  devicesOf,
  givenTo,
  isSame,
  isSteady,
  type Lab,
  loadInto,
  type Made,
  messageOf,
  pluggableOf,
  saveWith,
  snapshotOf,
} from "../lab.ts";
import { presentState } from "../older.ts";
import type { RecordedDevice } from "../recorded.ts";
import { fullSection, type Parts, partsOf, type Section, streamOf, withSection } from "../sections.ts";
import { checkUntouched } from "../untouched.ts";

export const statesCheck: CheckFunction = async (lab, findings) => {
  const source = await lab.exercised();
  const save = await saveWith(findings, source, "after `exercise`");
  if (save === undefined) return undefined;
  const devices = [...devicesOf(source.bench), ...pluggableOf(lab, source.bench)];
  if (devices.length === 0) return "the plugin registers no device with a description";
  for (const device of devices) await checkDevice(lab, findings, partsOf(save), device);
  return undefined;
};

async function checkDevice<M>(lab: Lab<M>, findings: Findings, parts: Parts, device: RecordedDevice): Promise<void> {
  const { key, description } = device;
  const states = statesOf(lab, findings, device);
  const refusals = new Map<string, number>();
  let refused = 0;
  let tried = 0;
  let used = lab.make();
  for (const [i, state] of states.entries()) {
    const written = writable(description, state);
    const section = "body" in written ? sectionFor(device, written.body) : undefined;
    // What is not sent is what its absence means: real saves show that.
    if ("body" in written && section === undefined) continue;
    tried++;
    if (i % 2 === 0) used = lab.make();
    const answer =
      section === undefined
        ? "error" in written && written.error
        : await carry(findings, used, device, withSection(parts, section));
    if (!answer) continue;
    refused++;
    const said = isMigrationError(answer) ? answer.code : messageOf(answer);
    refusals.set(said, (refusals.get(said) ?? 0) + 1);
  }
  if (refused * 2 > tried) {
    const reasons = [...refusals].map(([code, times]) => `${code} (${times} times)`).join(", ");
    findings.add("MOSTLY_REFUSED", { section: key, text: `${refused} of ${tried}: ${reasons}` });
  }
}

function sectionFor(device: RecordedDevice, body: Uint8Array | undefined): Section | undefined {
  return body && fullSection(device, device.description.version, body);
}

/** Loads the stream, and compares what the device saves then. The answer is its refusal, where it refused. */
export async function carry(
  findings: Findings,
  destination: Made<unknown>,
  { key, description }: RecordedDevice,
  parts: Parts,
  what = "a generated state",
  version = description.version,
): Promise<MigrationError | undefined> {
  const stream = streamOf(parts);
  await checkUntouched(findings, destination, stream, what);
  if (!isSteady(destination)) return undefined;
  const before = snapshotOf(destination);
  const outcome = await loadInto(destination, stream);
  if (outcome.is !== "loaded") {
    const { section, path } =
      outcome.is === "refused" ? outcome.error.location : { section: outcome.section, path: undefined };
    if (outcome.is === "failed") {
      const { code, cause } = outcome;
      findings.add(code, { section, path, text: `${what}: ${messageOf(cause)}`, cause });
    }
    const isTorn = outcome.is === "failed" && outcome.code === "MACHINE_TORN";
    if (!isTorn && !findings.has("CHECK_CHANGES_DEVICE") && !isSame(before, snapshotOf(destination))) {
      findings.add("MACHINE_CHANGED", { section, text: what });
    }
    return outcome.is === "refused" ? outcome.error : undefined;
  }
  const given = givenTo(destination, key);
  const back = await saveWith(findings, destination, `${what}, loaded`);
  if (given !== undefined && back !== undefined) {
    compareWith(findings, key, description, presentState(description, given, version), partsOf(back), what);
  }
  return undefined;
}

function compareWith(
  findings: Findings,
  key: string,
  description: Description,
  given: AnyRecord,
  back: Parts,
  what: string,
): void {
  const body = back.sections.find((one) => one.key === key && one.phase === "full")?.body;
  const expected = writable(description, given);
  if ("error" in expected) {
    const { path } = isMigrationError(expected.error) ? expected.error.location : {};
    const text = `${what} was loaded, and what the device was given cannot be saved: ${messageOf(expected.error)}`;
    findings.add("STATE_LOST", { section: key, path, text });
    return;
  }
  const difference = bodyDifference(description, expected.body, body);
  if (difference === undefined) return;
  const { path, expected: was, found } = difference;
  findings.add("STATE_LOST", {
    section: key,
    path,
    text: `${what} was loaded with ${was}, and is saved as ${found}`,
  });
}

// The states that are generated for a device: by its description, and by what the test's author knows beyond it.
import type { AnyRecord } from "@godwit/core";
import { type Arbitrary, sample } from "fast-check";
import { arbitraryOf } from "../arbitrary.ts";
import type { Findings } from "./findings.ts";
import { type Lab, messageOf } from "./lab.ts";
import type { RecordedDevice } from "./recorded.ts";

type Generated = Pick<RecordedDevice, "description" | "idstr" | "key">;

/** As an older `version` would have written them. None where the arbitrary itself throws, which is a finding. */
export function statesOf<M>(
  lab: Lab<M>,
  findings: Findings,
  device: Generated,
  version?: number,
): readonly AnyRecord[] {
  try {
    return sample(arbitraryFor(lab, device, version), { seed: lab.seed, numRuns: lab.states });
  } catch (error) {
    const text = `no state can be generated: ${messageOf(error)}`;
    findings.add("MOSTLY_REFUSED", { section: device.key, text, cause: error });
    return [];
  }
}

function arbitraryFor<M>(
  { test }: Lab<M>,
  { description, idstr, key }: Generated,
  version = description.version,
): Arbitrary<AnyRecord> {
  const { arbitrary = {} } = test;
  const base = arbitraryOf(description, { override: arbitrary, version }) as Arbitrary<AnyRecord>;
  const own = arbitrary[key] ?? arbitrary[idstr] ?? arbitrary[description.name];
  return own === undefined ? base : (own(base) as Arbitrary<AnyRecord>);
}

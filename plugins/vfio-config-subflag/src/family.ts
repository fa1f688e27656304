// The families of this plugin's sections, for tools that have no device.
import { type Description, type DescriptionFamily, family } from "@godwit/core";
import { vfioRecord } from "./descriptions.ts";
import { inferRecord, type VfioRecordParameters } from "./infer.ts";
import type { VfioPciParameters } from "./parameters.ts";

/** What a description is built for where the record has no body: never read. */
const anyDevice: VfioPciParameters = { configBytes: 256, msixVectors: 0 };

/** The record `<pci path>/vfio`; the handler's other sections are the walker's: see `vfioWalker`. */
export const vfioFamily: DescriptionFamily<VfioRecordParameters> = family({
  name: "vfio",
  build: ({ dialect, device = anyDevice }): Description => vfioRecord(dialect, device),
  infer: inferRecord,
});

export const vfioFamilies: readonly DescriptionFamily<VfioRecordParameters>[] = [vfioFamily];

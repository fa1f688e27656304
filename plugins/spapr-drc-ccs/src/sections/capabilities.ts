// The capabilities of a pseries machine, each a subsection of one byte.
// Source: wire reference 16.1; QEMU: SpaprCapabilityInfo. The numbers are those of the vmdesc of QEMU 7.2.
import { named, type Subsection, subsection, u8 } from "@godwit/core";

/** Capabilities by the name on the wire: `spapr/cap/` comes before it. */
export type SpaprCapability =
  | "htm"
  | "vsx"
  | "dfp"
  | "cfpc"
  | "sbbc"
  | "ibs"
  | "hpt_maxpagesize"
  | "nested_kvm_hv"
  | "large_decr"
  | "ccf_assist"
  | "fwnmi"
  | "rpt_invalidate"
  | "ail_mode_3"
  | "nested_papr"
  | "dawr1";

/** The number of each, and what pseries-7.2 has where nobody asks for anything else. */
export const capabilityTable: Readonly<
  Record<SpaprCapability, { readonly number: number; readonly standard: number }>
> = {
  htm: { number: 0, standard: 0 },
  vsx: { number: 1, standard: 1 },
  dfp: { number: 2, standard: 1 },
  cfpc: { number: 3, standard: 1 },
  sbbc: { number: 4, standard: 1 },
  ibs: { number: 5, standard: 1 },
  hpt_maxpagesize: { number: 6, standard: 16 },
  nested_kvm_hv: { number: 7, standard: 0 },
  large_decr: { number: 8, standard: 1 },
  ccf_assist: { number: 9, standard: 1 },
  fwnmi: { number: 10, standard: 1 },
  rpt_invalidate: { number: 11, standard: 0 },
  ail_mode_3: { number: 12, standard: 0 },
  nested_papr: { number: 13, standard: 0 },
  dawr1: { number: 14, standard: 0 },
};

export interface CapabilityState {
  value: number;
}

/** `isSent`: it travels though its value is the standard one, as QEMU 7.2 sends `hpt_maxpagesize`. */
export function capability(name: SpaprCapability, standard: number, isSent: boolean): Subsection<CapabilityState> {
  const { number } = capabilityTable[name];
  const digits = number.toString(16).toUpperCase().padStart(2, "0");
  return subsection({
    name: `spapr/cap/${name}`,
    version: 1,
    fields: { value: named(`mig.caps[0x${digits}]`, u8) },
    needed: ({ value }) => isSent || value !== standard,
    absent: { value: standard },
  });
}

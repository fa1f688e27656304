// The machine's own section "spapr". Source: wire reference 16.1; QEMU: SpaprMachineState.
import {
  bitmap,
  type Description,
  i32,
  i64,
  type StateOf,
  type Subsection,
  since,
  struct,
  subsection,
  u32,
  u64,
  until,
  unused,
  vbuffer,
  vmstate,
} from "@godwit/core";
import { type CapabilityState, capability, capabilityTable, type SpaprCapability } from "./capabilities.ts";
import { type CcsListState, ccsList } from "./ccs.ts";
import { pendingEvents } from "./pending-events.ts";

/** Whose subsections are known: those of QEMU 7.2, or of 10.0 as well. */
export type SpaprDialect = "7.2" | "10.0";

/** What the section depends on and does not say. */
export interface SpaprParameters {
  readonly dialect: SpaprDialect;
  /** Bits of the map of interrupts. On the wire they are whole words of 64. */
  readonly irqMapBits: number;
  /** Option vector 5 travels though nothing was agreed on: the machine offers more than the oldest options. */
  readonly optionVector: boolean;
  /** Capabilities that travel though their value is the standard one. */
  readonly capabilities: readonly SpaprCapability[];
  /** Where the machine type's standard values are others than those of pseries-7.2. */
  readonly standards?: Readonly<Partial<Record<SpaprCapability, number>>>;
  /** The configure-connector list is known. Merged QEMU does not know it. */
  readonly ccs: boolean;
}

/** What pseries-7.2 of QEMU 7.2 writes, with a power9 and no interrupt of a message-signalled kind taken. */
export const spaprStandard: SpaprParameters = {
  dialect: "7.2",
  irqMapBits: 0,
  optionVector: true,
  capabilities: ["hpt_maxpagesize"],
  ccs: false,
};

const timebase = vmstate({
  name: "timebase",
  version: 1,
  fields: { guest_timebase: u64, time_of_the_day_ns: i64 },
});

const optionVectorBits = 2048;
const optionVector = vmstate({
  name: "spapr_option_vector",
  version: 1,
  fields: { bitmap: bitmap(optionVectorBits) },
});

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);
const noAddress = 0xffff_ffff_ffff_ffffn;
/** A device tree of more than this is none. Bytes. */
const dtbLimit = 16 * 1024 * 1024;

function capabilityOf(name: SpaprCapability, { capabilities, standards = {} }: SpaprParameters) {
  return capability(name, standards[name] ?? capabilityTable[name].standard, capabilities.includes(name));
}

function commonSubsections(parameters: SpaprParameters) {
  const { irqMapBits, optionVector: isOffered } = parameters;
  const cap = (name: SpaprCapability) => capabilityOf(name, parameters);
  return {
    optionVector: subsection({
      name: "spapr_option_vector_ov5_cas",
      version: 1,
      fields: { ov5_cas: struct(optionVector) },
      needed: ({ ov5_cas }) => isOffered || !isZero(ov5_cas.bitmap),
      absent: { ov5_cas: { bitmap: new Uint8Array(optionVectorBits / 8) } },
    }),
    patb: subsection({
      name: "spapr_patb_entry",
      version: 1,
      fields: { patb_entry: u64 },
      needed: ({ patb_entry }) => patb_entry !== 0n,
      absent: { patb_entry: 0n },
    }),
    pendingEvents,
    capHtm: cap("htm"),
    capVsx: cap("vsx"),
    capDfp: cap("dfp"),
    capCfpc: cap("cfpc"),
    capSbbc: cap("sbbc"),
    capIbs: cap("ibs"),
    capHptMaxpagesize: cap("hpt_maxpagesize"),
    irqMap: subsection({
      name: "spapr_irq_map",
      version: 1,
      fields: { irq_map: bitmap(irqMapBits) },
      needed: ({ irq_map }) => !isZero(irq_map),
      absent: { irq_map: new Uint8Array(8 * Math.ceil(irqMapBits / 64)) },
    }),
    capNestedKvmHv: cap("nested_kvm_hv"),
    dtb: subsection({
      name: "spapr_dtb",
      version: 1,
      fields: { fdt_initial_size: u32, fdt_size: u32, fdt_blob: vbuffer("fdt_size", { max: dtbLimit }) },
      // QEMU asks nothing, but its machines before pseries-3.1 keep no tree of the firmware's, and send none.
      needed: ({ fdt_size }) => fdt_size !== 0,
      absent: { fdt_initial_size: 0, fdt_size: 0, fdt_blob: new Uint8Array(0) },
    }),
    capLargeDecr: cap("large_decr"),
    capCcfAssist: cap("ccf_assist"),
    capFwnmi: cap("fwnmi"),
    fwnmi: subsection({
      name: "spapr_fwnmi",
      version: 1,
      fields: {
        fwnmi_system_reset_addr: u64,
        fwnmi_machine_check_addr: u64,
        fwnmi_machine_check_interlock: i32,
      },
      needed: ({ fwnmi_machine_check_addr }) => fwnmi_machine_check_addr !== noAddress,
      absent: {
        fwnmi_system_reset_addr: noAddress,
        fwnmi_machine_check_addr: noAddress,
        fwnmi_machine_check_interlock: -1,
      },
    }),
    capRptInvalidate: cap("rpt_invalidate"),
  };
}

function newerSubsections(parameters: SpaprParameters): Readonly<Record<string, Subsection>> {
  const { dialect, ccs } = parameters;
  const cap = (name: SpaprCapability) => capabilityOf(name, parameters);
  const newer = { capAilMode3: cap("ail_mode_3"), capNestedPapr: cap("nested_papr"), capDawr1: cap("dawr1") };
  return { ...(dialect === "10.0" && newer), ...(ccs && { spaprccslist: ccsList }) };
}

/** Where it stands among the subsections says nothing to a loader: it takes them in any order. */
export function spaprSection(parameters: SpaprParameters): SpaprDescription {
  return vmstate({ ...common, subsections: { ...commonSubsections(parameters), ...newerSubsections(parameters) } });
}

const common = {
  name: "spapr",
  version: 3,
  minimumVersion: 1,
  fields: {
    _unused: until(3, unused(4)),
    rtc_offset: until(3, u64, { absent: 0n }),
    tb: since(2, struct(timebase), { absent: { guest_timebase: 0n, time_of_the_day_ns: 0n } }),
  },
} as const;

const shape = (parameters: SpaprParameters) => vmstate({ ...common, subsections: commonSubsections(parameters) });

/** What the wire does not bring is as a machine has it that nobody asked for anything. */
export type SpaprState = StateOf<ReturnType<typeof shape>> & {
  /** From dialect 10.0 on. */
  capAilMode3?: CapabilityState;
  capNestedPapr?: CapabilityState;
  capDawr1?: CapabilityState;
  /** Where the list is known. */
  spaprccslist?: CcsListState;
};
export type SpaprDescription = Description<SpaprState>;

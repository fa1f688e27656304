// What channel I/O adds to a virtio section: the subchannel with all that it holds, indicators, adapter routes, vectors.
// Field names are QEMU's; the structures are those of z/Architecture (SCHIB, SCSW, CCW, ORB).
import {
  array,
  bool,
  type Description,
  i32,
  type StateOf,
  struct,
  subsection,
  u8,
  u16,
  u32,
  u64,
  vmstate,
} from "@godwit/core";
import type { NoData, VirtioTransportDescriptions } from "@godwit/virtio-core";

/** Path-management-control word, 28 bytes (QEMU: vmstate_pmcw). */
const pmcw = vmstate({
  name: "s390_pmcw",
  version: 1,
  fields: {
    intparm: u32,
    flags: u16,
    devno: u16,
    lpm: u8,
    pnom: u8,
    lpum: u8,
    pim: u8,
    mbi: u16,
    pom: u8,
    pam: u8,
    chpid: array(u8, 8),
    chars: u32,
  },
});

/** Subchannel-status word, 12 bytes (QEMU: vmstate_scsw). */
export const scsw = vmstate({
  name: "s390_scsw",
  version: 1,
  fields: { flags: u16, ctrl: u16, cpa: u32, dstat: u8, cstat: u8, count: u16 },
});

/** Subchannel-information block, 52 bytes (QEMU: vmstate_schib). */
export const schib = vmstate({
  name: "s390_schib",
  version: 1,
  fields: { pmcw: struct(pmcw), scsw: struct(scsw), mba: u64, mda: array(u8, 4) },
});

/** A channel-command word; format 1, whatever the program's own (QEMU: vmstate_ccw1). */
export const ccw1 = vmstate({
  name: "s390_ccw1",
  version: 1,
  fields: { cmd_code: u8, flags: u8, count: u16, cda: u32 },
});

const ciw = vmstate({ name: "s390_ciw", version: 1, fields: { type: u8, command: u8, count: u16 } });

/** Command information words of a sense id. */
export const ciwCount = 62;

/** What SENSE ID answers, 256 bytes (QEMU: vmstate_sense_id). */
export const senseId = vmstate({
  name: "s390_sense_id",
  version: 1,
  fields: {
    reserved: u8,
    cu_type: u16,
    cu_model: u8,
    dev_type: u16,
    dev_model: u8,
    unused: u8,
    ciw: array(struct(ciw), ciwCount),
  },
});

/** The words of an operation-request block that a command-mode program needs, 12 bytes. */
export const orb = vmstate({
  name: "(orb)",
  version: 1,
  fields: { intparm: u32, ctrl0: u16, lpm: u8, ctrl1: u8, cpa: u32 },
});
export const noOrb: Readonly<OrbState> = Object.freeze({ intparm: 0, ctrl0: 0, lpm: 0, ctrl1: 0, cpa: 0 });

/** A subchannel (QEMU: vmstate_subch_dev). */
const subchDev = vmstate({
  name: "s390_subch_dev",
  version: 1,
  fields: {
    cssid: u8,
    ssid: u8,
    migrated_schid: u16,
    devno: u16,
    thinint_active: bool,
    curr_status: struct(schib),
    sense_data: array(u8, 32),
    channel_prog: u64,
    last_cmd: struct(ccw1),
    last_cmd_valid: bool,
    id: struct(senseId),
    ccw_fmt_1: bool,
    ccw_no_data_cnt: u8,
  },
  subsections: {
    // QEMU has no condition for it: it always travels.
    orb: subsection({
      name: "s390_subch_dev/orb",
      version: 1,
      fields: { intparm: u32, ctrl0: u16, lpm: u8, ctrl1: u8, cpa: u32 },
      needed: () => true,
      absent: { intparm: 0, ctrl0: 0, lpm: 0, ctrl1: 0, cpa: 0 },
    }),
  },
});

const ccwDevice = vmstate({ name: "s390_ccw_dev", version: 1, fields: { sch: struct(subchDev) } });

/** An address in guest memory where the device leaves bits; `len` 0: none (QEMU: vmstate_ind_addr). */
const indAddr = vmstate({ name: "s390_ind_addr", version: 1, fields: { len: i32, addr: u64 } });

const adapterInfo = vmstate({
  name: "s390_adapter_info",
  version: 1,
  fields: { ind_offset: u64 },
  subsections: {
    // As the ORB: always sent.
    summary_offset: subsection({
      name: "s390_adapter_info/summary_offset",
      version: 1,
      fields: { summary_offset: u32 },
      needed: () => true,
      absent: { summary_offset: 0 },
    }),
  },
});

const adapterRoutes = vmstate({ name: "s390_adapter_routes", version: 1, fields: { adapter: struct(adapterInfo) } });

/** All of save_config (QEMU: vmstate_virtio_ccw_dev). */
const virtioCcwDev = vmstate({
  name: "s390_virtio_ccw_dev",
  version: 1,
  fields: {
    parent_obj: struct(ccwDevice),
    indicators: struct(indAddr),
    indicators2: struct(indAddr),
    summary_indicator: struct(indAddr),
    config_vector: u16,
    routes: struct(adapterRoutes),
    thinint_isc: u8,
    revision: i32,
  },
});

const queue = vmstate({ name: "(virtio-ccw queue)", version: 1, fields: { vector: u16 } });

export type SchibState = StateOf<typeof schib>;
export type Ccw1State = StateOf<typeof ccw1>;
export type SenseIdState = StateOf<typeof senseId>;
export type OrbState = StateOf<typeof orb>;
/** A subchannel: whose device it is, its status, and how far a channel program has come. */
export type SubchannelState = StateOf<typeof subchDev>;
/** `len` bytes at `addr`; 0: none. */
export type IndicatorState = StateOf<typeof indAddr>;
export type VirtioCcwConfigState = StateOf<typeof virtioCcwDev>;
export type VirtioCcwQueueState = StateOf<typeof queue>;

/** Channel I/O's descriptions (wire reference 13.3). It depends on nothing, and has no extra state. */
export const virtioCcwTransport: VirtioTransportDescriptions<VirtioCcwConfigState, VirtioCcwQueueState, NoData> = {
  config: virtioCcwDev as Description<VirtioCcwConfigState>,
  queue,
};

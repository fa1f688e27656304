// Devices of the virtual I/O bus, and the clock beside them.
// Sources: wire reference 16.4 and the vmdesc of QEMU 7.2; QEMU: SpaprRtcState, SpaprNvram, SpaprVioVty.
import { buffer, equal, family, familyOf, i64, named, struct, u32, u64, vbuffer, vmstate } from "@godwit/core";
import { wordAt } from "./sample.ts";

/** The guest's real-time clock, as an offset from the host's. Nanoseconds. */
export const rtc = vmstate({ name: "spapr/rtc", version: 1, fields: { ns_offset: i64 } });
export const rtcFamily = familyOf(rtc);

/** The guest's non-volatile memory; its content is the guest's. */
export const nvram = vmstate({
  name: "spapr_nvram",
  version: 1,
  fields: { size: u32, buf: vbuffer("size", { max: 1024 * 1024 }) },
});
export const nvramFamily = familyOf(nvram);

export interface VioParameters {
  /** The device's address on its bus. Both ends must have the same. */
  readonly reg: number;
  readonly irq: number;
}

/** What all devices of the bus have: their place, and the queue by which the hypervisor tells the guest. */
const vio = ({ reg, irq }: VioParameters) =>
  vmstate({
    name: "spapr_vio",
    version: 1,
    fields: {
      reg: equal(u32, reg),
      irq: equal(u32, irq),
      signal_state: u64,
      crq_qladdr: named("crq.qladdr", u64),
      crq_qsize: named("crq.qsize", u32),
      crq_qnext: named("crq.qnext", u32),
    },
  });

/** A console; `in` and `out` count the bytes that went through `buf`. */
export const vtySection = (parameters: VioParameters) =>
  vmstate({
    name: "spapr_vty",
    version: 1,
    fields: { sdev: struct(vio(parameters)), in: u32, out: u32, buf: buffer(16) },
  });

export const vtyFamily = family({
  name: "spapr_vty",
  build: vtySection,
  infer: (sample) => ({ reg: wordAt(sample, 0), irq: wordAt(sample, 4) }),
});

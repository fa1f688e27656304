// What of a VT-d unit travels: the section "iommu-intel". Caches do not travel; they start empty.
import { array, bool, familyOf, named, type StateOf, u8, u16, u32, u64, unused, vmstate } from "@godwit/core";

/** Bytes of the register file that travels. */
export const csrBytes = 0x230;

/**
 * The state of an Intel VT-d unit (QEMU: IntelIOMMUState; wire reference 14.3). 602 bytes.
 * `root`, `iq` and `intr_root` are what a command latched, which is what the unit uses; the registers in `csr` may
 * have been written again since. `csr` holds the registers as the guest sees them, little-endian.
 */
export const vtd = vmstate({
  name: "iommu-intel",
  version: 1,
  minimumVersion: 1,
  priority: "iommu",
  fields: {
    root: u64,
    intr_root: u64,
    iq: u64,
    intr_size: u32,
    iq_head: u16,
    iq_tail: u16,
    iq_size: u16,
    next_frcd_reg: u16,
    csr: array(u8, csrBytes),
    iq_last_desc_type: u8,
    _unused: named("unused", unused(1)),
    dmar_enabled: bool,
    qi_enabled: bool,
    intr_enabled: bool,
    intr_eime: bool,
  },
});

/** The state as devices and tools see it. Addresses are guest-physical; `iq_*` and `intr_size` count entries. */
export type VtdState = StateOf<typeof vtd>;

/** For tools: the section has no instance parameters. */
export const vtdFamily = familyOf(vtd);

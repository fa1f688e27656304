// Sections that no dump tells of: QEMU's `-dump-vmstate` walks over device classes, and these are registered without one.

/**
 * Names that streams of QEMU 7.2 and 10.0 hold and that the dump of the same QEMU and machine does not: that a dump is
 * silent about them says nothing. Found by holding each stream against its dump.
 */
export const registeredWithoutClass: ReadonlySet<string> = new Set([
  "ram",
  "timer",
  "cpu_common",
  "cpu",
  "apic",
  "PCIBUS",
  "i2c_bus",
  "ide",
  "acpi_build",
  "globalstate",
  "slirp",
  "icp/server",
  "spapr",
  "spapr_cpu",
  "spapr_drc",
  "spapr_drc/physical",
  "spapr_iommu",
  "s390-skeys",
  "s390_css",
  "todclock",
]);

/** `names`: the section's, with and without what stands before it. */
export function isOutsideDumps(names: readonly string[]): boolean {
  return names.some((name) => registeredWithoutClass.has(name));
}

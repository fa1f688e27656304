// A PCI host bridge. Source: wire reference 16.4; QEMU: SpaprPhbState.
import { array, checked, equal, family, i32, named, struct, u32, u64, varray, vmstate } from "@godwit/core";
import { longAt, wordAt } from "./sample.ts";

export interface PhbParameters {
  /** Bus unit id. Both ends must have the same. */
  readonly buid: bigint;
  /** The four level-triggered interrupts. Both ends must have the same. */
  readonly lsis: readonly [number, number, number, number];
}

const lsi = vmstate({ name: "spapr_pci/lsi", version: 1, fields: { irq: u32 } });

/** The interrupts that one device asked for; the key is its address on the bus. */
const msi = vmstate({
  name: "spapr_pci/msi",
  version: 1,
  fields: { key: u32, first_irq: named("value.first_irq", u32), num: named("value.num", u32) },
});

/** Devices of one bridge: 256 buses of 256 functions. */
const msiLimit = 65_536;

export const phbSection = ({ buid, lsis }: PhbParameters) =>
  vmstate({
    name: "spapr_pci",
    version: 2,
    fields: {
      buid: equal(u64, buid),
      lsi_table: checked(
        array(struct(lsi), lsis.length),
        (table) => table.every(({ irq }, i) => irq === lsis[i]),
        lsis.join(", "),
      ),
      msi_devs_num: i32,
      msi_devs: varray("msi_devs_num", struct(msi), { max: msiLimit }),
    },
  });

export const phbFamily = family({
  name: "spapr_pci",
  build: phbSection,
  infer: (sample): PhbParameters => ({
    buid: longAt(sample, 0),
    lsis: [wordAt(sample, 8), wordAt(sample, 12), wordAt(sample, 16), wordAt(sample, 20)],
  }),
});

// A DMA window's table of translations. Source: wire reference 16.4; QEMU: SpaprTceTable.
import { array, bool, equal, family, since, subsection, u32, u64, vmstate } from "@godwit/core";
import { wordAt } from "./sample.ts";

export interface TceTableParameters {
  /** The window's number, which is the section's instance as well. */
  readonly liobn: number;
}

/** Entries beyond this are no table: 2 TiB of guest memory in pages of 4 KiB. */
const entriesLimit = 2 ** 29;
const standardPageShift = 12;

/** The entries are the guest's, one 64-bit word for each page of the window. */
export const tceTableSection = ({ liobn }: TceTableParameters) =>
  vmstate({
    name: "spapr_iommu",
    version: 3,
    minimumVersion: 2,
    fields: {
      liobn: equal(u32, liobn),
      mig_nb_table: u32,
      bypass: bool,
      mig_table: array(u64, "mig_nb_table", { max: entriesLimit }),
      def_win: since(3, bool, { absent: false }),
    },
    subsections: {
      ex: subsection({
        name: "spapr_iommu_ex",
        version: 1,
        fields: { bus_offset: u64, page_shift: u32 },
        needed: ({ bus_offset, page_shift }) => bus_offset !== 0n || page_shift !== standardPageShift,
        absent: { bus_offset: 0n, page_shift: standardPageShift },
      }),
    },
  });

export const tceTableFamily = family({
  name: "spapr_iommu",
  build: tceTableSection,
  infer: (sample) => ({ liobn: wordAt(sample, 0) }),
});

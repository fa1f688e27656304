// The XICS interrupt controller. Source: wire reference 16.4; QEMU: ICSState, ICPState.
import { array, equal, family, familyOf, struct, u8, u32, vmstate } from "@godwit/core";
import { wordAt } from "./sample.ts";

const irq = vmstate({
  name: "ics/irq",
  version: 2,
  fields: { server: u32, priority: u8, saved_priority: u8, status: u8, flags: u8 },
});

export interface IcsParameters {
  /** Both ends must have the same number. */
  readonly irqs: number;
}

/** The sources: which server each interrupt goes to, and whether it is pending. */
export const icsSection = ({ irqs }: IcsParameters) =>
  vmstate({
    name: "ics",
    version: 1,
    fields: { nr_irqs: equal(u32, irqs), irqs: array(struct(irq), irqs) },
  });

export const icsFamily = family({
  name: "ics",
  build: icsSection,
  infer: (sample) => ({ irqs: wordAt(sample, 0) }),
});

/** One CPU's presentation controller. */
export const icp = vmstate({
  name: "icp/server",
  version: 1,
  fields: { xirr: u32, pending_priority: u8, mfrr: u8 },
});
export const icpFamily = familyOf(icp);

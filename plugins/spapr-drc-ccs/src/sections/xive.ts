// The XIVE interrupt controller. Source: the vmdesc of QEMU 7.2; QEMU: XiveSource, SpaprXive, XiveTCTX.
import { array, buffer, equal, family, familyOf, struct, u32, u64, vmstate } from "@godwit/core";
import { lengthOf, mayEndAt, onlyOne, wordAt } from "./sample.ts";

export interface XiveSourceParameters {
  readonly irqs: number;
}

/** One byte an interrupt: its event state buffer and whether it is asserted. QEMU treats them as raw. */
export const xiveSourceSection = ({ irqs }: XiveSourceParameters) =>
  vmstate({ name: "xive-source", version: 1, fields: { nr_irqs: equal(u32, irqs), status: buffer(irqs) } });

export const xiveSourceFamily = family({
  name: "xive-source",
  build: xiveSourceSection,
  infer: (sample) => ({ irqs: wordAt(sample, 0) }),
});

const eas = vmstate({ name: "spapr-xive/eas", version: 1, fields: { w: u64 } });
const end = vmstate({
  name: "spapr-xive/end",
  version: 1,
  fields: { w0: u32, w1: u32, w2: u32, w3: u32, w4: u32, w5: u32, w6: u32, w7: u32 },
});
const easBytes = 8;
const endBytes = 32;

export interface SpaprXiveParameters {
  readonly irqs: number;
  /** Event queue descriptors: 8 a CPU that the machine may have. Not on the wire. */
  readonly ends: number;
}

export const spaprXiveSection = ({ irqs, ends }: SpaprXiveParameters) =>
  vmstate({
    name: "spapr-xive",
    version: 1,
    fields: { nr_irqs: equal(u32, irqs), eat: array(struct(eas), irqs), endt: array(struct(end), ends) },
  });

export const spaprXiveFamily = family({
  name: "spapr-xive",
  build: spaprXiveSection,
  infer(sample): SpaprXiveParameters {
    const irqs = wordAt(sample, 0);
    const from = 4 + irqs * easBytes;
    const room = Math.floor((Math.min(lengthOf(sample) ?? sample.bytes.length, sample.bytes.length) - from) / endBytes);
    const fitting: number[] = [];
    for (let ends = 0; ends <= room; ends += 8) if (mayEndAt(sample, from + ends * endBytes)) fitting.push(ends);
    return { irqs, ends: onlyOne(fitting, "ends", "event queues up to the section's end, 8 a CPU") };
  },
});

/** One CPU's interrupt context: four rings of registers, big-endian, which QEMU treats as raw. */
export const xiveTctx = vmstate({ name: "xive-tctx", version: 1, fields: { regs: buffer(64) } });
export const xiveTctxFamily = familyOf(xiveTctx);

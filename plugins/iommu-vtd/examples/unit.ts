import { decodeState, type Kernel } from "@godwit/core";
import { interruptRemapper, type Ram, type SignalMsi, translator, vtd, vtdIommu } from "@godwit/iommu-vtd";

/** A unit, and what a disk behind it is given: its view of memory, and its way to interrupt. */
export function assemble(kernel: Kernel, memory: Ram, signalMsi: SignalMsi) {
  const iommu = kernel.use(vtdIommu({ memory, addressWidth: 48, intremap: true, signalMsi }));
  return { iommu, disk: { dma: iommu.dmaFor("00:02.0"), signalMsi: iommu.msiFor("00:02.0") } };
}

/** For tools: a section and memory are enough; no device is needed. */
export function inspect(section: Uint8Array, ram: Uint8Array) {
  const state = decodeState(vtd, section);
  const memory = { read: (gpa: number, length: number) => ram.subarray(gpa, gpa + length) };
  const { gpa } = translator(state, memory).translate("00:02.0", 0x1004, false);
  const { data } = interruptRemapper(state, memory).remap("00:02.0", 0xfee0_00b0, 0);
  return { gpa, vector: data & 0xff };
}

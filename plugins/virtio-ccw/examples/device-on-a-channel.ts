import { createKernel, decodeRecord, type SectionSample, toState, virtualClock } from "@godwit/core";
import { barrierTracker, directDma, ram, ramBlock } from "@godwit/ram-dirty-tracker";
import { type IoInterruption, virtioCcw, virtioCcwFamily } from "@godwit/virtio-ccw";
import type { VirtioClass, VirtioModel } from "@godwit/virtio-core";

/** A machine with RAM and one channel-attached device. Its CPU's I/O instructions come to `subchannel`. */
export function machineWith(model: VirtioModel, memory: Uint8Array) {
  const kernel = createKernel({
    machineType: "s390-ccw-example",
    machine: { pause() {}, resume() {}, reset: () => offer.reset() },
    clock: virtualClock(() => 0n),
  });
  const block = ramBlock({
    idstr: "s390.ram",
    bytes: () => memory,
    tracker: barrierTracker(memory.length),
    map: [{ gpa: 0, offset: 0, length: memory.length }],
  });
  const interruptions: (IoInterruption | { isc: number })[] = [];
  const offer = kernel.use(
    virtioCcw({
      busId: "fe.0.0001",
      model,
      dma: directDma(kernel.use(ram({ blocks: [block] }))),
      ioInterrupt: (interruption) => interruptions.push(interruption),
      adapterInterrupt: (isc) => interruptions.push({ isc }),
    }),
  );
  return { kernel, subchannel: offer.subchannel, interruptions };
}

/** Says of a section, without a device, whose subchannel it is and how it interrupts. */
export function describeSection(device: VirtioClass<object, object>, sample: SectionSample) {
  const family = virtioCcwFamily(device);
  const description = family.build(family.infer(sample));
  const { transport } = toState(description, decodeRecord(description, sample.bytes));
  const { sch } = transport.parent_obj;
  return { devno: sch.devno, revision: transport.revision, byAdapter: sch.thinint_active };
}

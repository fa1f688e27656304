// What a virtio-ccw section depends on, found from its bytes: what the device offers.
import type { Description, SectionSample } from "@godwit/core";
import { hex, inferVirtio, misread, noVector, type VirtioClass } from "@godwit/virtio-core";
import { virtioControlUnit } from "./constants.ts";
import { virtioCcwTransport } from "./descriptions.ts";
import { virtioCcwSection } from "./section.ts";
import type { VirtioCcwParameters } from "./types.ts";

/**
 * Finds the parameters of a section. `PARAMETER_WRONG` where facts contradict each other or the subchannel is not of
 * this kind of device, `STREAM_TRUNCATED` where the sample is too short to tell.
 */
export function inferVirtioCcw<P, S, L>(device: VirtioClass<P, S, L>, sample: SectionSample): P & VirtioCcwParameters {
  const { parameters } = inferVirtio({
    device,
    sample,
    known: {},
    transport: () => virtioCcwTransport,
    section: (found: P & VirtioCcwParameters) => virtioCcwSection(device, found) as Description,
    check({ parent_obj: { sch } }, queues) {
      const { cu_type: type, cu_model: model } = sch.id;
      if (type !== virtioControlUnit) {
        throw misread("transport.parent_obj.sch.id.cu_type", hex(virtioControlUnit), hex(type));
      }
      if (model !== device.deviceId) {
        throw misread("transport.parent_obj.sch.id.cu_model", String(device.deviceId), String(model));
      }
      queues.forEach(({ transport: { vector } }, i) => {
        if (vector !== noVector && vector >= queues.length) {
          throw misread(`vqs[${i}].transport.vector`, `below ${queues.length}, or 0xffff`, String(vector));
        }
      });
    },
  });
  return parameters;
}

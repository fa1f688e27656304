// The section of a virtio-ccw device, as a description.
import type { Description } from "@godwit/core";
import { type NoData, type VirtioClass, type VirtioState, virtioSection } from "@godwit/virtio-core";
import { type VirtioCcwConfigState, type VirtioCcwQueueState, virtioCcwTransport } from "./descriptions.ts";
import type { VirtioCcwParameters } from "./types.ts";

/** `S` is the state of the device class, `L` of what it writes before its description. */
export type VirtioCcwState<S, L> = VirtioState<VirtioCcwConfigState, VirtioCcwQueueState, NoData, S, L>;
export type VirtioCcwDescription<S, L> = Description<VirtioCcwState<S, L>>;

/** The description of one section, for known parameters. */
export function virtioCcwSection<P, S, L>(
  device: VirtioClass<P, S, L>,
  parameters: P & VirtioCcwParameters,
): VirtioCcwDescription<S, L> {
  const { name, version, minimumVersion, legacySave } = device;
  // Channel I/O is z/Architecture's, which is big-endian.
  const big = { ...parameters, targetEndian: "big" } as const;
  return virtioSection({
    name,
    version,
    minimumVersion,
    parameters: big,
    transport: virtioCcwTransport,
    device: device.description(big),
    ...(legacySave === undefined ? {} : { legacySave: legacySave(big) }),
  });
}

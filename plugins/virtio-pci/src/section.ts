// The section of a virtio-pci device, as a description.
import type { Description } from "@godwit/core";
import { type VirtioClass, type VirtioState, virtioSection } from "@godwit/virtio-core";
import {
  type VirtioPciConfigState,
  type VirtioPciExtraState,
  type VirtioPciQueueState,
  virtioPciTransport,
} from "./descriptions.ts";
import type { VirtioPciParameters } from "./types.ts";

/** `S` is the state of the device class, `L` of what it writes before its description. */
export type VirtioPciState<S, L> = VirtioState<VirtioPciConfigState, VirtioPciQueueState, VirtioPciExtraState, S, L>;
export type VirtioPciDescription<S, L> = Description<VirtioPciState<S, L>>;

/** The description of one section, for known parameters. */
export function virtioPciSection<P, S, L>(
  device: VirtioClass<P, S, L>,
  parameters: P & VirtioPciParameters,
): VirtioPciDescription<S, L> {
  const { name, version, minimumVersion, legacySave } = device;
  return virtioSection({
    name,
    version,
    minimumVersion,
    parameters,
    transport: virtioPciTransport(parameters),
    device: device.description(parameters),
    ...(legacySave === undefined ? {} : { legacySave: legacySave(parameters) }),
  });
}

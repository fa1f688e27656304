// The family of a device class's virtio-pci sections: builds their description, and infers what it depends on.
import { type DescriptionFamily, family } from "@godwit/core";
import type { VirtioClass } from "@godwit/virtio-core";
import { inferVirtioPci } from "./infer.ts";
import { type VirtioPciDescription, virtioPciSection } from "./section.ts";
import type { VirtioPciParameters } from "./types.ts";

/** The sections of one device class over PCI, for tools that have no device. Errors of `infer`: see `inferVirtioPci`. */
export function virtioPciFamily<P, S, L>(
  device: VirtioClass<P, S, L>,
): DescriptionFamily<P & VirtioPciParameters, VirtioPciDescription<S, L>> {
  return family({
    name: device.name,
    build: (parameters: P & VirtioPciParameters) => virtioPciSection(device, parameters),
    infer: (sample) => inferVirtioPci(device, sample),
  });
}

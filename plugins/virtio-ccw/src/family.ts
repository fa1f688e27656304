// The family of a device class's virtio-ccw sections: builds their description, and infers what it depends on.
import { type DescriptionFamily, family } from "@godwit/core";
import type { VirtioClass } from "@godwit/virtio-core";
import { inferVirtioCcw } from "./infer.ts";
import { type VirtioCcwDescription, virtioCcwSection } from "./section.ts";
import type { VirtioCcwParameters } from "./types.ts";

/** The sections of one device class over channel I/O, for tools that have no device. Errors of `infer`: see `inferVirtioCcw`. */
export function virtioCcwFamily<P, S, L>(
  device: VirtioClass<P, S, L>,
): DescriptionFamily<P & VirtioCcwParameters, VirtioCcwDescription<S, L>> {
  return family({
    name: device.name,
    build: (parameters: P & VirtioCcwParameters) => virtioCcwSection(device, parameters),
    infer: (sample) => inferVirtioCcw(device, sample),
  });
}

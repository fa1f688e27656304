// The section of a virtio-pci device.
import type { Description, StateOf } from "@godwit/core";
import type { VirtioState } from "@godwit/virtio-core";
import type { VirtioPciClass, VirtioPciParameters } from "./types.ts";

export type VirtioPciDescription<S, L> = Description<VirtioState<unknown, unknown, unknown, S, L>>;
export declare function virtioPciSection<P, S, L>(
  device: VirtioPciClass<P, S, L>,
  parameters: P & VirtioPciParameters,
): VirtioPciDescription<S, L>;

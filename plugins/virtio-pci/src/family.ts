// The family of a device class's virtio-pci sections: builds their description, and infers what it depends on.
import type { DescriptionFamily } from "@godwit/core";
import type { VirtioPciDescription } from "./section.ts";
import type { VirtioPciClass, VirtioPciParameters } from "./types.ts";

export declare function virtioPciFamily<P, S, L>(
  device: VirtioPciClass<P, S, L>,
): DescriptionFamily<P & VirtioPciParameters, VirtioPciDescription<S, L>>;

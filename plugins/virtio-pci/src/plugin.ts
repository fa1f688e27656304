// virtioPci(): a device model becomes a PCI function of the machine.
import type { Plugin } from "@godwit/core";
import type { VirtioPciOffer, VirtioPciOptions } from "./types.ts";

export declare function virtioPci<S, L>(options: VirtioPciOptions<S, L>): Plugin<VirtioPciOffer>;

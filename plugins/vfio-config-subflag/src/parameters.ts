// What decides about the bytes of a VFIO PCI device's body, and is not on the wire.
import type { Subsection } from "@godwit/core";
import type { ConfigBytes } from "./pci-core.ts";

/** Plain data, as far as there is no display. */
export interface VfioPciParameters {
  readonly configBytes: ConfigBytes;
  /** 0: the function has no MSI-X. */
  readonly msixVectors: number;
  /**
   * Who knows the body of the subsection `VFIOPCIDevice/VFIODisplay` gives its description here; without it, one that
   * comes is `SUBSECTION_UNKNOWN`.
   */
  readonly display?: Subsection | undefined;
}

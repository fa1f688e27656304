// Reads the VFIO sections of any machine's stream without having the device: for tools and tests.
import { type BodyDecoder, MigrationError } from "@godwit/core";
import { type VfioSink, vfioDecoder } from "./decoder.ts";
import type { VfioPhase } from "./markers.ts";
import type { VfioPciParameters } from "./parameters.ts";
import type { VfioSection } from "./records.ts";

export interface VfioWalkerInit {
  /** What the device's body depends on; without it, that is inferred from each body. */
  readonly parameters?: VfioPciParameters;
  /** Longest chunk of device data. Bytes; the default is 64 MiB. */
  readonly maxDataBytes?: number;
}

export interface VfioWalker {
  /**
   * Reads the data of one section, in the dialect that its version tells; its value is what the handler's next decoder
   * is given as `previous`, and `encodeVfioSection` gives its bytes again. `VFIO_MARKER`, `VFIO_SUB_FLAG`,
   * `LENGTH_BOUND`, `PARAMETER_WRONG`, `SECTION_VERSION`.
   */
  decoder(phase: VfioPhase, version: number, previous?: VfioSection): BodyDecoder<VfioSection>;
}

const defaultMaxDataBytes = 64 * 1024 * 1024;

export function vfioWalker({ parameters, maxDataBytes = defaultMaxDataBytes }: VfioWalkerInit = {}): VfioWalker {
  const sink: VfioSink = {
    parameters,
    maxDataBytes,
    keepsRecords: true,
    data: () => {},
    config: () => {},
    mark: () => {},
    fork: () => sink,
  };
  return {
    decoder(phase, version, previous) {
      if (version === 1 || version === 2) return vfioDecoder(sink, phase, version, previous);
      throw new MigrationError("SECTION_VERSION", "a VFIO section of no known dialect", {
        path: "version_id",
        expected: "1 or 2",
        found: String(version),
      });
    },
  };
}

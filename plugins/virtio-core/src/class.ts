// A device class as the family of its sections needs it, whatever the transport: for tools, which have no device.
import type { Description, Field } from "@godwit/core";
import type { NoData } from "./no-data.ts";
import type { VirtioParameters, VirtqueueState } from "./section.ts";

/** What of a section is known before the device class's own part. */
export interface VirtioClassFacts {
  readonly status: number;
  /** The low 32 bits of the negotiated features. */
  readonly guestFeatures: number;
  /** Image of the device's configuration space. */
  readonly config: Uint8Array;
  readonly queues: readonly VirtqueueState<unknown>[];
  /** From the first byte that the device class writes; goes on beyond its end. */
  readonly tail: Uint8Array;
}

/** One kind of virtio device without its transport. `P` are parameters of its own, `S` and `L` as in `VirtioModel`. */
export interface VirtioClass<P, S, L = NoData> {
  /** The section's name, such as `virtio-net`. */
  readonly name: string;
  readonly version: number;
  readonly minimumVersion: number;
  /** The virtio device id: 1 net, 2 blk, 4 entropy. */
  readonly deviceId: number;
  readonly description: (parameters: P & VirtioParameters) => Description<S>;
  readonly legacySave?: (parameters: P & VirtioParameters) => Field<L>;
  /** Parameters of the class; `PARAMETER_AMBIGUOUS` or `PARAMETER_WRONG` where they cannot be told. */
  readonly infer: (facts: VirtioClassFacts) => P;
}

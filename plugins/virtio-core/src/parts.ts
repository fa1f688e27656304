// What the procedures of a migration work on: one device with both of its ends.
import type { CommonDevice } from "./device.ts";
import type { VirtioModel } from "./model.ts";
import type { VirtioTransport } from "./transport.ts";

/** One device with both of its ends. */
export interface Parts<C, Q, X, D, L> {
  readonly common: CommonDevice;
  readonly transport: VirtioTransport<C, Q, X>;
  readonly model: VirtioModel<D, L>;
}

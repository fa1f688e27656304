// What a device model is told beside its own state, when it checks or loads.
import { type AnyVirtioState, negotiated, ringRules } from "./check.ts";
import { inGuestOrder } from "./config-order.ts";
import type { CommonDevice } from "./device.ts";
import type { VirtioLoadContext, VirtioModel } from "./model.ts";
import type { VirtioState } from "./section.ts";

export function contextOf<D, L>(
  { configWidths }: VirtioModel<D, L>,
  state: VirtioState<unknown, unknown, unknown, unknown, L>,
): VirtioLoadContext<L> {
  const { legacy, status, vqs, guest_features } = state;
  const config = inGuestOrder(state.config, configWidths, ringRules(state).littleEndian);
  return { legacy, config, status, lowFeatures: guest_features, features: featuresOf(state), queues: vqs };
}

/** All negotiated features. */
export function featuresOf(state: AnyVirtioState): bigint {
  return negotiated(state) | (state.virtio.features128.guest_features << 64n);
}

/** The same, but for the features that are not there yet while the device loads. */
export function early<L>(context: VirtioLoadContext<L>, common: CommonDevice): VirtioLoadContext<L> {
  return {
    ...context,
    get features() {
      return common.features;
    },
  };
}

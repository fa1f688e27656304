// @godwit/virtio-ccw: the channel-I/O transport of virtio devices.
export { type CssParameters, type CssState, cssFamily, cssSection } from "./css.ts";
export {
  type Ccw1State,
  type IndicatorState,
  type OrbState,
  type SchibState,
  type SenseIdState,
  type SubchannelState,
  type VirtioCcwConfigState,
  type VirtioCcwQueueState,
  virtioCcwTransport,
} from "./descriptions.ts";
export { virtioCcwFamily } from "./family.ts";
export { virtioCcw } from "./plugin.ts";
export { type VirtioCcwDescription, type VirtioCcwState, virtioCcwSection } from "./section.ts";
export type * from "./types.ts";

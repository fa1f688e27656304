// @godwit/virtio-net: the virtio network device.
export {
  controlAck,
  controlClass,
  linkUp,
  macCommand,
  macTableEntries,
  mqCommand,
  netFeature,
  rxCommand,
  vlanCommand,
} from "./constants.ts";
export {
  type VirtioNetDescription,
  type VirtioNetDeviceParameters,
  type VirtioNetState,
  virtioNetDevice,
} from "./device-state.ts";
export { type Received, type VirtioNetModel, type VirtioNetOptions, virtioNet } from "./model.ts";
export { type VirtioNetParameters, virtioNetClass } from "./section.ts";

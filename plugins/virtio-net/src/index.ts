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
export { virtioNet } from "./model.ts";
export type * from "./options.ts";
export { type PacketHeader, plainHeader } from "./packet-header.ts";
export { type VirtioNetParameters, virtioNetClass } from "./section.ts";

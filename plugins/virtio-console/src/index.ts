// @godwit/virtio-console: the virtio console and serial-port device.
export type { ConsoleSize } from "./configuration.ts";
export { consoleFeature, controlEvent } from "./constants.ts";
export { type VirtioConsoleModel, type VirtioConsoleOptions, virtioConsole } from "./model.ts";
export type * from "./port.ts";
export { virtioConsoleClass } from "./section.ts";
export {
  noElement,
  type SerialParameters,
  type SerialPortState,
  serialState,
  type VirtioSerialState,
} from "./serial-state.ts";

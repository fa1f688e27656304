// A device, and an iterable handler, that fail when they are told to: for what must happen to a machine when one does.
export type { Call, Calls, Failing } from "./failing/calls.ts";
export { type DeviceCall, type FailingDevice, type FailingDeviceInit, failingDevice } from "./failing/device.ts";
export {
  type FailingIterable,
  type FailingIterableInit,
  failingIterable,
  type IterableCall,
} from "./failing/iterable.ts";

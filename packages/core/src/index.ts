// @godwit/core: the kernel, and with it all of vmstate and codec. No input or output, no runtime's name.

export * from "./codec.ts";
export * from "./contract.ts";
export * from "./errors.ts";
export { stateless, unmigratable } from "./kernel/absence.ts";
export { type VirtualClock, virtualClock } from "./kernel/clock.ts";
export {
  createKernel,
  type Kernel,
  type KernelEvents,
  type KernelOptions,
  type StreamSource,
} from "./kernel/kernel.ts";
export { type TimerQueue, timerQueue, type VirtualTimer } from "./kernel/timers.ts";
export {
  type Timespec,
  type WallClock,
  type WallClockMode,
  type WallClockOptions,
  type WallClockState,
  wallClock,
  wallClockDescription,
} from "./kernel/wall-clock.ts";
export { former } from "./registry/former.ts";
export * from "./vmstate/index.ts";

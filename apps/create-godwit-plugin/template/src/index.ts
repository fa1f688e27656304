// __package__: a time-of-day clock with an alarm.
export { type __Device__State, __device__Description } from "./description.ts";
export type { __Device__Offer, __Device__Options } from "./options.ts";
export { __device__Plugin } from "./plugin.ts";
export { register } from "./registers.ts";

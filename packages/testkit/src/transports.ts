// Simulated connections: chunk sizes, delays, cuts, stalls and wrong bits at will, the same for the same seed.
export type { Line, LineOptions } from "./transports/line.ts";
export { type SimulatedPair, type SimulationOptions, simulatedPair } from "./transports/pair.ts";
export type { Spread } from "./transports/random.ts";
export { type VirtualTime, virtualTime } from "./transports/time.ts";
export { type SimulatedTransport, simulatedTransport } from "./transports/transport.ts";

// @godwit/transport: the interface of all transports, and channels in memory. Each scheme has its own sub-path.
export type { Channel, Listener, Transport } from "./channel.ts";
export { type TransportErrorCode, transportErrorCodes } from "./errors.ts";
export { type MemoryOptions, memoryPair, memoryTransport } from "./memory.ts";

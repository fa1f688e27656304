/** What the guest of s390-ccw counts of channel I/O. */
import * as map from "../memory-map.ts";

export interface ChannelCounts {
  /** Channel programs that have ended. */
  readonly programs: number;
  readonly subchannelInterruptions: number;
  readonly adapterInterruptions: number;
  readonly reports: number;
  /** Interruptions whose status had been taken already. */
  readonly withoutStatus: number;
}

/** `ram` is the whole RAM. */
export function readChannelBlock(ram: Uint8Array): ChannelCounts {
  const view = new DataView(ram.buffer, ram.byteOffset + map.CHANNEL_BLOCK_OFFSET, map.CHANNEL_BLOCK_BYTES);
  const field = (offset: number): number => view.getUint32(offset, true);
  return {
    programs: field(map.CHANNEL_BLOCK_PROGRAMS),
    subchannelInterruptions: field(map.CHANNEL_BLOCK_SUBCHANNEL_INTERRUPTIONS),
    adapterInterruptions: field(map.CHANNEL_BLOCK_ADAPTER_INTERRUPTIONS),
    reports: field(map.CHANNEL_BLOCK_REPORTS),
    withoutStatus: field(map.CHANNEL_BLOCK_WITHOUT_STATUS),
  };
}

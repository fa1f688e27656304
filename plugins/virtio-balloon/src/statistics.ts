// Memory statistics as a driver writes them (virtio 1.2, section 5.5.6.3): u16 tag and u64 value, packed.
import { statisticTags } from "./constants.ts";

export type StatisticName = keyof typeof statisticTags;
/** Bytes, pages or counts, as the guest counts them; what it does not tell is absent. */
export type MemoryStatistics = Readonly<Partial<Record<StatisticName, bigint>>>;

const statisticBytes = 10;

const names = new Map<number, StatisticName>(
  Object.entries(statisticTags).map(([name, tag]) => [tag, name as StatisticName]),
);

/** Tags that nobody knows here are left out. */
export function parseStatistics(bytes: Uint8Array, littleEndian: boolean): MemoryStatistics {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const statistics: Partial<Record<StatisticName, bigint>> = {};
  for (let at = 0; at + statisticBytes <= bytes.length; at += statisticBytes) {
    const name = names.get(view.getUint16(at, littleEndian));
    if (name !== undefined) statistics[name] = view.getBigUint64(at + 2, littleEndian);
  }
  return statistics;
}

// Two joined channels with a simulated line in each direction. Below are the memory channels of @godwit/transport, which
// bring buffers and their bounds.
import { type Channel, memoryPair } from "@godwit/transport";
import { type Ends, type Line, type LineOptions, SimulatedLine } from "./line.ts";
import type { VirtualTime } from "./time.ts";

export interface SimulationOptions {
  /** From the source to the target. */
  readonly there?: LineOptions;
  /** From the target to the source. */
  readonly back?: LineOptions;
  /** Decides over what is between two bounds. The default is 1. */
  readonly seed?: number;
  /** What may lie between sender and receiver, each way. Bytes; the default is 256 KiB. */
  readonly bufferBytes?: number;
  readonly time?: VirtualTime;
}

export interface SimulatedPair {
  readonly source: Channel;
  readonly target: Channel;
  readonly there: Line;
  readonly back: Line;
}

/** Without faults, two channels that keep every rule of the interface. `RangeError` for latency without a `time`. */
export function simulatedPair(options: SimulationOptions = {}): SimulatedPair {
  const { there: thereOptions = {}, back: backOptions = {}, seed = 1, bufferBytes, time } = options;
  const [source, target] = memoryPair(bufferBytes === undefined ? {} : { bufferBytes });
  const there = new SimulatedLine(thereOptions, seed, time);
  const back = new SimulatedLine(backOptions, seed + 0x5bd1e995, time);
  const breakBoth: Ends["breakBoth"] = (error) => {
    for (const line of [there, back]) line.over("broken");
    for (const end of [source, target]) end.abort(error);
  };
  return {
    source: channel(source, there, back, { breakBoth, closeSender: () => void target.close() }),
    target: channel(target, back, there, { breakBoth, closeSender: () => void source.close() }),
    there,
    back,
  };
}

function channel(
  below: Channel,
  outgoing: SimulatedLine,
  incoming: SimulatedLine,
  more: Pick<Ends, "breakBoth" | "closeSender">,
): Channel {
  const chunks = below.receive()[Symbol.asyncIterator]();
  const ends: Ends = { ...more, next: () => chunks.next() as ReturnType<Ends["next"]> };
  return {
    send(bytes) {
      const sending = below.send(bytes);
      outgoing.sent(bytes.length);
      return sending;
    },
    receive: () => ({ [Symbol.asyncIterator]: () => ({ next: () => incoming.next(ends) }) }),
    close() {
      incoming.over("closed");
      return below.close();
    },
    abort(error) {
      below.abort(error);
      for (const line of [incoming, outgoing]) line.over("broken");
    },
  };
}

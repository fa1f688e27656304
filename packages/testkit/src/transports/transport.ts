// A transport of simulated connections: `simulated:NAME`, every connection with the same lines and a seed of its own.
import { MigrationError } from "@godwit/core";
import type { Channel, Listener, Transport } from "@godwit/transport";
import { type SimulatedPair, type SimulationOptions, simulatedPair } from "./pair.ts";

export interface SimulatedTransport extends Transport {
  /** Of every connection, in the order in which they were made. Whoever connects is the source. */
  readonly pairs: readonly SimulatedPair[];
}

const scheme = "simulated";

/** A listener's name reaches it within this very transport. */
export function simulatedTransport(options: SimulationOptions = {}): SimulatedTransport {
  const listeners = new Map<string, Arrivals>();
  const pairs: SimulatedPair[] = [];
  return {
    scheme,
    pairs,
    async connect(uri) {
      const listener = listeners.get(named(uri));
      if (listener === undefined) throw new MigrationError("TRANSPORT_REFUSED", "nobody listens", { found: uri });
      const pair = simulatedPair({ ...options, seed: (options.seed ?? 1) + pairs.length });
      pairs.push(pair);
      listener.offer(pair.target);
      return pair.source;
    },
    async listen(uri): Promise<Listener> {
      const name = named(uri);
      if (listeners.has(name)) throw new MigrationError("TRANSPORT_ADDRESS", "this name is taken", { found: uri });
      const arrivals = new Arrivals();
      listeners.set(name, arrivals);
      return {
        uri,
        accept: () => arrivals.accept(),
        async close() {
          if (listeners.get(name) === arrivals) listeners.delete(name);
          arrivals.close();
        },
      };
    },
  };
}

function named(uri: string): string {
  if (!uri.startsWith(`${scheme}:`)) {
    throw new MigrationError("TRANSPORT_UNSUPPORTED", "no address of this transport", { expected: scheme, found: uri });
  }
  return uri;
}

interface Accepting {
  resolve(channel: Channel): void;
  reject(error: unknown): void;
}

class Arrivals {
  readonly #channels: Channel[] = [];
  readonly #accepting: Accepting[] = [];
  #closed = false;

  offer(channel: Channel): void {
    const waiting = this.#accepting.shift();
    if (waiting === undefined) this.#channels.push(channel);
    else waiting.resolve(channel);
  }

  accept(): Promise<Channel> {
    return new Promise((resolve, reject) => {
      const channel = this.#channels.shift();
      if (this.#closed) reject(closed());
      else if (channel !== undefined) resolve(channel);
      else this.#accepting.push({ resolve, reject });
    });
  }

  close(): void {
    this.#closed = true;
    for (const waiting of this.#accepting.splice(0)) waiting.reject(closed());
    for (const channel of this.#channels.splice(0)) channel.abort(closed());
  }
}

function closed(): MigrationError {
  return new MigrationError("TRANSPORT_CLOSED", "the listener is closed");
}

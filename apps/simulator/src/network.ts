// The simulated network: connections between processes, and the ways in which they break.
import type { Channel } from "@godwit/migration";
import { closed, Direction, type Line, type MessageFate } from "./direction.ts";
import { never, type SimulatedProcess } from "./process.ts";
import type { Random } from "./random.ts";
import type { Trace } from "./trace.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** How the outside of a process that was killed looks to its peers: the system closes its connections, or the host is gone. */
export type DeathLook = "reset" | "end" | "silence";

/** What a process listens for: machines, and questions about them. */
export type Port = "migration" | "ownership";

/** What is done to one connection. */
export interface ConnectionFaults {
  fate(from: "client" | "server", kind: string): MessageFate;
  readonly corruptAtBytes?: { readonly client?: number; readonly server?: number };
  readonly truncateAtBytes?: { readonly client?: number; readonly server?: number };
  /** A reader takes bytes of which one was changed on the way. */
  tookCorrupt(): void;
}

export interface NetworkInit {
  readonly time: VirtualTime;
  readonly trace: Trace;
  readonly random: Random;
  readonly line: Line;
  /** Decided for each connection anew. */
  readonly faults: (client: SimulatedProcess, server: SimulatedProcess, port: Port) => ConnectionFaults;
  readonly deathLook: () => DeathLook;
}

interface Listener {
  readonly arrived: Channel[];
  readonly waiting: ((channel: Channel) => void)[];
}

export class Connection {
  readonly name: string;
  readonly client: SimulatedProcess;
  readonly server: SimulatedProcess;
  readonly port: Port;
  /** From the client, and from the server. */
  readonly there: Direction;
  readonly back: Direction;
  readonly #init: NetworkInit;

  constructor(init: NetworkInit, client: SimulatedProcess, server: SimulatedProcess, port: Port, number: number) {
    this.#init = init;
    this.port = port;
    this.client = client;
    this.server = server;
    this.name = `${client.name}-${server.name}#${number}`;
    const { time, trace, line } = init;
    const random = init.random.fork(this.name);
    const faults = init.faults(client, server, port);
    const common = { time, trace, line, tookCorrupt: () => faults.tookCorrupt() };
    this.there = new Direction({
      ...common,
      name: `${this.name} >`,
      random: random.fork("there"),
      sender: client,
      reader: server,
      fate: (kind) => faults.fate("client", kind),
      corruptAtBytes: faults.corruptAtBytes?.client,
      truncateAtBytes: faults.truncateAtBytes?.client,
    });
    this.back = new Direction({
      ...common,
      name: `${this.name} <`,
      random: random.fork("back"),
      sender: server,
      reader: client,
      fate: (kind) => faults.fate("server", kind),
      corruptAtBytes: faults.corruptAtBytes?.server,
      truncateAtBytes: faults.truncateAtBytes?.server,
    });
    client.onEnd(() => this.#died(this.there, this.back));
    server.onEnd(() => this.#died(this.back, this.there));
  }

  ends(): readonly [Channel, Channel] {
    return [this.#channel(this.there, this.back, this.client), this.#channel(this.back, this.there, this.server)];
  }

  /** Breaks. With `noticedBy`, the other side hears nothing any more, and is not told. */
  cut(noticedBy: "both" | "client" | "server"): void {
    this.#init.trace.add(`${this.name}: cut, noticed by ${noticedBy}`);
    const error = closed("the network has broken the connection");
    for (const [side, outgoing, incoming] of [
      ["client", this.there, this.back],
      ["server", this.back, this.there],
    ] as const) {
      if (noticedBy === "both" || noticedBy === side) {
        outgoing.failSender(error);
        incoming.failReader(error, true);
      } else outgoing.silence();
    }
    if (noticedBy !== "both") (noticedBy === "client" ? this.there : this.back).silence();
  }

  stall(direction: "there" | "back" | "both", forMs: number): void {
    this.#init.trace.add(`${this.name}: ${direction} stalls for ${forMs.toFixed(0)} ms`);
    if (direction !== "back") this.there.stall(forMs);
    if (direction !== "there") this.back.stall(forMs);
  }

  #channel(outgoing: Direction, incoming: Direction, owner: SimulatedProcess): Channel {
    return {
      send: (bytes) => outgoing.send(bytes),
      receive: () => ({ [Symbol.asyncIterator]: () => ({ next: () => incoming.next() }) }),
      close: () => {
        if (!owner.step()) return never();
        incoming.ignore();
        return outgoing.end();
      },
      abort: (error) => {
        if (!owner.step()) return;
        outgoing.failSender(error);
        incoming.failReader(error);
        this.#breakFor(outgoing, incoming);
      },
    };
  }

  /** The other side notices after the time that it takes to tell it. */
  #breakFor(outgoing: Direction, incoming: Direction): void {
    const { time, line } = this.#init;
    const error = closed("the peer has broken the channel");
    time.after(line.latencyMs, () => {
      outgoing.failReader(error, true);
      incoming.failSender(error);
    });
  }

  #died(outgoing: Direction, incoming: Direction): void {
    const look = this.#init.deathLook();
    if (look === "silence") outgoing.silence();
    else if (look === "end") {
      outgoing.hangUp();
      const { time, line } = this.#init;
      time.after(line.latencyMs, () => incoming.failSender(closed("the peer is gone")));
    } else this.#breakFor(outgoing, incoming);
  }
}

export class Network {
  readonly connections: Connection[] = [];
  readonly #init: NetworkInit;
  readonly #listeners = new Map<SimulatedProcess, Map<Port, Listener>>();

  constructor(init: NetworkInit) {
    this.#init = init;
  }

  /** A connection from one process to the other; refused where the other is dead. */
  connect(client: SimulatedProcess, server: SimulatedProcess, port: Port): Promise<Channel> {
    if (!client.step()) return never();
    const { time, line } = this.#init;
    return new Promise((resolve, reject) => {
      time.after(2 * line.latencyMs, () => {
        if (!server.isAlive) client.run(() => reject(closed("nobody listens")));
        else if (client.isAlive) {
          const connection = new Connection(this.#init, client, server, port, this.connections.length);
          this.connections.push(connection);
          const [here, there] = connection.ends();
          this.#offer(server, port, there);
          client.run(() => resolve(here));
        }
      });
    });
  }

  /** The next connection to the process. */
  accept(server: SimulatedProcess, port: Port): Promise<Channel> {
    const listener = this.#listener(server, port);
    const channel = listener.arrived.shift();
    if (channel !== undefined) return Promise.resolve(channel);
    return new Promise((resolve) => listener.waiting.push((arrived) => server.run(() => resolve(arrived))));
  }

  #offer(server: SimulatedProcess, port: Port, channel: Channel): void {
    const listener = this.#listener(server, port);
    const taker = listener.waiting.shift();
    if (taker === undefined) listener.arrived.push(channel);
    else taker(channel);
  }

  #listener(process: SimulatedProcess, port: Port): Listener {
    const ports = this.#listeners.get(process) ?? new Map<Port, Listener>();
    const listener = ports.get(port) ?? { arrived: [], waiting: [] };
    this.#listeners.set(process, ports.set(port, listener));
    return listener;
  }
}

// One process of a measured transfer: it sends or takes a machine by Godwit's engine, or plain bytes by the runtime's sockets,
// and tells what it saw in lines of JSON.
import { connect as connectSocket, createServer, type Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { createKernel, type Kernel, virtualClock } from "@godwit/core";
import { type HostClock, incomingMigration, outgoingMigration } from "@godwit/migration";
import { barrierTracker, multifdSender, type RamOffer, ram, ramBlock } from "@godwit/ram-dirty-tracker";
import { connect, listen } from "@godwit/transport/tcp";
import { peakBytes, readInto } from "./memory.ts";

export type Role = "godwit-source" | "godwit-destination" | "socket-sender" | "socket-receiver";

export interface SideInit {
  readonly bytes: number;
  /** Where memory's content is read from. */
  readonly file?: string;
  /** Of the side that takes. */
  readonly uri?: string;
  /** Of multifd; 0 is without it. */
  readonly channels?: number;
}

export type SideMessage =
  | { readonly event: "listening"; readonly uri: string }
  | { readonly event: "done"; readonly status: string; readonly totalMs: number; readonly peakBytes: number };

const chunkBytes = 1 << 20;
const unlimited = 0;

const clock: HostClock = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    const timeout = setTimeout(callback, delayMs);
    return () => clearTimeout(timeout);
  },
};

const roles: Readonly<Record<Role, (init: SideInit) => Promise<void>>> = {
  async "godwit-source"({ bytes, file, uri = "", channels: count = 0 }) {
    const memory = new Uint8Array(bytes);
    readInto(file ?? "", memory);
    const { kernel, offer } = machineOf(memory);
    kernel.resume();
    const { state, statistics } = await outgoingMigration({
      machine: kernel,
      clock,
      ram: offer,
      connect: () => connect(uri),
      yieldToHost: () => nextTurn(),
      sendOver: (channels) => offer.sendBy({ multifd: multifdSender({ channels, ...packets }) }),
      ...multifdWith(count),
    }).run();
    if ("error" in state) throw state.error;
    done(state.status, statistics["total-time"]);
  },

  async "godwit-destination"({ bytes, channels: count = 0 }) {
    const listener = await listen("tcp:127.0.0.1:0");
    tell({ event: "listening", uri: listener.uri });
    const { kernel, offer } = machineOf(new Uint8Array(bytes));
    if (count > 0) offer.receiveBy({ multifd: { channels: count, sync: packets.sync } });
    const { state } = await incomingMigration({
      machine: kernel,
      clock,
      ram: offer,
      accept: () => listener.accept(),
      ...multifdWith(count),
    }).run();
    if ("error" in state) throw state.error;
    await listener.close();
    done(state.status, 0);
  },

  async "socket-sender"({ bytes, file, uri = "" }) {
    const memory = new Uint8Array(bytes);
    readInto(file ?? "", memory);
    const socket = connectSocket(Number(uri), "127.0.0.1");
    await new Promise<void>((resolve) => socket.once("connect", resolve));
    const began = performance.now();
    for (let at = 0; at < bytes; at += chunkBytes) {
      if (!socket.write(memory.subarray(at, at + chunkBytes))) await drained(socket);
    }
    // The receiver ends its side when it has all.
    const ended = new Promise<void>((resolve) => socket.once("end", resolve).resume());
    socket.end();
    await ended;
    done("completed", performance.now() - began);
  },

  async "socket-receiver"({ bytes }) {
    const server = createServer({ allowHalfOpen: true });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    tell({ event: "listening", uri: String((server.address() as { port: number }).port) });
    const socket = await new Promise<Socket>((resolve) => server.once("connection", resolve));
    let received = 0;
    for await (const chunk of socket) received += (chunk as Uint8Array).length;
    if (received !== bytes) throw new Error(`${received} bytes arrived, of ${bytes}`);
    socket.end();
    server.close();
    done("completed", 0);
  },
};

/** As QEMU does it from 9.0 on. */
const packets = { sync: "round", zeroPages: "packets" } as const;

const multifdWith = (count: number) => ({
  capabilities: { multifd: count > 0 },
  parameters: { "max-bandwidth": unlimited, ...(count > 0 && { "multifd-channels": count }) },
});

function machineOf(initial: Uint8Array): { readonly kernel: Kernel; readonly offer: RamOffer } {
  let memory = initial;
  const kernel = createKernel({
    machineType: "bench-1",
    clock: virtualClock(() => BigInt(Math.round(performance.now() * 1e6))),
    machine: { pause() {}, resume() {}, reset() {} },
  });
  const adopt = (incoming: Uint8Array): void => {
    memory = incoming;
  };
  const tracker = barrierTracker(initial.length);
  const offer = kernel.use(ram({ blocks: [ramBlock({ idstr: "pc.ram", bytes: () => memory, adopt, tracker })] }));
  return { kernel, offer };
}

const drained = (socket: Socket): Promise<void> => new Promise((resolve) => socket.once("drain", resolve));

const done = (status: string, totalMs: number): void =>
  tell({ event: "done", status, totalMs, peakBytes: peakBytes("self") });

function tell(message: SideMessage): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

const [role, init = "{}"] = process.argv.slice(2);
await roles[role as Role](JSON.parse(init) as SideInit);

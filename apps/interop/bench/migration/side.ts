// One process of a measured transfer: it sends or takes a machine by Godwit's engine, or plain bytes by the runtime's sockets,
// and tells what it saw in lines of JSON.
import { createHash } from "node:crypto";
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
  | {
      readonly event: "done";
      readonly status: string;
      readonly totalMs: number;
      /** Of all threads, from the start of the transfer on. */
      readonly cpuMs: number;
      readonly peakBytes: number;
      /** Of the memory that was sent or has arrived; of sockets there is none. */
      readonly sha256: string;
    };

const chunkBytes = 1 << 20;
const unlimited = 0;
const hashedBytes = 64 << 20;

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
    const { kernel, offer, sha256 } = machineOf(memory);
    kernel.resume();
    const cpu = process.cpuUsage();
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
    done(state.status, statistics["total-time"], cpu, sha256);
  },

  async "godwit-destination"({ bytes, channels: count = 0 }) {
    const listener = await listen("tcp:127.0.0.1:0");
    tell({ event: "listening", uri: listener.uri });
    const { kernel, offer, sha256 } = machineOf(new Uint8Array(bytes));
    if (count > 0) offer.receiveBy({ multifd: { channels: count, sync: packets.sync } });
    const cpu = process.cpuUsage();
    const { state } = await incomingMigration({
      machine: kernel,
      clock,
      ram: offer,
      accept: () => listener.accept(),
      ...multifdWith(count),
    }).run();
    if ("error" in state) throw state.error;
    await listener.close();
    done(state.status, 0, cpu, sha256);
  },

  async "socket-sender"({ bytes, file, uri = "" }) {
    const memory = new Uint8Array(bytes);
    readInto(file ?? "", memory);
    const socket = connectSocket(Number(uri), "127.0.0.1");
    await new Promise<void>((resolve) => socket.once("connect", resolve));
    const [began, cpu] = [performance.now(), process.cpuUsage()];
    for (let at = 0; at < bytes; at += chunkBytes) {
      if (!socket.write(memory.subarray(at, at + chunkBytes))) await drained(socket);
    }
    // The receiver ends its side when it has all.
    const ended = new Promise<void>((resolve) => socket.once("end", resolve).resume());
    socket.end();
    await ended;
    done("completed", performance.now() - began, cpu);
  },

  async "socket-receiver"({ bytes }) {
    const server = createServer({ allowHalfOpen: true });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    tell({ event: "listening", uri: String((server.address() as { port: number }).port) });
    const socket = await new Promise<Socket>((resolve) => server.once("connection", resolve));
    const cpu = process.cpuUsage();
    let received = 0;
    for await (const chunk of socket) received += (chunk as Uint8Array).length;
    if (received !== bytes) throw new Error(`${received} bytes arrived, of ${bytes}`);
    socket.end();
    server.close();
    done("completed", 0, cpu);
  },
};

/** As QEMU does it from 9.0 on. */
const packets = { sync: "round", zeroPages: "packets" } as const;

const multifdWith = (count: number) => ({
  capabilities: { multifd: count > 0 },
  parameters: { "max-bandwidth": unlimited, ...(count > 0 && { "multifd-channels": count }) },
});

interface Machine {
  readonly kernel: Kernel;
  readonly offer: RamOffer;
  /** Of its memory as it is. */
  sha256(): string;
}

function machineOf(initial: Uint8Array): Machine {
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
  const sha256 = (): string => {
    const hash = createHash("sha256");
    for (let at = 0; at < memory.length; at += hashedBytes) hash.update(memory.subarray(at, at + hashedBytes));
    return hash.digest("hex");
  };
  return { kernel, offer, sha256 };
}

const drained = (socket: Socket): Promise<void> => new Promise((resolve) => socket.once("drain", resolve));

function done(status: string, totalMs: number, since: NodeJS.CpuUsage, sha256: () => string = () => ""): void {
  const { user, system } = process.cpuUsage(since);
  const peak = peakBytes("self");
  tell({ event: "done", status, totalMs, cpuMs: (user + system) / 1000, peakBytes: peak, sha256: sha256() });
}

function tell(message: SideMessage): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

const [role, init = "{}"] = process.argv.slice(2);
await roles[role as Role](JSON.parse(init) as SideInit);

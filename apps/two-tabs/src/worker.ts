// The machine's thread: a dedicated worker of a tab. The guest runs in slices, migrations between them.
import { type HostClock, incomingMigration, outgoingMigration } from "@godwit/migration";
import { messagePortChannel } from "@godwit/transport/message-port";
import { stepsPerPage } from "./guest.ts";
import { tabMachine } from "./machine.ts";
import type { Ended, FromMachine, ToMachine } from "./words.ts";

const scope = globalThis as unknown as {
  postMessage(message: FromMachine): void;
  onmessage: ((event: { readonly data: ToMachine<MessagePort> }) => void) | null;
};
const tell = (message: FromMachine): void => scope.postMessage(message);

const clock: HostClock = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    const timeout = setTimeout(callback, delayMs);
    return () => clearTimeout(timeout);
  },
};

/** A turn of the event loop: a timer would wait for some milliseconds, and longer in a tab that nobody sees. */
const turns = new MessageChannel();
const waiting: (() => void)[] = [];
turns.port1.onmessage = () => waiting.shift()?.();
function turn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    turns.port2.postMessage(undefined);
  });
}

let hasPaper = true;
const machine = tabMachine({
  print: (line) => tell({ is: "line", line }),
  hasPaper: () => hasPaper,
  running: (running) => tell({ is: "running", running }),
});

/** The guest writes 200 pages a second. */
const sliceMs = 5;
setInterval(() => machine.execute(stepsPerPage), sliceMs);

/** A tab that is closed tells nobody: its port has no event for it. Milliseconds. */
const peerTimeoutMs = 3000;

/** Slow enough to be watched: all of memory takes a second. Bytes per second. */
const bandwidth = 4 * 1024 * 1024;

async function send(port: MessagePort): Promise<Ended> {
  const channel = messagePortChannel(port);
  const migration = outgoingMigration({
    machine: machine.kernel,
    ram: machine.ram,
    clock,
    connect: async () => channel,
    yieldToHost: turn,
    parameters: { "max-bandwidth": bandwidth, "downtime-limit": 50 },
    sliceBytes: 64 * 1024,
    peerTimeoutMs,
  });
  let rounds = 0;
  migration.events.on("round", ({ round, bytes, pendingBytes }) => {
    rounds = round;
    tell({ is: "round", round, bytes, pendingBytes });
  });
  const { state, statistics } = await migration.run();
  const { steps, checksum } = machine.evidence();
  return {
    ...ended("out", state),
    rounds,
    sentBytes: statistics.ram.transferred,
    downtimeMs: "downtime" in statistics ? statistics.downtime : undefined,
    held: { steps, checksum },
  };
}

async function receive(port: MessagePort): Promise<Ended> {
  const channel = messagePortChannel(port);
  const { state, statistics } = await incomingMigration({
    machine: machine.kernel,
    ram: machine.ram,
    clock,
    accept: async () => channel,
    peerTimeoutMs,
  }).run();
  return {
    ...ended("in", state),
    rounds: statistics.rounds,
    sentBytes: statistics.receivedBytes,
    downtimeMs: undefined,
    held: machine.arrived,
  };
}

function ended(way: "out" | "in", state: { readonly status: string; readonly error?: unknown }) {
  const { code, message } = (state.error ?? {}) as { readonly code?: string; readonly message?: string };
  return { way, status: state.status, code, message };
}

function examine(): void {
  const { clock: time } = machine.kernel;
  const runs = time.running;
  if (runs) machine.kernel.pause();
  const evidence = machine.evidence();
  if (runs) machine.kernel.resume();
  tell({ is: "evidence", evidence });
}

async function done(migration: Promise<Ended>): Promise<void> {
  tell({ is: "ended", ended: await migration });
}

scope.onmessage = ({ data }) => {
  switch (data.do) {
    case "switch-on":
      return machine.kernel.resume();
    case "paper":
      hasPaper = data.has;
      return;
    case "examine":
      return examine();
    case "send":
      return void done(send(data.port));
    case "receive":
      return void done(receive(data.port));
  }
};

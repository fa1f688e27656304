import { type MessagePort, Worker } from "node:worker_threads";
import { transportCompliance } from "@godwit/test-support/transport-compliance";
import { type Channel, type Transport, transportErrorCodes } from "@godwit/transport";
import {
  type MessagePortLike,
  type MessagePortListener,
  messagePortChannel,
  messagePortListener,
} from "@godwit/transport/message-port";
import { afterEach, describe, expect, it, vi } from "vitest";

const windowBytes = 1024 * 1024;
const tellsWhenGone = !("deno" in process.versions);

const coded = (code: keyof typeof transportErrorCodes): Error =>
  Object.assign(new Error(transportErrorCodes[code]), { code });

/** What a program does by messages of its own: it knows who takes ports, and hands one of each new pair over. */
const byHand: Transport = (() => {
  const listeners = new Map<string, MessagePortListener>();
  let addresses = 0;
  return {
    scheme: "port",
    async connect(uri) {
      if (!uri.startsWith("port:")) throw coded("TRANSPORT_UNSUPPORTED");
      const listener = listeners.get(uri);
      if (listener === undefined) throw coded("TRANSPORT_REFUSED");
      const { port1, port2 } = new MessageChannel();
      listener.offer(port2);
      return messagePortChannel(port1);
    },
    async listen(asked) {
      if (!asked.startsWith("port:")) throw coded("TRANSPORT_UNSUPPORTED");
      const uri = asked === "port:new" ? `${asked}${addresses++}` : asked;
      if (listeners.has(uri)) throw coded("TRANSPORT_ADDRESS");
      const listener = messagePortListener();
      listeners.set(uri, listener);
      return {
        uri,
        accept: () => listener.accept(),
        async close() {
          listeners.delete(uri);
          await listener.close();
        },
      };
    },
  };
})();

transportCompliance("message port", {
  transport: byHand,
  address: () => "port:new",
  deadAddress: () => "port:nobody",
  boundBytes: 2 * windowBytes,
});

describe("a message port's channel", () => {
  const opened: { close(): void }[] = [];
  afterEach(() => {
    for (const port of opened.splice(0)) port.close();
  });

  /** Ports deliver by the event loop, each runtime in its own turns. */
  const until = (holds: () => void): Promise<void> => vi.waitFor(holds, { timeout: 20_000, interval: 1 });

  /** A channel, and the bare port of a peer that says whatever it likes. */
  function pair(): { channel: Channel; port: MessagePort; peer: MessagePort; heard: unknown[] } {
    const { port1: port, port2: peer } = new MessageChannel();
    opened.push(port, peer);
    const heard: unknown[] = [];
    peer.addEventListener("message", (event) => {
      const { data } = event as Event & { readonly data: unknown };
      heard.push(data instanceof ArrayBuffer ? new Uint8Array(data) : data);
    });
    peer.start();
    return { channel: messagePortChannel(port), port, peer, heard };
  }

  const failureOf = (work: Promise<unknown>): Promise<unknown> =>
    work.then(
      () => "none",
      (error: unknown) => error,
    );
  const next = (channel: Channel) => channel.receive()[Symbol.asyncIterator]().next();

  it("says what it grants, sends what it was granted, and closes its port when both have ended", async () => {
    const { channel, peer, heard } = pair();
    const sending = channel.send(Uint8Array.of(1, 2, 3));
    await until(() => expect(heard).toEqual(["credit 1048576"]));
    peer.postMessage("credit 2");
    await until(() => expect(heard.slice(1)).toEqual([Uint8Array.of(1, 2)]));
    peer.postMessage("credit 10");
    await sending;
    await channel.close();
    await until(() => expect(heard.slice(2)).toEqual([Uint8Array.of(3), "end"]));
    peer.postMessage("end");
    await until(() => expect(heard.slice(4)).toEqual(["close 1000"]));
  });

  it("half closes: its end is said, and it is still given what the peer sends before its own", async () => {
    const { channel, peer } = pair();
    peer.postMessage("credit 1048576");
    peer.postMessage(Uint8Array.of(5).buffer);
    peer.postMessage("end");
    expect((await next(channel)).value).toEqual(Uint8Array.of(5));
    expect((await next(channel)).done).toBe(true);
    await channel.send(Uint8Array.of(6));
    await channel.close();
  });

  it("holds a window at most for a peer that does not read, and gives credit only for what was read", async () => {
    const { port1, port2 } = new MessageChannel();
    opened.push(port1, port2);
    const [a, b] = [messagePortChannel(port1), messagePortChannel(port2)];
    let sent = 0;
    const sending = (async () => {
      for (;;) {
        await a.send(new Uint8Array(65_536));
        sent += 65_536;
      }
    })().catch(() => {});
    await until(() => expect(sent).toBe(windowBytes));
    for (let read = 0; read < 3 * windowBytes; ) {
      read += (await next(b)).value?.length ?? 0;
      expect(sent).toBeLessThanOrEqual(read + windowBytes);
    }
    expect(sent).toBeGreaterThanOrEqual(3 * windowBytes);
    b.abort(new Error("the test is over"));
    await sending;
  });

  it("hands whole buffers over, and never one of the sender's own", async () => {
    const posted: { readonly message: unknown; readonly transfer: readonly ArrayBuffer[] }[] = [];
    const listeners = new Map<string, (event: object) => void>();
    const port: MessagePortLike = {
      postMessage: (message, transfer) => posted.push({ message, transfer }),
      addEventListener: (type, listener) => listeners.set(type, listener),
      start() {},
      close() {},
    };
    const channel = messagePortChannel(port);
    listeners.get("message")?.({ data: "credit 1048576" });
    const shared = new Uint8Array(new SharedArrayBuffer(8)).fill(1);
    // Node's Buffer takes small ones from a pool, and its slice is a view.
    const pooled = Buffer.from([2, 2, 2]);
    const plain = new Uint8Array(100_000).fill(3);
    for (const bytes of [shared, pooled, plain]) await channel.send(bytes);
    expect(posted.slice(1).map(({ message }) => (message as ArrayBuffer).byteLength)).toEqual([8, 3, 65_536, 34_464]);
    for (const { message, transfer } of posted.slice(1)) {
      expect(transfer).toEqual([message]);
      expect(message).toBeInstanceOf(ArrayBuffer);
      for (const own of [shared, pooled, plain]) expect(message).not.toBe(own.buffer);
    }
    expect([shared.length, pooled.length, plain.length]).toEqual([8, 3, 100_000]);
    expect(posted[0]).toEqual({ message: "credit 1048576", transfer: [] });
    channel.abort(new Error("the test is over"));
  });

  it("fails when a buffer is given away while it is sent, and does not lose the rest of it", async () => {
    const { channel, peer, heard } = pair();
    const bytes = new Uint8Array(10);
    const sending = failureOf(channel.send(bytes));
    peer.postMessage("credit 4");
    await until(() => expect(heard.slice(1)).toEqual([new Uint8Array(4)]));
    structuredClone(bytes, { transfer: [bytes.buffer] });
    peer.postMessage("credit 100");
    const gone = { code: "TRANSPORT_CLOSED", message: "TRANSPORT_CLOSED: a buffer changed while it was sent" };
    expect(await sending).toMatchObject(gone);
    expect(await failureOf(channel.send(Uint8Array.of(1)))).toMatchObject(gone);
    await until(() => expect(heard.slice(2)).toEqual(["close 4000"]));
  });

  it("takes what is sent at once when the port's other end opens late", async () => {
    const { port1, port2 } = new MessageChannel();
    opened.push(port1, port2);
    const early = messagePortChannel(port1);
    const sending = early.send(Uint8Array.of(9));
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect((await next(messagePortChannel(port2))).value).toEqual(Uint8Array.of(9));
    await sending;
    early.abort(new Error("the test is over"));
  });

  it.each<readonly [what: string, detail: string, say: (peer: MessagePort) => void]>([
    ["an object", "a message is neither text nor binary", (peer) => peer.postMessage({ credit: 5 })],
    ["a view", "a message is neither text nor binary", (peer) => peer.postMessage(Uint8Array.of(1))],
    [
      "shared memory",
      "a message is neither text nor binary",
      (peer) => peer.postMessage(new Uint8Array(new SharedArrayBuffer(8))),
    ],
    ["another protocol", "the peer speaks another protocol", (peer) => peer.postMessage("hello")],
    ["a code that is none", "the peer speaks another protocol", (peer) => peer.postMessage("close now")],
    ["too much credit", "the peer grants more than a window", (peer) => peer.postMessage("credit 1048577")],
    [
      "more than its credit",
      "the peer sends more than it was given credit for",
      (peer) => peer.postMessage(new ArrayBuffer(windowBytes + 1)),
    ],
  ])("breaks off a peer that sends %s", async (_, detail, say) => {
    const { channel, peer, heard } = pair();
    const reading = failureOf(next(channel));
    say(peer);
    expect(await reading).toMatchObject({ code: "TRANSPORT_CLOSED", message: `TRANSPORT_CLOSED: ${detail}` });
    expect(await failureOf(channel.send(Uint8Array.of(1)))).toMatchObject({ code: "TRANSPORT_CLOSED" });
    await until(() => expect(heard).toEqual(["credit 1048576", "close 4000"]));
  });

  it("reads what came before the peer broke off, and fails then", async () => {
    const { channel, peer } = pair();
    peer.postMessage(Uint8Array.of(5).buffer);
    peer.postMessage("close 4000");
    expect((await next(channel)).value).toEqual(Uint8Array.of(5));
    expect(await failureOf(next(channel))).toMatchObject({
      code: "TRANSPORT_CLOSED",
      message: "TRANSPORT_CLOSED: the connection is gone (code 4000)",
    });
  });

  it("fails at a message that cannot be read", async () => {
    const listeners = new Map<string, (event: object) => void>();
    const channel = messagePortChannel({
      postMessage() {},
      addEventListener: (type, listener) => listeners.set(type, listener),
      start() {},
      close() {},
    });
    const reading = failureOf(next(channel));
    listeners.get("messageerror")?.({});
    expect(await reading).toMatchObject({ code: "TRANSPORT_CLOSED", cause: "a message cannot be read here" });
  });

  it("closes the ports that its listener does not take", async () => {
    const listener = messagePortListener();
    const { port1, port2 } = new MessageChannel();
    opened.push(port1, port2);
    await listener.close();
    listener.offer(port2);
    expect(await failureOf(next(messagePortChannel(port1)))).toMatchObject({ code: "TRANSPORT_CLOSED" });
  });

  /** A thread that plays the peer of one channel, by the protocol's words. */
  const thread = `
    const { workerData: { port } } = require("node:worker_threads");
    port.postMessage("credit 1048576");
    port.on("message", (data) => {
      if (data === "end") { port.postMessage("end"); return; }
      if (typeof data === "string") return;
      const bytes = new Uint8Array(data).map((byte) => byte + 1);
      port.postMessage(bytes.buffer, [bytes.buffer]);
    });`;

  it("crosses to another thread, and is whole when both have ended", async () => {
    const { port1, port2 } = new MessageChannel();
    const worker = new Worker(thread, { eval: true, workerData: { port: port2 }, transferList: [port2 as never] });
    const channel = messagePortChannel(port1);
    await channel.send(Uint8Array.of(1, 2));
    expect((await next(channel)).value).toEqual(Uint8Array.of(2, 3));
    await channel.close();
    await worker.terminate();
  });

  it.runIf(tellsWhenGone)("notices a thread that is gone, where the port tells", async () => {
    const { port1, port2 } = new MessageChannel();
    const worker = new Worker(thread, { eval: true, workerData: { port: port2 }, transferList: [port2 as never] });
    const channel = messagePortChannel(port1);
    await channel.send(Uint8Array.of(1));
    expect((await next(channel)).value).toEqual(Uint8Array.of(2));
    const reading = failureOf(next(channel));
    await worker.terminate();
    expect(await reading).toMatchObject({
      code: "TRANSPORT_CLOSED",
      message: "TRANSPORT_CLOSED: the connection is gone (code 1006)",
    });
  });
});

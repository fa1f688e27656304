import { readFileSync } from "node:fs";
import { transportCompliance } from "@godwit/test-support/transport-compliance";
import type { Channel, Listener, Transport } from "@godwit/transport";
import { transportErrorCodes } from "@godwit/transport";
import { acceptWebSocket, type WebSocketLike, webSocket, webSocketListener } from "@godwit/transport/ws";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { webSocketPair } from "./web-socket-pair.ts";

const boundBytes = 2 * 1024 * 1024;
const canListen = "bun" in process.versions || "deno" in process.versions;

/** What a server's framework does: each connection's socket is offered to the address's listener. */
const joined: Transport = (() => {
  const listeners = new Map<string, { offer(socket: WebSocketLike): void }>();
  let addresses = 0;
  class JoinedWebSocket {
    constructor(uri: string) {
      const [here, there] = webSocketPair();
      const listener = listeners.get(uri);
      setImmediate(() => {
        if (listener === undefined)
          (here as never as { happened(type: string, event: object): void }).happened("error", {});
        else {
          listener.offer(there);
          (here as never as { happened(type: string, event: object): void }).happened("open", {});
        }
      });
      // biome-ignore lint/correctness/noConstructorReturn: the class stands for a constructor that is given
      return here;
    }
  }
  const { connect } = webSocket({ WebSocket: JoinedWebSocket as never });
  return {
    scheme: "ws",
    connect,
    async listen(uri): Promise<Listener> {
      if (!uri.startsWith("ws:")) return webSocket({ WebSocket: JoinedWebSocket as never }).listen(uri);
      const address = uri.endsWith("/new") ? `${uri}${addresses++}` : uri;
      if (listeners.has(address)) return transportTaken();
      const listener = webSocketListener(address);
      listeners.set(address, listener);
      return {
        uri: address,
        accept: () => listener.accept(),
        async close() {
          listeners.delete(address);
          await listener.close();
        },
      };
    },
  };
})();

function transportTaken(): never {
  throw Object.assign(new Error(transportErrorCodes.TRANSPORT_ADDRESS), { code: "TRANSPORT_ADDRESS" });
}

transportCompliance("ws over joined sockets", {
  transport: joined,
  address: () => "ws://host/new",
  deadAddress: () => "ws://host/nobody",
  boundBytes,
});

/** The runtime's WebSocket, which trusts this authority as well: each runtime has its own way to say so. */
function trustingWebSocket(ca: string): unknown {
  const { Deno, WebSocket } = globalThis as never as {
    readonly Deno?: { createHttpClient(init: { readonly caCerts: string[] }): unknown };
    readonly WebSocket: new (uri: string, init: object) => WebSocketLike;
  };
  const init = Deno === undefined ? { tls: { ca } } : { client: Deno.createHttpClient({ caCerts: [ca] }) };
  return class {
    constructor(uri: string) {
      // biome-ignore lint/correctness/noConstructorReturn: the class stands for a constructor that is given
      return new WebSocket(uri, init);
    }
  };
}

if (canListen) {
  const { WebSocket } = globalThis;
  transportCompliance("ws", {
    transport: webSocket({ WebSocket: WebSocket as never }),
    address: () => "ws://127.0.0.1:0/migration",
    deadAddress: () => "ws://127.0.0.1:1/",
    boundBytes,
  });

  describe("a WebSocket listener", () => {
    it("serves its path only", async () => {
      const transport = webSocket({ WebSocket: WebSocket as never });
      const listener = await transport.listen("ws://127.0.0.1:0/migration");
      const { port } = new URL(listener.uri);
      await expect(transport.connect(`ws://127.0.0.1:${port}/elsewhere`)).rejects.toMatchObject({
        code: "TRANSPORT_REFUSED",
      });
      const answer = await fetch(`http://127.0.0.1:${port}/migration`);
      expect(answer.status).toBe(426);
      await answer.body?.cancel();
      await listener.close();
    });

    it("carries bytes both ways on wss:, for a client that knows its authority", async () => {
      const pem = (name: string): string => readFileSync(new URL(`certificates/${name}.pem`, import.meta.url), "utf8");
      const trusting = trustingWebSocket(pem("authority"));
      const transport = webSocket({ WebSocket: trusting as never, cert: pem("server"), key: pem("server-key") });
      const listener = await transport.listen("wss://127.0.0.1:0/migration");
      const [here, there] = await Promise.all([transport.connect(listener.uri), listener.accept()]);
      const sent = Uint8Array.from({ length: 3_000_000 }, (_, i) => (i * 7 + (i >> 8)) & 0xff);
      const both = [
        [here, there],
        [there, here],
      ] as const;
      await Promise.all(
        both.map(async ([from, to]) => {
          const sending = from.send(sent);
          const chunks: Uint8Array[] = [];
          let got = 0;
          for await (const chunk of to.receive()) {
            chunks.push(chunk);
            got += chunk.length;
            if (got >= sent.length) break;
          }
          await sending;
          expect(Buffer.compare(Buffer.concat(chunks), sent)).toBe(0);
        }),
      );
      await here.close();
      expect((await there.receive()[Symbol.asyncIterator]().next()).done).toBe(true);
      await there.close();
      await listener.close();
    });

    it("shows its certificate on wss:", async () => {
      const pem = (name: string): string => readFileSync(new URL(`certificates/${name}.pem`, import.meta.url), "utf8");
      const transport = webSocket({ WebSocket: WebSocket as never, cert: pem("server"), key: pem("server-key") });
      const listener = await transport.listen("wss://127.0.0.1:0/");
      expect(listener.uri).toMatch(/^wss:\/\/127\.0\.0\.1:\d+\/$/);
      // The runtime does not know the authority: whoever trusts nobody new is not connected.
      await expect(transport.connect(listener.uri)).rejects.toMatchObject({ code: "TRANSPORT_REFUSED" });
      await listener.close();
    });
  });
} else {
  describe("a WebSocket listener", () => {
    it("is somebody else's where the runtime has none", async () => {
      const transport = webSocket({ WebSocket: class {} as never });
      await expect(transport.listen("ws://127.0.0.1:0/")).rejects.toMatchObject({ code: "TRANSPORT_UNSUPPORTED" });
    });
  });
}

describe("WebSocket channels", () => {
  /** A channel, and the bare socket of a peer that says whatever it likes. */
  async function pair(): Promise<{ channel: Channel; peer: WebSocketLike; heard: unknown[] }> {
    const [here, peer] = webSocketPair();
    const heard: unknown[] = [];
    peer.addEventListener("message", ({ data }) =>
      heard.push(typeof data === "string" ? data : new Uint8Array(data as ArrayBuffer)),
    );
    return { channel: await acceptWebSocket(here), peer, heard };
  }

  const settle = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  };

  it("say what they grant, and send what they were granted", async () => {
    const { channel, peer, heard } = await pair();
    const sending = channel.send(Uint8Array.of(1, 2, 3));
    await settle();
    expect(heard).toEqual(["credit 1048576"]);
    peer.send("credit 2");
    await settle();
    expect(heard.slice(1)).toEqual([Uint8Array.of(1, 2)]);
    peer.send("credit 10");
    await sending;
    await settle();
    expect(heard.slice(2)).toEqual([Uint8Array.of(3)]);
    await channel.close();
    await settle();
    expect(heard.slice(3)).toEqual(["end"]);
    peer.send("end");
    await settle();
    expect(peer.readyState).toBe(3);
  });

  it("break off a peer that sends beyond its credit, after its end, or another protocol", async () => {
    const floods: ((peer: WebSocketLike) => void)[] = [
      (peer) => {
        for (let i = 0; i < 17; i++) peer.send(new Uint8Array(64 * 1024));
      },
      (peer) => {
        peer.send("end");
        peer.send(Uint8Array.of(1));
      },
      (peer) => peer.send("GET / HTTP/1.1"),
      (peer) => peer.send("credit -1"),
    ];
    for (const flood of floods) {
      const { channel, peer } = await pair();
      flood(peer);
      await settle();
      await expect(channel.send(Uint8Array.of(1))).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
      expect(peer.readyState).toBe(3);
    }
  });

  it("break off a peer that grants more than a window: its credit would be kept in this side's memory", async () => {
    for (const grants of [["credit 1048577"], ["credit 9999999999"], ["credit 1048576", "credit 1"], ["credit 0"]]) {
      const { channel, peer, heard } = await pair();
      const sending = channel.send(new Uint8Array(0));
      for (const grant of grants) peer.send(grant);
      await settle();
      await sending;
      await expect(channel.send(Uint8Array.of(1)), grants.join()).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
      expect(heard).toEqual(["credit 1048576"]);
      expect(peer.readyState).toBe(3);
    }
    const { channel, peer, heard } = await pair();
    peer.send("credit 1048576");
    await settle();
    await channel.send(new Uint8Array(3));
    peer.send("credit 3");
    await settle();
    await channel.send(Uint8Array.of(1));
    await settle();
    expect(heard.slice(1)).toEqual([new Uint8Array(3), Uint8Array.of(1)]);
    channel.abort(new Error("the test is over"));
  });

  it("gather the bytes of a peer that sends them one by one", async () => {
    const { channel, peer } = await pair();
    const sent = 50_000;
    for (let i = 0; i < sent; i++) peer.send(Uint8Array.of(i));
    await settle();
    const reader = channel.receive()[Symbol.asyncIterator]();
    let [got, chunks] = [0, 0];
    for (; got < sent; chunks++) {
      const { value } = await reader.next();
      for (const byte of value ?? []) expect(byte).toBe(got++ & 0xff);
    }
    expect(got).toBe(sent);
    expect(chunks).toBeLessThan(10);
    channel.abort(new Error("the test is over"));
  });

  describe("and a peer that does nothing more", () => {
    beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
    afterEach(() => void vi.useRealTimers());

    it("are given up in the end when they are closed: without credit, and without its end", async () => {
      for (const granted of [0, 100]) {
        const { channel, peer } = await pair();
        if (granted > 0) peer.send(`credit ${granted}`);
        await settle();
        const sending = channel.send(new Uint8Array(100)).then(
          () => "sent",
          (error: { code?: string }) => error.code,
        );
        const closing = channel.close();
        await settle();
        vi.advanceTimersByTime(9000);
        await settle();
        expect(peer.readyState).toBe(1);
        vi.advanceTimersByTime(2000);
        await closing;
        await settle();
        expect(await sending).toBe(granted > 0 ? "sent" : "TRANSPORT_CLOSED");
        expect(peer.readyState).toBe(3);
      }
    });

    it("are terminated where it does not answer the close", async () => {
      const [here, peer] = webSocketPair();
      let terminated = 0;
      Object.assign(here, { close() {}, terminate: () => terminated++ });
      const channel = await acceptWebSocket(here);
      peer.send("GET / HTTP/1.1");
      await settle();
      await expect(channel.send(Uint8Array.of(1))).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
      expect(terminated).toBe(0);
      vi.advanceTimersByTime(11_000);
      expect(terminated).toBe(1);
    });

    it("are not connected where it does not answer the handshake", async () => {
      let closed = 0;
      const mute = { addEventListener() {}, close: () => closed++ };
      class MuteWebSocket {
        constructor() {
          // biome-ignore lint/correctness/noConstructorReturn: the class stands for a constructor that is given
          return mute;
        }
      }
      const connecting = webSocket({ WebSocket: MuteWebSocket as never }).connect("ws://host/mute");
      const refused = expect(connecting).rejects.toMatchObject({ code: "TRANSPORT_REFUSED", found: "ws://host/mute" });
      await settle();
      vi.advanceTimersByTime(31_000);
      await refused;
      expect(closed).toBe(1);
    });
  });

  it("know a connection that is gone without an end from one that has ended", async () => {
    const { channel, peer } = await pair();
    peer.send(Uint8Array.of(5));
    peer.close(1000);
    const reader = channel.receive()[Symbol.asyncIterator]();
    expect((await reader.next()).value).toEqual(Uint8Array.of(5));
    await expect(reader.next()).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
  });
});

describe("WebSocket addresses", () => {
  it("are URLs", async () => {
    const transport = webSocket({ WebSocket: class {} as never });
    for (const uri of ["ws:", "ws://", "wss://host:port/"]) {
      await expect(transport.connect(uri), uri).rejects.toMatchObject({ code: "TRANSPORT_ADDRESS", found: uri });
    }
    await expect(transport.listen("wss://127.0.0.1:0/")).rejects.toMatchObject({ code: "TRANSPORT_CREDENTIALS" });
  });
});

import { readFileSync } from "node:fs";
import type { Channel, Listener, Transport } from "@godwit/transport";
import { transportErrorCodes } from "@godwit/transport";
import { acceptWebSocket, type WebSocketLike, webSocket, webSocketListener } from "@godwit/transport/ws";
import { describe, expect, it } from "vitest";
import { transportCompliance } from "./compliance.ts";
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

import { readFileSync } from "node:fs";
import net from "node:net";
import nodeTls from "node:tls";
import { transportCompliance } from "@godwit/test-support/transport-compliance";
import type { Listener } from "@godwit/transport";
import { type TlsOptions, tls } from "@godwit/transport/tls";
import { describe, expect, it, onTestFinished, vi } from "vitest";

const pem = (name: string): string => readFileSync(new URL(`certificates/${name}.pem`, import.meta.url), "utf8");
const ca = pem("authority");
const client = { cert: pem("client"), key: pem("client-key") };
const server = { cert: pem("server"), key: pem("server-key") };

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  const versions = { minVersion: version, maxVersion: version };
  const connecting = tls({ ca, ...client, hostname: "localhost", ...versions });
  const listening = tls({ ca, ...server, ...versions });
  transportCompliance(`tls (${version})`, {
    transport: { scheme: "tls", connect: (uri) => connecting.connect(uri), listen: (uri) => listening.listen(uri) },
    address: () => "tls:127.0.0.1:0",
    deadAddress: () => "tls:127.0.0.1:1",
    // Both sockets' buffers: what the operating system lets them grow to.
    boundBytes: 64 * 1024 * 1024,
  });
}

const stranger = { cert: pem("stranger"), key: pem("stranger-key") };

/** Listens, and notes whom the listener turned away. */
async function listener(options: TlsOptions): Promise<{ uri: string; refused: string[]; listener: Listener }> {
  const refused: string[] = [];
  const opened = await tls({ ...server, ...options, onRefused: ({ code }) => refused.push(code) }).listen(
    "tls:127.0.0.1:0",
  );
  onTestFinished(() => opened.close());
  return { uri: opened.uri, refused, listener: opened };
}

/** In the test runner's place, until the test is over: it would count the error as a failure. */
function listenInstead(event: "uncaughtException" | "unhandledRejection", listener: (error: unknown) => void): void {
  const before = process.rawListeners(event) as ((error: unknown) => void)[];
  process.removeAllListeners(event);
  process.on(event, listener);
  onTestFinished(() => {
    process.removeAllListeners(event);
    for (const one of before) process.on(event, one);
  });
}

/** The channel works: connecting was more than a handshake. */
async function talk(from: TlsOptions, { uri, listener }: { uri: string; listener: Listener }): Promise<void> {
  const [here, there] = await Promise.all([tls(from).connect(uri), listener.accept()]);
  await here.send(Uint8Array.of(1, 2, 3));
  await there.send(Uint8Array.of(4));
  const [read] = [await there.receive()[Symbol.asyncIterator]().next()];
  expect(Array.from(read.value ?? [])).toEqual([1, 2, 3]);
  expect(Array.from((await here.receive()[Symbol.asyncIterator]().next()).value ?? [])).toEqual([4]);
  for (const channel of [here, there]) channel.abort(new Error("the test is over"));
}

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  const versions = { minVersion: version, maxVersion: version };

  describe(`credentials of ${version}`, () => {
    it("of a client that shows none, or a stranger's, are refused while it connects, and the next is served", async () => {
      const opened = await listener({ ca, ...versions });
      const accepting = opened.listener.accept();
      for (const wrong of [{}, stranger]) {
        const connecting = tls({ ca, hostname: "localhost", ...wrong, ...versions }).connect(opened.uri);
        await expect(connecting).rejects.toMatchObject({ code: "TRANSPORT_CREDENTIALS" });
      }
      await vi.waitUntil(() => opened.refused.length === 2);
      expect(opened.refused).toEqual(["TRANSPORT_CREDENTIALS", "TRANSPORT_CREDENTIALS"]);
      const right = tls({ ca, hostname: "localhost", ...client, ...versions });
      const [here, there] = await Promise.all([right.connect(opened.uri), accepting]);
      for (const channel of [here, there]) channel.abort(new Error("the test is over"));
      expect(opened.refused.length).toBe(2);
    });

    it("that have expired, or are for the other side, are refused on either side", async () => {
      const opened = await listener({ ca, ...versions });
      const expired = { cert: pem("expired-client"), key: pem("expired-client-key") };
      for (const wrong of [expired, server]) {
        const connecting = tls({ ca, hostname: "localhost", ...wrong, ...versions }).connect(opened.uri);
        await expect(connecting).rejects.toMatchObject({ code: "TRANSPORT_CREDENTIALS" });
      }
      await vi.waitUntil(() => opened.refused.length === 2);
      expect(opened.refused).toEqual(["TRANSPORT_CREDENTIALS", "TRANSPORT_CREDENTIALS"]);
      const shown = [
        { cert: pem("expired-server"), key: pem("expired-server-key"), hostname: "localhost" },
        { ...client, hostname: "client.example" },
      ];
      for (const { hostname, ...wrong } of shown) {
        const { uri } = await listener({ ...wrong, ...versions });
        const connecting = tls({ ca, hostname, ...versions }).connect(uri);
        await expect(connecting, hostname).rejects.toMatchObject({ code: "TRANSPORT_CREDENTIALS" });
      }
    });

    it("that are refused let no byte in, whatever the client sends with its handshake", async () => {
      const opened = await listener({ ca, ...versions });
      const accepting = opened.listener.accept();
      const pushing = nodeTls.connect({
        host: "127.0.0.1",
        port: portOf(opened.uri),
        ca,
        ...stranger,
        servername: "localhost",
        ...versions,
      });
      pushing.on("error", () => {});
      pushing.write("a machine of a stranger's");
      await vi.waitUntil(() => opened.refused.length === 1);
      const [here, there] = await Promise.all([
        tls({ ca, hostname: "localhost", ...client, ...versions }).connect(opened.uri),
        accepting,
      ]);
      await here.send(Uint8Array.of(5));
      expect(Array.from((await there.receive()[Symbol.asyncIterator]().next()).value ?? [])).toEqual([5]);
      for (const channel of [here, there]) channel.abort(new Error("the test is over"));
      pushing.destroy();
    });

    it("of a client are not asked for where nobody is said to sign them", async () => {
      const opened = await listener(versions);
      await talk({ ca, hostname: "localhost", ...versions }, opened);
    });

    it("of a server are refused by a client that does not know its authority, or asked for another", async () => {
      const opened = await listener(versions);
      const wrong: TlsOptions[] = [
        { hostname: "localhost" },
        { ca: pem("stranger-authority"), hostname: "localhost" },
        { ca, hostname: "elsewhere.example" },
      ];
      for (const options of wrong) {
        const connecting = tls({ ...options, ...versions }).connect(opened.uri);
        await expect(connecting).rejects.toMatchObject({ code: "TRANSPORT_CREDENTIALS" });
      }
      // The address's own host is the name where none is given.
      await talk({ ca, ...versions }, await listener(versions));
      const elsewhere = await listener({ cert: pem("elsewhere"), key: pem("elsewhere-key"), ...versions });
      await expect(tls({ ca, ...versions }).connect(elsewhere.uri)).rejects.toMatchObject({
        code: "TRANSPORT_CREDENTIALS",
      });
      // Nor does a common name count beside the names that the certificate is for.
      const common = await listener({ cert: pem("elsewhere"), key: pem("elsewhere-key"), ...versions });
      await expect(tls({ ca, hostname: "localhost", ...versions }).connect(common.uri)).rejects.toMatchObject({
        code: "TRANSPORT_CREDENTIALS",
      });
      const again = await listener({ cert: pem("elsewhere"), key: pem("elsewhere-key"), ...versions });
      await talk({ ca, hostname: "elsewhere.example", ...versions }, again);
    });
  });
}

describe("tls", () => {
  it("is the stream alone to a peer that does not know how ours accept", async () => {
    const opened = await listener({ ca });
    const socket = nodeTls.connect({
      host: "127.0.0.1",
      port: portOf(opened.uri),
      ca,
      ...client,
      servername: "localhost",
    });
    const there = await opened.listener.accept();
    const first = new Promise<Uint8Array>((resolve) => socket.once("data", resolve));
    await there.send(Uint8Array.of(9));
    expect(Array.from(await first)).toEqual([9]);
    socket.destroy();
    there.abort(new Error("the test is over"));
  });

  it("tells a client late, and by the same code, of a refusal by a server that does not say when it accepts", async () => {
    const plain = nodeTls.createServer({ ca, ...server, requestCert: true, rejectUnauthorized: true });
    plain.on("tlsClientError", () => {});
    await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void plain.close());
    const { port } = plain.address() as net.AddressInfo;
    const none = tls({ ca, hostname: "localhost", minVersion: "TLSv1.3" });
    const channel = await none.connect(`tls:127.0.0.1:${port}`);
    const reading = channel.receive()[Symbol.asyncIterator]().next();
    await expect(reading).rejects.toMatchObject({ code: "TRANSPORT_CREDENTIALS" });
  });

  it("goes on when whoever is told of a refusal throws, and the program hears of that as an uncaught error", async () => {
    const uncaught: unknown[] = [];
    const unhandled: unknown[] = [];
    listenInstead("uncaughtException", (error) => uncaught.push(error));
    listenInstead("unhandledRejection", (error) => unhandled.push(error));
    const thrown = new Error("the program's own");
    const onRefused = (): never => {
      throw thrown;
    };
    const opened = await tls({ ...server, ca, onRefused }).listen("tls:127.0.0.1:0");
    onTestFinished(() => opened.close());
    await expect(tls({ ca, hostname: "localhost" }).connect(opened.uri)).rejects.toMatchObject({
      code: "TRANSPORT_CREDENTIALS",
    });
    await vi.waitUntil(() => uncaught.length + unhandled.length > 0);
    await talk({ ca, ...client, hostname: "localhost" }, { uri: opened.uri, listener: opened });
    expect(uncaught).toEqual([thrown]);
    expect(unhandled).toEqual([]);
  });

  it("does not stop at a peer that speaks none, or goes away", async () => {
    const opened = await listener({ ca });
    const noise = net.connect({ host: "127.0.0.1", port: portOf(opened.uri) });
    noise.on("error", () => {});
    noise.write("GET / HTTP/1.1\r\n\r\n");
    await vi.waitUntil(() => opened.refused.length === 1);
    const gone = net.connect({ host: "127.0.0.1", port: portOf(opened.uri) });
    await new Promise<void>((resolve) => gone.once("connect", resolve));
    gone.destroy();
    noise.destroy();
    await talk({ ca, ...client, hostname: "localhost" }, opened);
    const plain = net.createServer((socket) => socket.end("220 mail\r\n"));
    await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
    const { port } = plain.address() as net.AddressInfo;
    await expect(tls({ ca }).connect(`tls:127.0.0.1:${port}`)).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
    plain.close();
  });

  for (const [how, leave] of [
    ["ends", (socket: net.Socket) => socket.end()],
    ["is gone", (socket: net.Socket) => socket.destroy()],
    [
      "ends in the middle of its first message",
      (socket: net.Socket) => socket.end(Uint8Array.of(0x16, 3, 1, 0, 200, 1)),
    ],
    ["resets", (socket: net.Socket) => socket.resetAndDestroy()],
  ] as const) {
    it(`does not hold a client that ${how} before its handshake is done`, async () => {
      const opened = await listener({ ca });
      const gone = net.connect({ host: "127.0.0.1", port: portOf(opened.uri) });
      gone.on("error", () => {});
      await new Promise<void>((resolve) => gone.once("connect", resolve));
      leave(gone);
      await vi.waitUntil(() => opened.refused.length === 1);
      expect(opened.refused).toEqual(["TRANSPORT_CLOSED"]);
      gone.destroy();
      await talk({ ca, ...client, hostname: "localhost" }, opened);
    });
  }

  it("breaks off the handshakes that are under way when it is closed, and calls nobody refused for it", async () => {
    const opened = await listener({ ca });
    const accepting = opened.listener.accept();
    const silent = net.connect({ host: "127.0.0.1", port: portOf(opened.uri) });
    silent.on("error", () => {});
    await new Promise<void>((resolve) => silent.once("connect", resolve));
    // By the time that another is through, the silent one's handshake has begun.
    const [here, there] = await Promise.all([
      tls({ ca, ...client, hostname: "localhost" }).connect(opened.uri),
      accepting,
    ]);
    const closed = new Promise<void>((resolve) => silent.once("close", () => resolve()));
    silent.resume();
    await opened.listener.close();
    await closed;
    await expect(opened.listener.accept()).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
    expect(opened.refused).toEqual([]);
    for (const channel of [here, there]) channel.abort(new Error("the test is over"));
  });

  it("gives up a server that goes away instead of its handshake", async () => {
    for (const leave of [
      (socket: net.Socket) => socket.end(),
      (socket: net.Socket) => socket.once("data", () => socket.resetAndDestroy()),
    ]) {
      const plain = net.createServer((socket) => leave(socket.on("error", () => {})));
      await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
      const { port } = plain.address() as net.AddressInfo;
      await expect(tls({ ca }).connect(`tls:127.0.0.1:${port}`)).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
      plain.close();
    }
  });

  it("does not connect with credentials that are none, whether or not the server asks for them", async () => {
    const opened = await listener({});
    const wrong: TlsOptions[] = [
      { ca: "no authority" },
      { ca, cert: client.cert, key: "no key" },
      { ca, cert: "no certificate", key: client.key },
      { ca, cert: client.cert, key: server.key },
      { ca, cert: client.cert },
      { ca, key: client.key },
    ];
    for (const options of wrong) {
      const credentials = { code: "TRANSPORT_CREDENTIALS", found: opened.uri };
      await expect(tls({ ...options, hostname: "localhost" }).connect(opened.uri)).rejects.toMatchObject(credentials);
    }
    expect(opened.refused).toEqual([]);
  });

  it("verifies clients by an authority that it was given, not by any that the runtime knows", async () => {
    const verifying = tls({ ...server, verifyPeer: true }).listen("tls:127.0.0.1:0");
    await expect(verifying).rejects.toMatchObject({ code: "TRANSPORT_CREDENTIALS", expected: "ca" });
  });

  it("needs something to show for listening, and PEM that can be read", async () => {
    await expect(tls({ ca }).listen("tls:127.0.0.1:0")).rejects.toMatchObject({ code: "TRANSPORT_CREDENTIALS" });
    const broken = { cert: server.cert, key: "no key" };
    await expect(tls(broken).listen("tls:127.0.0.1:0")).rejects.toMatchObject({ code: "TRANSPORT_CREDENTIALS" });
  });
});

describe("pre-shared keys", () => {
  const psk = { identity: "qemu", key: new Uint8Array(32).fill(7) };

  if ("bun" in process.versions || "deno" in process.versions) {
    it("are refused before anything is connected, as this runtime would pay no attention to them", async () => {
      const opened = await listener({});
      for (const act of [tls({ psk }).connect(opened.uri), tls({ ...server, psk }).listen("tls:127.0.0.1:0")]) {
        await expect(act).rejects.toMatchObject({ code: "TRANSPORT_UNSUPPORTED" });
      }
      expect(opened.refused).toEqual([]);
    });
  } else {
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      it(`are enough for both sides of ${version}, and wrong ones are refused`, async () => {
        const versions = { minVersion: version, maxVersion: version };
        const opened = await tls({ psk, ...versions }).listen("tls:127.0.0.1:0");
        onTestFinished(() => opened.close());
        const wrong = [
          { identity: "qemu", key: new Uint8Array(32).fill(8) },
          { identity: "other", key: psk.key },
        ];
        for (const key of wrong) {
          const connecting = tls({ psk: key, ...versions }).connect(opened.uri);
          await expect(connecting).rejects.toMatchObject({ code: "TRANSPORT_CREDENTIALS" });
        }
        await expect(tls({ ca, ...client, ...versions }).connect(opened.uri)).rejects.toMatchObject({
          code: "TRANSPORT_CREDENTIALS",
        });
        await talk({ psk, ...versions }, { uri: opened.uri, listener: opened });
      });
    }

    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      it(`are the only way in with ${version}, whatever certificates both sides have`, async () => {
        const versions = { minVersion: version, maxVersion: version };
        const keyed = await tls({ ...server, ca, psk, ...versions }).listen("tls:127.0.0.1:0");
        onTestFinished(() => keyed.close());
        const without: TlsOptions[] = [
          { ca, hostname: "localhost" },
          { ca, hostname: "localhost", ...client },
          { ca, hostname: "localhost", psk: { ...psk, identity: "other" } },
        ];
        for (const options of without) {
          await expect(tls({ ...options, ...versions }).connect(keyed.uri)).rejects.toMatchObject({
            code: "TRANSPORT_CREDENTIALS",
          });
        }
        await talk({ ca, psk, ...versions }, { uri: keyed.uri, listener: keyed });
        const certified = await listener(versions);
        const trusting = tls({ ca, psk, hostname: "localhost", ...versions }).connect(certified.uri);
        await expect(trusting).rejects.toMatchObject({ code: "TRANSPORT_CREDENTIALS" });
      });
    }

    it("are of 16 to 64 bytes", async () => {
      const short = { identity: "qemu", key: new Uint8Array(15) };
      await expect(tls({ psk: short }).connect("tls:127.0.0.1:1")).rejects.toMatchObject({
        code: "TRANSPORT_CREDENTIALS",
      });
    });
  }
});

const portOf = (uri: string): number => Number(uri.slice(uri.lastIndexOf(":") + 1));

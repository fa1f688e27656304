import net from "node:net";
import { transportCompliance } from "@godwit/test-support/transport-compliance";
import { connect, listen, tcp } from "@godwit/transport/tcp";
import { describe, expect, it, onTestFinished, vi } from "vitest";

transportCompliance("tcp", {
  transport: tcp,
  address: () => "tcp:127.0.0.1:0",
  deadAddress: () => "tcp:127.0.0.1:1",
  // Both sockets' buffers: what the operating system lets them grow to.
  boundBytes: 64 * 1024 * 1024,
});

describe("tcp channels", () => {
  it("are asked whether the peer is still there, on both sides: one that has lost its power says nothing", async () => {
    const asked = vi.spyOn(net.Socket.prototype, "setKeepAlive");
    onTestFinished(() => asked.mockRestore());
    const listener = await listen("tcp:127.0.0.1:0");
    const channels = await Promise.all([connect(listener.uri), listener.accept()]);
    expect(asked.mock.calls).toEqual([
      [true, 60_000],
      [true, 60_000],
    ]);
    for (const channel of channels) channel.abort(new Error("the test is over"));
    await listener.close();
  });
});

describe("a chunk that is given back", () => {
  it("is gone where the runtime can free it, and no other byte with it", async () => {
    const listener = await listen("tcp:127.0.0.1:0");
    const [client, server] = await Promise.all([connect(listener.uri), listener.accept()]);
    const sent = Uint8Array.from({ length: 3_000_000 }, (_, i) => Math.imul(i, 2654435761) >>> 24);
    const arrived = new Uint8Array(sent.length);
    const sending = client.send(sent).then(() => client.close());
    let at = 0;
    for await (const chunk of server.receive()) {
      arrived.set(chunk, at);
      at += chunk.length;
      const isWhole = chunk.length === chunk.buffer.byteLength;
      server.recycle?.(chunk);
      if (isWhole && "transfer" in ArrayBuffer.prototype) expect(chunk.length).toBe(0);
      else expect(chunk.length).toBeGreaterThan(0);
    }
    await sending;
    expect(at).toBe(sent.length);
    expect(arrived.every((byte, i) => byte === sent[i])).toBe(true);
    await server.close();
    await listener.close();
  });
});

describe("tcp addresses", () => {
  it("gives the real port, and IPv6 in brackets", async () => {
    const four = await listen("tcp:127.0.0.1:0");
    expect(four.uri).toMatch(/^tcp:127\.0\.0\.1:[1-9]\d*$/);
    await four.close();
    const six = await listen("tcp:[::1]:0").catch((error: { cause?: { code?: string } }) => {
      // The only excuse: a machine without IPv6.
      expect(error.cause?.code).toMatch(/^(EADDRNOTAVAIL|EAFNOSUPPORT)$/);
    });
    if (six === undefined) return;
    expect(six.uri).toMatch(/^tcp:\[::1\]:[1-9]\d*$/);
    const [client, server] = await Promise.all([connect(six.uri), six.accept()]);
    await client.send(Uint8Array.of(6));
    expect((await server.receive()[Symbol.asyncIterator]().next()).value).toEqual(Uint8Array.of(6));
    for (const channel of [client, server]) channel.abort(new Error("the test is over"));
    await six.close();
  });

  it("are refused when they cannot be read or found", async () => {
    for (const uri of [
      "tcp:",
      "tcp:host",
      "tcp:host:",
      "tcp::4444",
      "tcp:host:70000",
      "tcp:::1:4444",
      "tcp://host:4444",
      "tcp:[::1:4444",
    ]) {
      await expect(connect(uri), uri).rejects.toMatchObject({ code: "TRANSPORT_ADDRESS" });
      await expect(listen(uri), uri).rejects.toMatchObject({ code: "TRANSPORT_ADDRESS" });
    }
    await expect(connect("tcp:no.such.host.invalid:4444")).rejects.toMatchObject({ code: "TRANSPORT_ADDRESS" });
  });

  it("say which one failed, and why", async () => {
    const error = await connect("tcp:127.0.0.1:1").catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "TRANSPORT_REFUSED", found: "tcp:127.0.0.1:1" });
    expect((error as Error).cause).toMatchObject({ code: "ECONNREFUSED" });
  });
});

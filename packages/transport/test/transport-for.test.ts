import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { memoryTransport } from "@godwit/transport";
import { schemes, transportFor } from "@godwit/transport/uri";
import { afterAll, describe, expect, it } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "godwit-uri-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the transport of an address", () => {
  it("is that of its scheme", async () => {
    class NoSocket {}
    const options = { memory: memoryTransport(), webSocket: { WebSocket: NoSocket as never } };
    for (const scheme of schemes) {
      const { scheme: served } = await transportFor(`${scheme}:somewhere`, options);
      expect(served).toBe(scheme === "wss" ? "ws" : scheme);
    }
  });

  it("does not exist for others, nor for memory that nobody listens in", async () => {
    for (const uri of ["rdma:host:1", "tcp", "", "memory:x"]) {
      await expect(transportFor(uri), uri).rejects.toMatchObject({ code: "TRANSPORT_UNSUPPORTED", found: uri });
    }
  });

  it("listens on every address and connects to this machine where QEMU's spelling names no host", async () => {
    for (const spelling of ["tcp:0:", "tcp::"]) {
      const transport = await transportFor(`${spelling}0`);
      const listener = await transport.listen(`${spelling}0`);
      expect(listener.uri).toMatch(/^tcp:0\.0\.0\.0:[1-9]\d*$/);
      const port = listener.uri.slice(listener.uri.lastIndexOf(":") + 1);
      const [here, there] = await Promise.all([transport.connect(`${spelling}${port}`), listener.accept()]);
      await here.send(Uint8Array.of(7));
      expect((await there.receive()[Symbol.asyncIterator]().next()).value).toEqual(Uint8Array.of(7));
      for (const channel of [here, there]) channel.abort(new Error("the test is over"));
      await listener.close();
    }
  });

  it("carries a stream through a file and a command", async () => {
    const path = join(folder, "stream");
    for (const [write, read] of [
      [`file:${path}`, `exec:cat ${path}`],
      [`exec:cat > ${path}`, `file:${path}`],
    ] as const) {
      const out = await (await transportFor(write)).connect(write);
      await out.send(Uint8Array.of(1, 2, 3));
      await out.close();
      const listener = await (await transportFor(read)).listen(read);
      const incoming = await listener.accept();
      const bytes: number[] = [];
      for await (const chunk of incoming.receive()) bytes.push(...chunk);
      expect(bytes).toEqual([1, 2, 3]);
      await incoming.close();
      await listener.close();
      rmSync(path);
    }
  });
});

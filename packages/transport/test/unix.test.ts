import { existsSync, lstatSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { transportCompliance } from "@godwit/test-support/transport-compliance";
import { connect, listen, unix } from "@godwit/transport/unix";
import { afterAll, describe, expect, it } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "godwit-unix-"));
let addresses = 0;
const fresh = (): string => join(folder, `socket-${addresses++}`);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

transportCompliance("unix", {
  transport: unix,
  address: () => `unix:${fresh()}`,
  deadAddress: () => `unix:${fresh()}`,
  // Both sockets' buffers: what the operating system lets them grow to.
  boundBytes: 64 * 1024 * 1024,
  readerSeesAbort: false,
});

describe("unix addresses", () => {
  it("are paths that a socket can have", async () => {
    for (const uri of ["unix:", `unix:${"x".repeat(108)}`, "unix:a\0b"]) {
      await expect(connect(uri), uri).rejects.toMatchObject({ code: "TRANSPORT_ADDRESS" });
      await expect(listen(uri), uri).rejects.toMatchObject({ code: "TRANSPORT_ADDRESS" });
    }
    const nowhere = `unix:${join(folder, "no-such-folder", "socket")}`;
    await expect(listen(nowhere)).rejects.toMatchObject({ code: "TRANSPORT_ADDRESS" });
    await expect(connect(nowhere)).rejects.toMatchObject({ code: "TRANSPORT_REFUSED", found: nowhere });
  });

  it("are sockets while somebody listens, and nothing afterwards", async () => {
    const path = fresh();
    const listener = await listen(`unix:${path}`);
    expect(listener.uri).toBe(`unix:${path}`);
    expect(lstatSync(path).isSocket()).toBe(true);
    await listener.close();
    expect(existsSync(path)).toBe(false);
  });

  it("of a listener that is no more are taken over", async () => {
    const path = fresh();
    const elsewhere = fresh();
    const dead = await listen(`unix:${elsewhere}`);
    renameSync(elsewhere, path);
    await dead.close();
    expect(lstatSync(path).isSocket()).toBe(true);
    await expect(connect(`unix:${path}`)).rejects.toMatchObject({ code: "TRANSPORT_REFUSED" });
    const listener = await listen(`unix:${path}`);
    const [client, server] = await Promise.all([connect(listener.uri), listener.accept()]);
    client.abort(new Error("the test is over"));
    server.abort(new Error("the test is over"));
    await listener.close();
  });

  it("that are files of another kind are left alone", async () => {
    const path = fresh();
    writeFileSync(path, "precious");
    await expect(listen(`unix:${path}`)).rejects.toMatchObject({ code: "TRANSPORT_ADDRESS" });
    expect(lstatSync(path).isFile()).toBe(true);
    expect(lstatSync(path).size).toBe(8);
  });

  it("outlive a listener that another has followed", async () => {
    const path = fresh();
    const first = await listen(`unix:${path}`);
    await first.close();
    const second = await listen(`unix:${path}`);
    await first.close();
    const [client, server] = await Promise.all([connect(second.uri), second.accept()]);
    client.abort(new Error("the test is over"));
    server.abort(new Error("the test is over"));
    await second.close();
  });
});

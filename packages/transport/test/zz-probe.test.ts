import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fd from "@godwit/transport/fd";
import * as file from "@godwit/transport/file";
import { tcp } from "@godwit/transport/tcp";
import { tls } from "@godwit/transport/tls";
import { describe, expect, it, vi } from "vitest";

const pem = (name: string): string => readFileSync(new URL(`certificates/${name}.pem`, import.meta.url), "utf8");
const ca = pem("authority");
const client = { cert: pem("client"), key: pem("client-key") };
const server = { cert: pem("server"), key: pem("server-key") };
const portOf = (uri: string): number => Number(uri.slice(uri.lastIndexOf(":") + 1));
for (const how of ["destroy", "end", "half", "reset"] as const)
  it(`tls leave ${how}`, async () => {
    const refused: string[] = [];
    const l = await tls({ ...server, ca, onRefused: ({ code }) => refused.push(code) }).listen("tls:127.0.0.1:0");
    const gone = net.connect({ host: "127.0.0.1", port: portOf(l.uri) });
    gone.on("error", () => {});
    await new Promise<void>((resolve) => gone.once("connect", resolve));
    if (how === "half") gone.write(Uint8Array.of(0x16, 3, 1, 0, 200, 1));
    if (how === "destroy") gone.destroy();
    else if (how === "reset") gone.resetAndDestroy();
    else gone.end();
    const ok = await vi.waitUntil(() => refused.length === 1, { timeout: 2000 }).catch(() => false);
    console.log("LEAVE", how, ok, refused);
    await l.close();
  });
it("client: server leaves", async () => {
  const s = net.createServer((x) => x.end());
  await new Promise<void>((r) => s.listen(0, "127.0.0.1", r));
  const port = (s.address() as any).port;
  const r = await Promise.race([
    tls({ ca })
      .connect(`tls:127.0.0.1:${port}`)
      .catch((e: any) => e.code),
    new Promise((r) => setTimeout(r, 2000, "HANG")),
  ]);
  console.log("SERVERLEAVES", r);
  s.close();
});
it("nul host", async () => {
  for (const u of ["tcp:a\0b:1", "tcp: :1", "tls:a\0b:1", "tcp:[zz]:1", "tcp:" + "a".repeat(300) + ":1"]) {
    const t = u.startsWith("tls") ? tls({}) : tcp;
    console.log(
      "HOST",
      JSON.stringify(u.slice(0, 20)),
      await t.connect(u).catch((e: any) => `${e.code} ${e.message}`),
      await t.listen(u).catch((e: any) => `${e.code}`),
    );
  }
});
it("wrong purpose", async () => {
  const refused: string[] = [];
  const l = await tls({ ...server, ca, onRefused: ({ code }) => refused.push(code) }).listen("tls:127.0.0.1:0");
  const r = await tls({ ca, hostname: "localhost", ...server })
    .connect(l.uri)
    .then(
      () => "ACCEPTED",
      (e: any) => e.code,
    );
  console.log("PURPOSE server-as-client", r, refused);
  await l.close();
  const l2 = await tls({ ...client }).listen("tls:127.0.0.1:0");
  const r2 = await tls({ ca, hostname: "client.example" })
    .connect(l2.uri)
    .then(
      () => "ACCEPTED",
      (e: any) => e.code,
    );
  console.log("PURPOSE client-as-server", r2);
  await l2.close();
  const g = await tls({ ca: "garbage", hostname: "localhost" })
    .connect("tls:127.0.0.1:1")
    .then(
      () => "ACCEPTED",
      (e: any) => e.code,
    );
  console.log("GARBAGE ca", g);
  const l3 = await tls({ ...server }).listen("tls:127.0.0.1:0");
  for (const o of [
    { ca: "garbage" },
    { ca, key: "garbage", cert: client.cert },
    { ca, cert: "garbage", key: client.key },
    { ca, cert: client.cert },
    { ca, cert: client.cert, key: pem("server-key") },
  ])
    console.log(
      "CLIENT CREDS",
      Object.keys(o),
      await tls({ ...o, hostname: "localhost" })
        .connect(l3.uri)
        .then(
          (c) => (c.abort(1), "ACCEPTED"),
          (e: any) => e.code + " " + e.message,
        ),
    );
  console.log(
    "verifyPeer without ca",
    await tls({ ...server, verifyPeer: true })
      .listen("tls:127.0.0.1:0")
      .then(
        (l) => (l.close(), "LISTENS"),
        (e: any) => e.code,
      ),
  );
  await l3.close();
});
it("psk holes", async () => {
  if ("bun" in process.versions || "deno" in process.versions) return;
  const psk = { identity: "qemu", key: new Uint8Array(32).fill(7) };
  for (const v of ["TLSv1.2", "TLSv1.3"] as const) {
    const versions = { minVersion: v, maxVersion: v };
    const l = await tls({ ...server, psk, ...versions }).listen("tls:127.0.0.1:0");
    console.log(
      "PSK server with cert, client by cert",
      v,
      await tls({ ca, hostname: "localhost", ...versions })
        .connect(l.uri)
        .then(
          (c) => (c.abort(1), "ACCEPTED"),
          (e: any) => e.code,
        ),
    );
    console.log(
      "PSK server with cert, client wrong identity",
      v,
      await tls({ ca, psk: { ...psk, identity: "x" }, ...versions })
        .connect(l.uri)
        .then(
          (c) => (c.abort(1), "ACCEPTED"),
          (e: any) => e.code,
        ),
    );
    await l.close();
    const l2 = await tls({ ...server, ...versions }).listen("tls:127.0.0.1:0");
    console.log(
      "PSK client, cert server",
      v,
      await tls({ ca, psk, hostname: "whatever", ...versions })
        .connect(l2.uri)
        .then(
          (c) => (c.abort(1), "ACCEPTED"),
          (e: any) => e.code + e.message + e.found,
        ),
    );
    await l2.close();
  }
});
it("fd double close", async () => {
  const d = mkdtempSync(join(tmpdir(), "probe-"));
  const n = openSync(join(d, "a"), "w");
  const c = await fd.connect(`fd:${n}`);
  await c.close();
  const m = openSync(join(d, "b"), "w");
  c.abort(new Error("late"));
  await new Promise((r) => setTimeout(r, 50));
  let open = true;
  try {
    fstatSync(m);
  } catch {
    open = false;
  }
  console.log("DOUBLE", n, m, open);
  const f = await file.connect(`file:${join(d, "f")}`);
  try {
    f.place(-5, Uint8Array.of(9));
    console.log("PLACE -5 no error");
  } catch (e: any) {
    console.log("PLACE", e.code, e.message);
  }
  await f.close();
  console.log("FILE", readFileSync(join(d, "f")));
  writeFileSync(join(d, "f"), "abc");
  const l = await file.listen(`file:${join(d, "f")}`);
  const r = await l.accept();
  try {
    console.log("READAT", r.readAt(0, 2 ** 36).length);
  } catch (e: any) {
    console.log("READAT", e.message);
  }
  for (const at of [-5, -1, 1.5, 2 ** 60])
    try {
      console.log("READAT", at, r.readAt(at, 2));
    } catch (e: any) {
      console.log("READAT", at, e.message);
    }
  await r.close();
});

import { incomingMigration, outgoingMigration } from "@godwit/migration";
import { connect, listen } from "@godwit/transport/tcp";
import { spawn } from "node:child_process";
const clock = { nowMs: () => performance.now(), after(ms: number, cb: () => void) { const t = setTimeout(cb, ms); return () => clearTimeout(t); } };
const total = 1024 << 20;
const chunk = 1 << 20;
const base = { manifest: () => ({ machineType: "x", sections: [], ramBlocks: [], plugins: [] }), quiesce: async () => {}, pause() {}, resume() {} };
if (process.argv[2] === "dest") {
  const l = await listen("tcp:127.0.0.1:0"); console.log(l.uri);
  let n = 0;
  const m = incomingMigration({ machine: { ...base, outgoing() { throw 0 }, incoming: () => ({ push(b: Uint8Array) { n += b.length }, end() {}, async prepare() {}, async commit() { return {} }, discard() {}, fork() { throw 0 } }) } as never, clock, accept: () => l.accept() });
  const r = await m.run(); await l.close();
  if (r.state.status !== "completed") console.error(r);
} else {
  const args = process.argv[1]!.includes("b.ts") ? process.execArgv : [];
  const [cmd, ...rest] = process.argv.slice(2);
  const p = spawn(cmd!, [...rest, "dest"], { stdio: ["ignore", "pipe", "inherit"] });
  const uri = await new Promise<string>((r) => p.stdout.on("data", (d) => r(String(d).trim())));
  const buf = new Uint8Array(chunk); for (let i = 0; i < buf.length; i++) buf[i] = i * 7;
  let left = total;
  const m = outgoingMigration({ machine: { ...base, incoming() { throw 0 }, outgoing: () => ({ sections: [], *setup() {}, pending: () => ({ mustPrecopyBytes: 0, canPostcopyBytes: left }), *iterate(b: number) { left -= chunk; yield buf; }, *complete() {}, end() {} }) } as never, clock, connect: () => connect(uri), yieldToHost: () => new Promise((r) => setImmediate(r)) });
  const t = performance.now();
  const r = await m.run();
  const ms = performance.now() - t;
  console.log(r.state.status, (total / ms / 1e6).toFixed(2), "GB/s", JSON.stringify(r.statistics).slice(0, 400));
  process.exit(0);
}

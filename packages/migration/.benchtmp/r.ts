import { connect, listen } from "@godwit/transport/tcp";
import { spawn } from "node:child_process";
const total = 1024 << 20;
if (process.argv[2] === "dest") {
  const l = await listen("tcp:127.0.0.1:0"); console.log(l.uri);
  const c = await l.accept(); await l.close(); let n = 0; for await (const b of c.receive()) n += b.length; await c.close();
} else {
  const [cmd, ...rest] = process.argv.slice(2);
  const p = spawn(cmd!, [...rest, "dest"], { stdio: ["ignore", "pipe", "inherit"] });
  const uri = await new Promise<string>((r) => p.stdout.on("data", (d) => r(String(d).trim())));
  for (const size of [256 << 10, 1 << 20]) {
  }
  const c = await connect(uri); const buf = new Uint8Array(256 << 10);
  const t = performance.now();
  for (let i = 0; i < total; i += buf.length) await c.send(buf);
  await c.close(); await new Promise((r) => p.on("exit", r));
  console.log("raw channel", (total / (performance.now() - t) / 1e6).toFixed(2), "GB/s");
}

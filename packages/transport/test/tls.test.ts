import { readFileSync } from "node:fs";
import { tls } from "@godwit/transport/tls";
import { transportCompliance } from "./compliance.ts";

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

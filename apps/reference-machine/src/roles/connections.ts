// How the two processes reach each other: loopback TCP, or TLS over it with the certificates of this run.
import { X509Certificate } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Channel } from "@godwit/migration";
import type { Listener, Transport } from "@godwit/transport";
import * as tcp from "@godwit/transport/tcp";
import { tls } from "@godwit/transport/tls";
import { type Credentials, makeCredentials } from "../cli/certificates.ts";
import { type Role, type RoleOptions, tell } from "./messages.ts";

const fileOf = (folder: string, role: Role): string => join(folder, `credentials-${role}.json`);

/** Into the run's own folder, which nobody else may look into: a command line can be read by everybody. */
export async function writeCredentials(folder: string): Promise<void> {
  const { server, client } = makeCredentials();
  for (const [role, credentials] of [
    ["destination", server],
    ["source", client],
  ] as const) {
    await writeFile(fileOf(folder, role), JSON.stringify(credentials), { mode: 0o600 });
  }
}

/** TLS: a channel is one whose peer has shown a certificate that this run's authority has signed, or there is none. */
function tlsOf(credentials: Credentials): Pick<Transport, "connect" | "listen"> {
  const { connect, listen } = tls({ ...credentials, verifyPeer: true });
  const verified = (channel: Channel): Channel => {
    tell({ event: "verified", authority: new X509Certificate(credentials.ca).fingerprint256 });
    return channel;
  };
  return {
    connect: async (uri) => verified(await connect(uri)),
    async listen(uri) {
      const listener = await listen(uri);
      return {
        uri: listener.uri,
        accept: async () => verified(await listener.accept()),
        close: () => listener.close(),
      };
    },
  };
}

async function transportOf({ mode, folder }: RoleOptions, role: Role): Promise<Pick<Transport, "connect" | "listen">> {
  if (mode !== "tls") return tcp;
  return tlsOf(JSON.parse(await readFile(fileOf(folder, role), "utf8")) as Credentials);
}

export async function listenFor(options: RoleOptions): Promise<Listener> {
  const { listen } = await transportOf(options, "destination");
  return listen(`${options.mode === "tls" ? "tls" : "tcp"}:127.0.0.1:0`);
}

export async function connectTo(options: RoleOptions): Promise<Channel> {
  const { connect } = await transportOf(options, "source");
  return connect(options.uri ?? "");
}

import { X509Certificate } from "node:crypto";
import { isMigrationError } from "@godwit/core";
import { tls } from "@godwit/transport/tls";
import { describe, expect, it } from "vitest";
import { makeCredentials } from "../src/cli/certificates.ts";

describe("certificates of a run", () => {
  it("are signed by an authority of their own", () => {
    const { server, client } = makeCredentials();
    const ca = new X509Certificate(server.ca);
    expect(client.ca).toBe(server.ca);
    for (const [{ cert }, subject] of [
      [server, "destination"],
      [client, "source"],
    ] as const) {
      const one = new X509Certificate(cert);
      expect(one.subject).toBe(`CN=${subject}`);
      expect(one.verify(ca.publicKey)).toBe(true);
      expect(one.checkIssued(ca)).toBe(true);
      expect(Date.parse(one.validTo) - Date.now()).toBeLessThanOrEqual(86_400_000);
      expect(Date.parse(one.validFrom)).toBeLessThan(Date.now());
    }
    expect(ca.ca).toBe(true);
    expect(new X509Certificate(server.cert).subjectAltName).toBe("IP Address:127.0.0.1");
    expect(new X509Certificate(makeCredentials().server.ca).publicKey.equals(ca.publicKey)).toBe(false);
  });

  it("let these two sides in, and nobody else", async () => {
    const { server, client } = makeCredentials();
    const refused: string[] = [];
    const listener = await tls({ ...server, verifyPeer: true, onRefused: ({ code }) => refused.push(code) }).listen(
      "tls:127.0.0.1:0",
    );
    const stranger = makeCredentials().client;
    for (const credentials of [{ ...stranger, ca: client.ca }, { ca: client.ca }, stranger]) {
      const error = await tls(credentials)
        .connect(listener.uri)
        .then(
          () => undefined,
          (reason: unknown) => reason,
        );
      expect(isMigrationError(error) && error.code).toBe("TRANSPORT_CREDENTIALS");
    }
    const accepting = listener.accept();
    const [there, here] = await Promise.all([accepting, tls(client).connect(listener.uri)]);
    await here.send(Uint8Array.of(1, 2, 3));
    for await (const bytes of there.receive()) {
      expect([...bytes]).toEqual([1, 2, 3]);
      break;
    }
    await Promise.all([here.close(), there.close(), listener.close()]);
    expect(refused.length).toBeGreaterThanOrEqual(2);
  });
});

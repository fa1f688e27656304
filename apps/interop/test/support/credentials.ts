// Certificates for a QEMU and for us, signed by one authority: those of the transport's own tests, made by openssl.
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const certificates = fileURLToPath(new URL("../../../../packages/transport/test/certificates", import.meta.url));

export type CertificateName = "server" | "client" | "stranger";

const pem = (name: string): string => readFileSync(join(certificates, `${name}.pem`), "utf8");

/** What a transport of ours shows, and whom it believes. */
export const identity = (name: CertificateName) => ({ ca: pem("authority"), cert: pem(name), key: pem(`${name}-key`) });

/** The folder and the options of a QEMU that shows a certificate: `endpoint` says on which side of a connection it is. */
export function qemuCredentials(
  folder: string,
  name: CertificateName,
  endpoint: "server" | "client",
): readonly string[] {
  const dir = join(folder, `pki-${name}-${endpoint}`);
  mkdirSync(dir, { recursive: true });
  copyFileSync(join(certificates, "authority.pem"), join(dir, "ca-cert.pem"));
  copyFileSync(join(certificates, `${name}.pem`), join(dir, `${endpoint}-cert.pem`));
  copyFileSync(join(certificates, `${name}-key.pem`), join(dir, `${endpoint}-key.pem`));
  // A stranger's certificate would not pass QEMU's own look at it.
  return ["-object", `tls-creds-x509,id=tls0,endpoint=${endpoint},dir=${dir},verify-peer=on,sanity-check=off`];
}

// A package registry on this machine: it keeps what is published to it, knows nothing else of our own names, and sends
// whoever asks for anything else to the registry that npm is configured with.
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

/** One published version: the manifest as it was packed, and where its tarball is. */
export interface PublishedManifest {
  readonly name: string;
  readonly version: string;
  readonly dist: { readonly tarball: string; readonly integrity: string; readonly shasum: string };
  readonly [field: string]: unknown;
}

export interface Packument {
  readonly name: string;
  readonly "dist-tags": Record<string, string>;
  readonly versions: Record<string, PublishedManifest>;
}

export interface LocalRegistry {
  /** Ends in "/", as npm writes registries. */
  readonly url: string;
  /** What was published so far, by name. */
  published(): ReadonlyMap<string, Packument>;
  close(): Promise<void>;
}

export interface RegistryOptions {
  /** Where all but our own is: what `npm config get registry` says. */
  readonly upstream: string;
  /** Names that are never asked for elsewhere; one that ends in "/" is a scope. */
  readonly own: readonly string[];
}

interface Answer {
  readonly status: number;
  readonly body?: object | Uint8Array;
  readonly location?: string;
}

export async function startRegistry({ upstream, own }: RegistryOptions): Promise<LocalRegistry> {
  const packuments = new Map<string, Packument>();
  const tarballs = new Map<string, Uint8Array>();
  const isOwn = (name: string) => own.some((one) => (one.endsWith("/") ? name.startsWith(one) : name === one));
  let url = "";

  const publish = (name: string, { versions, _attachments, "dist-tags": tags }: Publication): Answer => {
    const packument = packuments.get(name) ?? { name, "dist-tags": {}, versions: {} };
    for (const [version, manifest] of Object.entries(versions)) {
      if (packument.versions[version] !== undefined) {
        return refusal(403, `You cannot publish over the previously published versions: ${version}.`);
      }
      const [attachment] = Object.values(_attachments);
      if (attachment === undefined) return refusal(400, "there is no tarball");
      const bytes = Buffer.from(attachment.data, "base64");
      const tarball = `${name}/-/${name.replace(/.*\//, "")}-${version}.tgz`;
      tarballs.set(tarball, bytes);
      const integrity = `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
      const shasum = createHash("sha1").update(bytes).digest("hex");
      packument.versions[version] = { ...manifest, dist: { tarball: url + tarball, integrity, shasum } };
    }
    Object.assign(packument["dist-tags"], tags);
    packuments.set(name, packument);
    return { status: 201, body: { ok: true } };
  };

  const answer = async (request: IncomingMessage): Promise<Answer> => {
    // npm writes a scope's slash as %2f in the address of a packument.
    const path = decodeURIComponent((request.url ?? "/").slice(1).replace(/\?.*/, ""));
    if (request.method === "PUT") {
      if (request.headers.authorization === undefined) return refusal(401, "publishing needs a token");
      return publish(path, JSON.parse(await textOf(request)));
    }
    if (request.method !== "GET" && request.method !== "HEAD") return refusal(405, `${request.method} is not served`);
    const found = packuments.get(path) ?? tarballs.get(path);
    if (found !== undefined) return { status: 200, body: found };
    if (isOwn(path.replace(/\/-\/.*/, ""))) return refusal(404, "not found");
    return { status: 307, location: new URL((request.url ?? "/").slice(1), upstream).href };
  };

  const server = createServer((request, response) => {
    void answer(request)
      .catch((error: unknown) => refusal(400, String(error)))
      .then(({ status, body, location }) => {
        const isTarball = body instanceof Uint8Array;
        const type = { "content-type": isTarball ? "application/octet-stream" : "application/json" };
        response.writeHead(status, location === undefined ? type : { location });
        response.end(isTarball ? body : JSON.stringify(body ?? {}));
      });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return {
    url,
    published: () => packuments,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error === undefined ? resolve() : reject(error)));
        server.closeAllConnections();
      }),
  };
}

/** What `npm publish` puts. */
interface Publication {
  readonly versions: Record<string, PublishedManifest>;
  readonly "dist-tags": Record<string, string>;
  readonly _attachments: Record<string, { readonly data: string }>;
}

function refusal(status: number, error: string): Answer {
  return { status, body: { error } };
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of request) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks).toString();
}

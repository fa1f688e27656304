// Serves the page: every tab under the strictest content-security policy that it can have.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** No inline script or style, no `unsafe-eval`, nothing from elsewhere. */
export const policy = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; style-src 'self'";

const types: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css",
  js: "text/javascript",
  stream: "application/octet-stream",
};

export interface Served {
  readonly url: string;
  close(): Promise<void>;
}

/** `files` by their names: `page.html` is the page. Port 0 is any that is free. */
export async function serve(files: ReadonlyMap<string, Uint8Array>, port: number): Promise<Served> {
  const server = createServer(({ method, url = "/" }, response) => {
    const name = url === "/" ? "page.html" : url.slice(1);
    const file = files.get(name);
    const status = method !== "GET" ? 405 : file === undefined ? (name === "favicon.ico" ? 204 : 404) : 200;
    response.writeHead(status, {
      "Content-Security-Policy": policy,
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Embedder-Policy": "require-corp",
      "Cache-Control": "no-store",
      "Content-Type": types[name.split(".").at(-1) ?? ""] ?? "text/plain",
    });
    response.end(status === 200 ? file : undefined);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async close() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

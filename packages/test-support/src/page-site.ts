// A site for one page: its scripts under a content-security policy, and a mailbox for both sides. The page fetches what
// the test gives and posts what it has to tell, so that nothing has to be evaluated in it.
import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** No inline script, no `unsafe-eval`, nothing from elsewhere. */
export const strictPolicy = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'";

export interface PageSiteInit {
  /** Scripts by their names. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** The module that the page begins with. */
  readonly entry: string;
  /** The default is `strictPolicy`. */
  readonly policy?: string;
  /** What one message may hold; the default is 64 MiB. A longer one is refused, and a problem. */
  readonly maxBodyBytes?: number;
}

export interface PageSite {
  /** The page's address, under a path that nobody can guess. It ends in a slash. */
  readonly url: string;
  /**
   * What the policy has refused in the page and in its workers, as `directive: blocked`. Chromium reports on the side:
   * waits until there are `atLeast` so many, and for a moment more.
   */
  violations(atLeast?: number): Promise<readonly string[]>;
  /** The page's `receive(name)` gets this. */
  give(name: string, bytes: Uint8Array): void;
  /** What the page tells by this name; rejects with a problem that comes first, `report` included. */
  told(name: string, timeoutMs?: number): Promise<Uint8Array>;
  /** A problem: whoever waits for the page is told at once, and later. */
  report(problem: string): void;
  close(): Promise<void>;
}

const patienceMs = 20_000;
const momentMs = 100;
const moment = () => new Promise<void>((resolve) => setTimeout(resolve, momentMs));

interface Waiting {
  resolve(bytes: Uint8Array): void;
  reject(error: Error): void;
}

/** Cross-origin isolated, so that the page has shared memory. */
export async function servePage({
  files,
  entry,
  policy = strictPolicy,
  maxBodyBytes = 64 * 2 ** 20,
}: PageSiteInit): Promise<PageSite> {
  // Whoever else finds the port, a page of an earlier test included, is not taken for this page.
  const root = `/${randomBytes(16).toString("hex")}/`;
  const given = new Map<string, Uint8Array>();
  const asked = new Map<string, ServerResponse>();
  const told = new Map<string, Uint8Array>();
  const waiting = new Map<string, Waiting>();
  const problems: string[] = [];
  const violations: string[] = [];
  const headers = {
    "Content-Security-Policy": `${policy}; report-uri ${root}violation`,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cache-Control": "no-store",
  };
  const send = (response: ServerResponse, status: number, type: string, body: Uint8Array | string) => {
    response.writeHead(status, { ...headers, "Content-Type": type });
    response.end(body);
  };
  const report = (problem: string) => {
    problems.push(problem);
    for (const { reject } of waiting.values()) reject(new Error(problem));
    waiting.clear();
  };

  /** The status to answer with. */
  const post = async (path: string, request: IncomingMessage): Promise<number> => {
    const [, kind, name] = /^(violation|problem|told)(?:\/(.+))?$/.exec(path) ?? [];
    if (kind === undefined || (kind === "told") !== (name !== undefined)) return 404;
    const body = await bodyOf(request, maxBodyBytes);
    if (body === undefined) {
      report(`${path}: a message of more than ${maxBodyBytes} bytes`);
      return 413;
    }
    if (name !== undefined) {
      told.set(name, body);
      waiting.get(name)?.resolve(body);
      waiting.delete(name);
    } else if (kind === "problem") report(Buffer.from(body).toString());
    else {
      const violation = violationOf(body);
      if (violation === undefined) {
        report(`a report of a violation that is none: ${Buffer.from(body).toString()}`);
        return 400;
      }
      violations.push(violation);
    }
    return 204;
  };
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method, url = "/" } = request;
    const isOwn = url.startsWith(root);
    const path = url.slice(isOwn ? root.length : 1);
    // Scripts are no secret: a page may name its worker's from the origin's root.
    const file = files.get(path);
    if (method === "POST" && isOwn) send(response, await post(path, request), "text/plain", "");
    else if (method !== "GET") send(response, isOwn ? 405 : 404, "text/plain", "");
    else if (file !== undefined) send(response, 200, "text/javascript", file);
    else if (isOwn && path === "") {
      send(response, 200, "text/html", `<!doctype html><script type="module" src="${entry}"></script>`);
    } else if (isOwn && path.startsWith("given/")) {
      const name = path.slice("given/".length);
      const bytes = given.get(name);
      if (bytes === undefined) asked.set(name, response);
      else send(response, 200, "application/octet-stream", bytes);
    } else send(response, url === "/favicon.ico" ? 204 : 404, "text/plain", "");
  };

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      report(String(error));
      response.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${root}`,
    async violations(atLeast = 0) {
      for (let left = patienceMs; violations.length < atLeast && left > 0; left -= momentMs) await moment();
      await moment();
      return [...violations];
    },
    give(name, bytes) {
      given.set(name, bytes);
      const response = asked.get(name);
      if (response !== undefined) send(response, 200, "application/octet-stream", bytes);
      asked.delete(name);
    },
    told(name, timeoutMs = patienceMs) {
      if (problems.length > 0) return Promise.reject(new Error(problems.join("\n")));
      const bytes = told.get(name);
      if (bytes !== undefined) return Promise.resolve(bytes);
      return new Promise((resolve, reject) => {
        const timer = setTimeout(
          () => reject(new Error(`the page did not tell "${name}" in ${timeoutMs} ms`)),
          timeoutMs,
        );
        waiting.set(name, {
          resolve: (own) => {
            clearTimeout(timer);
            resolve(own);
          },
          reject: (error) => {
            clearTimeout(timer);
            reject(error);
          },
        });
      });
    },
    report,
    async close() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** Undefined where there is more than `maxBytes`; what is beyond them is read, and dropped. */
async function bodyOf(request: IncomingMessage, maxBytes: number): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes <= maxBytes) chunks.push(chunk);
  }
  // A plain view: Node's Buffer would compare unequal to a Uint8Array of the same bytes in tests.
  return bytes > maxBytes ? undefined : Uint8Array.from(Buffer.concat(chunks));
}

/** As `directive: blocked`; undefined where the body is no report of a violation. */
function violationOf(body: Uint8Array): string | undefined {
  let parsed: { readonly "csp-report"?: Readonly<Record<string, unknown>> } | null;
  try {
    parsed = JSON.parse(Buffer.from(body).toString());
  } catch {
    return undefined;
  }
  const { "effective-directive": directive, "blocked-uri": blocked } = parsed?.["csp-report"] ?? {};
  return typeof directive === "string" && typeof blocked === "string" ? `${directive}: ${blocked}` : undefined;
}
